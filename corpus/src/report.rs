//! Rates and tables, in Markdown that reads as well in a terminal, and what `balanced` promises.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use vestibule_protocol::trust::Preset;

use crate::{
    arrival::{Arrival, Label},
    judge::{Hub, Judgement, Outcome},
};

/// Abusive arrivals of a hundred that `balanced` at least warns of and cuts to reading.
pub const HITS_PER_CENT_MIN: usize = 95;

/// What a preset makes of the corpus.
#[derive(Debug)]
pub struct Report<'a> {
    /// Which.
    pub preset: Preset,
    /// Each arrival and what became of it, in the order of the corpus.
    pub judged: Vec<(&'a Arrival, Judgement)>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Share {
    /// How many.
    pub part: usize,
    /// Of how many.
    pub whole: usize,
}

impl Share {
    /// Of the arrivals that are looked at, those that are meant.
    fn of<'a>(
        looked_at: impl Iterator<Item = (&'a Arrival, Outcome)>,
        meant: impl Fn(Outcome) -> bool,
    ) -> Self {
        looked_at.fold(Self::default(), |share, (_, outcome)| Self {
            part: share.part + usize::from(meant(outcome)),
            whole: share.whole + 1,
        })
    }

    /// At least so many of a hundred; nothing of nothing is not.
    pub fn is_at_least(self, per_cent: usize) -> bool {
        self.whole > 0 && self.part * 100 >= self.whole * per_cent
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded down to a tenth: 94.96 % is not 95 %.
        let tenths = (self.part * 1_000).checked_div(self.whole).unwrap_or(0);
        let (part, whole) = (self.part, self.whole);
        write!(f, "{}.{} % ({part} of {whole})", tenths / 10, tenths % 10)
    }
}

impl<'a> Report<'a> {
    /// Put the corpus before a preset.
    pub fn of(hub: &Hub, preset: Preset, corpus: &'a [Arrival]) -> Self {
        let judged = corpus
            .iter()
            .map(|arrival| (arrival, hub.judge(preset, arrival)))
            .collect();
        Self { preset, judged }
    }

    fn outcomes(&self, label: Label) -> impl Iterator<Item = (&'a Arrival, Outcome)> {
        self.judged
            .iter()
            .filter(move |(arrival, _)| arrival.label == label)
            .map(|(arrival, judgement)| (*arrival, judgement.outcome))
    }

    fn known(&self) -> impl Iterator<Item = (&'a Arrival, Outcome)> {
        self.outcomes(Label::Honest)
            .filter(|(arrival, _)| arrival.product.is_some())
    }

    /// Abusive arrivals that are at least warned of and cut to reading.
    pub fn hits(&self) -> Share {
        Share::of(self.outcomes(Label::Abusive), Outcome::is_hit)
    }

    /// The same without those that the parser refuses whatever the preset.
    pub fn hits_among_valid(&self) -> Share {
        let valid = self
            .outcomes(Label::Abusive)
            .filter(|(_, outcome)| *outcome != Outcome::Refused);
        Share::of(valid, Outcome::is_hit)
    }

    /// Honest arrivals of which something is said: a warning or worse.
    pub fn false_alarms(&self) -> Share {
        Share::of(self.outcomes(Label::Honest), Outcome::is_alarm)
    }

    /// The same among products of the catalogue.
    pub fn false_alarms_of_known(&self) -> Share {
        Share::of(self.known(), Outcome::is_alarm)
    }

