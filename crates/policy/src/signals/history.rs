//! What the hub remembers of a client: first seen, popularity, reports, changes (threats R9, R10).
//!
//! Counts are of exactly this client, never of its software: a name can be copied, an age cannot.
//!
//! Not here: reading the store; what is young or popular (a policy).

use crate::facts::COUNT_MAX;

const DAY_S: u64 = 86_400;

/// What the store says; all zero for a newcomer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// When it was first stored here, in seconds since 1970; `None` for a newcomer.
    pub first_seen_s: Option<u64>,
    /// People with a live grant to it.
    pub people: u64,
    /// People who reported it.
    pub reports: u64,
    /// Changes of its document that mattered, in the last 30 days.
    pub changes_30d: u64,
}

/// The same as facts, clamped to [`COUNT_MAX`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HistoryFacts {
    /// Whole days; 0 for a newcomer and for a date in the future.
    pub days_known: u32,
    /// See [`History::people`].
    pub people: u32,
    /// See [`History::reports`].
    pub reports: u32,
    /// See [`History::changes_30d`].
    pub changes_30d: u32,
}

/// Clamp, and count days.
pub fn history(history: &History, now_s: u64) -> HistoryFacts {
    let days = history
        .first_seen_s
        .map_or(0, |first| now_s.saturating_sub(first) / DAY_S);
    HistoryFacts {
        days_known: clamp(days),
        people: clamp(history.people),
        reports: clamp(history.reports),
        changes_30d: clamp(history.changes_30d),
    }
}

/// To what a policy may see.
pub fn clamp(count: u64) -> u32 {
    u32::try_from(count).map_or(COUNT_MAX, |count| count.min(COUNT_MAX))
}

/// What a page says of it.
pub fn sentence(facts: HistoryFacts) -> String {
    let age = match facts.days_known {
        0 => "It was first seen here today".to_owned(),
        1 => "It was first seen here yesterday".to_owned(),
        days => format!("It was first seen here {days} days ago"),
    };
    let people = match facts.people {
        0 => "nobody here uses it".to_owned(),
        1 => "one person here uses it".to_owned(),
        people => format!("{people} people here use it"),
    };
    format!("{age}, and {people}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000;

    #[test]
    fn days_are_whole_and_counts_are_clamped() {
        #[rustfmt::skip]
        let rows = [
            (None,                       0),
            (Some(NOW),                  0),
            (Some(NOW + 9),              0),
            (Some(NOW - DAY_S + 1),      0),
            (Some(NOW - DAY_S),          1),
            (Some(NOW - 30 * DAY_S - 5), 30),
            (Some(0),                    20_717),
        ];
        for (first_seen_s, expected) in rows {
            let found = history(
                &History {
                    first_seen_s,
                    ..Default::default()
                },
                NOW,
            );
            assert_eq!(found.days_known, expected, "{first_seen_s:?}");
        }
        let huge = History {
            first_seen_s: Some(0),
            people: u64::MAX,
            reports: u64::from(COUNT_MAX) + 1,
            changes_30d: 3,
        };
        let found = history(&huge, u64::MAX);
        assert_eq!(found.days_known, COUNT_MAX);
        assert_eq!((found.people, found.reports), (COUNT_MAX, COUNT_MAX));
        assert_eq!(found.changes_30d, 3);
    }

    #[test]
    fn a_person_reads_age_and_popularity() {
        let found = history(&History::default(), NOW);
        assert_eq!(
            sentence(found),
            "It was first seen here today, and nobody here uses it."
        );
        let known = HistoryFacts {
            days_known: 40,
            people: 2,
            ..found
        };
        assert_eq!(
            sentence(known),
            "It was first seen here 40 days ago, and 2 people here use it."
        );
    }
}
