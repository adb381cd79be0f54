//! Medians over the rounds, in one Markdown table.

use std::fmt::Write as _;

use crate::{Item, Plan, load::CONNECTIONS};

/// One measurement.
#[derive(Clone)]
pub(crate) struct Sample {
    /// The work.
    pub(crate) item: &'static str,
    /// Who did it.
    pub(crate) server: &'static str,
    /// Requests per second.
    pub(crate) per_second: f64,
    /// Median time to the answer.
    pub(crate) p50_ms: f64,
    /// 99 of 100 were faster.
    pub(crate) p99_ms: f64,
    /// CPU seconds of the server for 1,000 requests.
    pub(crate) cpu_per_1000: f64,
    /// Resident memory after it.
    pub(crate) resident_mib: f64,
    /// KiB sent to the disk for 1,000 requests.
    pub(crate) written_per_1000: f64,
    /// KiB by which the data folder grew for 1,000 requests.
    pub(crate) folder_per_1000: f64,
}

/// Where it ran.
pub(crate) struct Machine {
    /// Model and cores.
    pub(crate) cpu: String,
    /// Load average at the start.
    pub(crate) load_before: String,
    /// At the end.
    pub(crate) load_after: String,
}

/// Of sorted microseconds, in milliseconds.
pub(crate) fn quantile(sorted: &[u32], percent: usize) -> f64 {
    let index = sorted.len().saturating_sub(1) * percent / 100;
    sorted
        .get(index)
        .map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(0.0);
    let lower = values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(0.0);
    f64::midpoint(lower, upper)
}

/// The rounds of one server at one item.
struct Row<'a>(Vec<&'a Sample>);

impl<'a> Row<'a> {
    fn of(samples: &'a [Sample], item: &str, server: &str) -> Self {
        Self(
            samples
                .iter()
                .filter(|sample| sample.item == item && sample.server == server)
                .collect(),
        )
    }

    fn median(&self, value: impl Fn(&Sample) -> f64) -> f64 {
        median(self.0.iter().map(|sample| value(sample)).collect())
    }

    fn rate(&self) -> f64 {
        self.median(|sample| sample.per_second)
    }

    fn print(&self, item: &str, server: &str, echo: &Row<'_>, other: &Row<'_>) -> String {
        let lowest = self
            .0
            .iter()
            .map(|sample| sample.per_second)
            .fold(f64::INFINITY, f64::min);
        let highest = self
            .0
            .iter()
            .map(|sample| sample.per_second)
            .fold(0.0, f64::max);
        let beside = if other.0.is_empty() {
            "–".to_owned()
        } else {
            format!("{:.1}", self.rate() / other.rate())
        };
        format!(
            "| {item} | {server} | {:.0} | {lowest:.0}–{highest:.0} | {:.2} | {:.2} | {:.3} | {:.0} | {:.0} | {:.0} | {:.2} | {beside} |\n",
            self.rate(),
            self.median(|sample| sample.p50_ms),
            self.median(|sample| sample.p99_ms),
            self.median(|sample| sample.cpu_per_1000),
            self.median(|sample| sample.resident_mib),
            self.median(|sample| sample.written_per_1000),
            self.median(|sample| sample.folder_per_1000),
            self.rate() / echo.rate(),
        )
    }
}

/// The whole report.
pub(crate) fn print(samples: &[Sample], machine: &Machine, idle_kib: u32, plan: Plan) -> String {
    let mut text = format!(
        "\nMachine: {}. Load average {} before, {} after (the run itself is part of it).\n\
         {CONNECTIONS} keep-alive connections, {} round(s) of {} s, {} codes each; medians.\n\
         Resident memory of the idle hub: {:.1} MiB.\n\n\
         | work | server | requests/s | lowest–highest | p50 ms | p99 ms | CPU s/1,000 | resident MiB | written KiB/1,000 | folder KiB/1,000 | × echo | × oidc-provider |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        machine.cpu,
        machine.load_before,
        machine.load_after,
        plan.rounds,
        plan.length.as_secs(),
        plan.codes,
        f64::from(idle_kib) / 1_024.0,
    );
    let echo = Row::of(samples, "echo", "echo");
    text.push_str(&echo.print("JSON echo", "bare axum", &echo, &Row(Vec::new())));
    for item in Item::ALL {
        let name = item.name();
        if Row::of(samples, name, "vestibule").0.is_empty() {
            continue;
        }
        let other = Row::of(samples, name, "oidc-provider");
        for server in ["vestibule", "oidc-provider"] {
            // Writing into a string cannot fail.
            let _ = write!(
                text,
                "{}",
                Row::of(samples, name, server).print(name, server, &echo, &other)
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles_are_what_they_say() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0]) - 2.5).abs() < 1e-9);
        assert!((quantile(&[1_000, 2_000, 3_000], 50) - 2.0).abs() < 1e-9);
        assert!((quantile(&[], 99)).abs() < 1e-9);
    }
}