    /// What the corpus promises of `balanced` and does not hold here, in words; empty where all
    /// holds.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken: Vec<String> = self
            .known()
            .filter(|(_, outcome)| *outcome >= Outcome::Held)
            .map(|(arrival, outcome)| {
                let product = arrival.product.as_deref().unwrap_or_default();
                let outcome = outcome.as_str();
                format!("{}: an honest {product} is {outcome}", arrival.id)
            })
            .collect();
        let hits = self.hits();
        if !hits.is_at_least(HITS_PER_CENT_MIN) {
            broken.push(format!(
                "hit rate {hits}, promised are {HITS_PER_CENT_MIN} %"
            ));
        }
        broken
    }

    /// Outcomes by label, and the rates.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = self.write_summary(&mut text);
        text
    }

    /// Everything: the summary, the kinds, and each miss and false alarm with what fired.
    pub fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}\n", self.preset.as_str(), self.summary());
        let _ = self.write_details(&mut text);
        text
    }

    fn write_summary(&self, out: &mut String) -> fmt::Result {
        self.write_outcomes(out)?;
        writeln!(
            out,
            "\nHit rate {}; among valid requests {}.\nFalse alarms {}; among known products {}.",
            self.hits(),
            self.hits_among_valid(),
            self.false_alarms(),
            self.false_alarms_of_known(),
        )
    }

    fn write_details(&self, out: &mut String) -> fmt::Result {
        let (hit, alarm) = (Outcome::is_hit, Outcome::is_alarm);
        self.write_kinds(out, "abuse", Label::Abusive, ("hit", hit))?;
        writeln!(out)?;
        self.write_kinds(out, "honest", Label::Honest, ("alarms", alarm))?;
        let is_miss = |outcome: Outcome| !outcome.is_hit();
        self.write_list(out, "Misses", Label::Abusive, is_miss)?;
        self.write_list(out, "False alarms", Label::Honest, Outcome::is_alarm)
    }

    fn write_outcomes(&self, out: &mut String) -> fmt::Result {
        let headings: Vec<&str> = Outcome::ALL
            .iter()
            .map(|outcome| outcome.as_str())
            .collect();
        writeln!(out, "| | n | {} |", headings.join(" | "))?;
        writeln!(out, "|---|--:|{}", "--:|".repeat(headings.len()))?;
        let rows: [(&str, Vec<Outcome>); 3] = [
            ("honest", outcomes_of(self.outcomes(Label::Honest))),
            ("… known products", outcomes_of(self.known())),
            ("abusive", outcomes_of(self.outcomes(Label::Abusive))),
        ];
        for (name, found) in rows {
            let counts: Vec<String> = Outcome::ALL
                .iter()
                .map(|outcome| found.iter().filter(|o| *o == outcome).count().to_string())
                .collect();
            writeln!(out, "| {name} | {} | {} |", found.len(), counts.join(" | "))?;
        }
        Ok(())
    }

    fn write_kinds(
        &self,
        out: &mut String,
        title: &str,
        label: Label,
        (heading, meant): (&str, fn(Outcome) -> bool),
    ) -> fmt::Result {
        let mut kinds: BTreeMap<&str, Share> = BTreeMap::new();
        for (arrival, outcome) in self.outcomes(label) {
            let share = kinds.entry(&arrival.kind).or_default();
            share.part += usize::from(meant(outcome));
            share.whole += 1;
        }
        writeln!(out, "| {title} | n | {heading} |\n|---|--:|--:|")?;
        for (kind, share) in kinds {
            writeln!(out, "| {kind} | {} | {} |", share.whole, share.part)?;
        }
        Ok(())
    }

    fn write_list(
        &self,
        out: &mut String,
        title: &str,
        label: Label,
        meant: impl Fn(Outcome) -> bool,
    ) -> fmt::Result {
        let listed: Vec<_> = self
            .judged
            .iter()
            .filter(|(arrival, judgement)| arrival.label == label && meant(judgement.outcome))
            .collect();
        writeln!(out, "\n{title}: {}", listed.len())?;
        if !listed.is_empty() {
            writeln!(out)?;
        }
        for (arrival, judgement) in listed {
            let (outcome, why) = (judgement.outcome.as_str(), judgement.why.join(", "));
            let why = if why.is_empty() {
                "nothing fired"
            } else {
                &why
            };
            writeln!(
                out,
                "- `{}` ({}) {outcome}: {why}. {}",
                arrival.id, arrival.kind, arrival.note
            )?;
        }
        Ok(())
    }
}

fn outcomes_of<'a>(judged: impl Iterator<Item = (&'a Arrival, Outcome)>) -> Vec<Outcome> {
    judged.map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down() {
        let share = |part, whole| Share { part, whole };
        assert_eq!(share(2_849, 3_000).to_string(), "94.9 % (2849 of 3000)");
        assert!(!share(2_849, 3_000).is_at_least(95));
        assert!(share(19, 20).is_at_least(95));
        assert!(!share(0, 0).is_at_least(0));
        assert_eq!(share(0, 0).to_string(), "0.0 % (0 of 0)");
    }
}
