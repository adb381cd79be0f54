//! What the hub is meant to reach, in one place, and whether it does.

use crate::plan::Item;

/// A target of one item of work: at least so many times the rate of another server in the same run.
pub(crate) struct Target {
    /// The work.
    pub(crate) item: Item,
    /// Of the bare echo.
    pub(crate) echo: f64,
    /// Of `oidc-provider` that keeps everything in memory.
    pub(crate) memory: Option<f64>,
    /// Of `oidc-provider` that writes to SQLite.
    pub(crate) durable: Option<f64>,
}

/// Items without a line are measured for information.
pub(crate) const TARGETS: [Target; 10] = [
    target(Item::Register, 0.40, Some(10.0), Some(20.0)),
    target(Item::RegisterNew, 0.20, Some(10.0), Some(20.0)),
    target(Item::Discovery, 0.80, Some(5.0), Some(8.0)),
    target(Item::Jwks, 0.80, Some(5.0), Some(8.0)),
    target(Item::Authorize, 0.25, None, None),
    target(Item::Remembered, 0.35, Some(10.0), None),
    target(Item::Code, 0.10, Some(5.0), Some(15.0)),
    target(Item::Refresh, 0.16, Some(5.0), Some(15.0)),
    target(Item::Machine, 0.20, Some(5.0), Some(10.0)),
    target(Item::Introspect, 0.60, Some(8.0), Some(15.0)),
];

/// Megabytes (10⁶ bytes) of resident memory of the idle hub.
pub(crate) const IDLE_MB: f64 = 30.0;
/// Milliseconds from the start of the program to its first answer.
pub(crate) const COLD_START_MS: f64 = 150.0;
/// Megabytes of the binary.
pub(crate) const BINARY_MB: f64 = 40.0;

const fn target(item: Item, echo: f64, memory: Option<f64>, durable: Option<f64>) -> Target {
    Target {
        item,
        echo,
        memory,
        durable,
    }
}

/// How many times as fast as the others the hub was; `None` where it was not measured.
#[derive(Clone, Copy)]
pub(crate) struct Ratios {
    /// The bare echo.
    pub(crate) echo: Option<f64>,
    /// `oidc-provider`, in memory.
    pub(crate) memory: Option<f64>,
    /// `oidc-provider`, SQLite.
    pub(crate) durable: Option<f64>,
}

/// How a target was done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// All of it.
    Met,
    /// Some of it was missed, and this is what.
    Missed(Vec<&'static str>),
    /// Something that it names was not measured, and nothing was missed.
    Unknown,
}

impl Verdict {
    /// In a cell of the table.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Met => "met".to_owned(),
            Self::Missed(what) => format!("**missed** ({})", what.join(", ")),
            Self::Unknown => "not measured".to_owned(),
        }
    }

    /// Of a property that must stay below its target.
    pub(crate) fn at_most(measured: f64, most: f64) -> Self {
        if measured <= most {
            Self::Met
        } else {
            Self::Missed(vec!["too much"])
        }
    }
}

impl Target {
    /// That of an item, if it has one.
    pub(crate) fn of(item: Item) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.item == item)
    }

    /// Is it met? The ratios as measured count, not as rounded for print.
    pub(crate) fn judge(&self, ratios: Ratios) -> Verdict {
        let parts = [
            ("echo", Some(self.echo), ratios.echo),
            ("memory", self.memory, ratios.memory),
            ("SQLite", self.durable, ratios.durable),
        ];
        let mut missed = Vec::new();
        let mut unknown = false;
        for (what, least, ratio) in parts {
            match (least, ratio) {
                (None, _) => {}
                (Some(_), None) => unknown = true,
                (Some(least), Some(ratio)) if ratio >= least => {}
                (Some(_), Some(_)) => missed.push(what),
            }
        }
        match (missed.is_empty(), unknown) {
            (false, _) => Verdict::Missed(missed),
            (true, true) => Verdict::Unknown,
            (true, false) => Verdict::Met,
        }
    }

    /// What it asks for: of the echo, of memory, of SQLite.
    pub(crate) fn words(&self) -> String {
        let times = |least: Option<f64>| least.map_or("–".to_owned(), |least| format!("{least}"));
        format!(
            "{:.2} / {} / {}",
            self.echo,
            times(self.memory),
            times(self.durable)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratios(echo: f64, memory: f64, durable: f64) -> Ratios {
        Ratios {
            echo: Some(echo),
            memory: Some(memory),
            durable: Some(durable),
        }
    }

    #[test]
    fn a_target_is_met_when_each_part_is() {
        let target = target(Item::Refresh, 0.16, Some(5.0), Some(15.0));
        assert_eq!(target.judge(ratios(0.16, 5.0, 15.0)), Verdict::Met);
        assert_eq!(target.judge(ratios(1.0, 99.0, 99.0)), Verdict::Met);
        assert_eq!(target.words(), "0.16 / 5 / 15");
    }

    #[test]
    fn each_part_that_is_missed_is_named() {
        let target = target(Item::Refresh, 0.16, Some(5.0), Some(15.0));
        let missed = |parts: &[&'static str]| Verdict::Missed(parts.to_vec());
        assert_eq!(target.judge(ratios(0.1599, 5.0, 15.0)), missed(&["echo"]));
        assert_eq!(
            target.judge(ratios(0.2, 4.99, 14.0)),
            missed(&["memory", "SQLite"])
        );
        assert_eq!(missed(&["echo"]).words(), "**missed** (echo)");
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_hides_what_was_missed() {
        let target = target(Item::Remembered, 0.35, Some(10.0), None);
        let alone = |echo| Ratios {
            echo: Some(echo),
            memory: None,
            durable: None,
        };
        assert_eq!(target.judge(alone(0.5)), Verdict::Unknown);
        assert_eq!(target.judge(alone(0.1)), Verdict::Missed(vec!["echo"]));
        let without_file = Ratios {
            memory: Some(10.0),
            ..alone(0.5)
        };
        assert_eq!(target.judge(without_file), Verdict::Met);
    }

    #[test]
    fn properties_may_reach_their_bound() {
        assert_eq!(Verdict::at_most(30.0, 30.0), Verdict::Met);
        assert_ne!(Verdict::at_most(30.1, 30.0), Verdict::Met);
    }
}
