//! The items of work, how long and how often they are measured, and the command line that says so.

use std::time::Duration;

use crate::Outcome;

/// The items of work, in the order of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Item {
    /// `POST /register`, the same body again and again.
    Register,
    /// `POST /register`, another name and redirect host each time.
    RegisterNew,
    /// Metadata.
    Discovery,
    /// Public keys.
    Jwks,
    /// `GET /authorize` of a signed-in person, by a client whose document is cached.
    Authorize,
    /// The same where an earlier yes counts: the answer carries a code.
    Remembered,
    /// The yes on the consent page.
    Consent,
    /// `POST /token`, `authorization_code`.
    Code,
    /// `POST /token`, `refresh_token`.
    Refresh,
    /// `POST /token`, `client_credentials`.
    Machine,
    /// `POST /introspect`.
    Introspect,
    /// `POST /revoke` with a refresh token.
    Revoke,
}

impl Item {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 12] = [
        Self::Register,
        Self::RegisterNew,
        Self::Discovery,
        Self::Jwks,
        Self::Authorize,
        Self::Remembered,
        Self::Consent,
        Self::Code,
        Self::Refresh,
        Self::Machine,
        Self::Introspect,
        Self::Revoke,
    ];

    /// Name on the command line and in the record of instructions.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::RegisterNew => "register-new",
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::Authorize => "authorize",
            Self::Remembered => "remembered",
            Self::Consent => "consent",
            Self::Code => "code",
            Self::Refresh => "refresh",
            Self::Machine => "client-credentials",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
        }
    }

    /// Name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::RegisterNew => "register, each new",
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::Authorize => "authorize (warm CIMD)",
            Self::Remembered => "authorize, remembered consent",
            Self::Consent => "consent post",
            Self::Code => "token (code)",
            Self::Refresh => "token (refresh)",
            Self::Machine => "token (client_credentials)",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
        }
    }
}

/// What the run is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// The table of all servers.
    Compare,
    /// Instructions of the hub for each request, beside those of the record.
    Count,
    /// The same, as the new record.
    Record,
}

/// What to do, how long and how often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Plan {
    /// What for.
    pub(crate) purpose: Purpose,
    /// Rounds that count; one more comes before them to warm up.
    pub(crate) rounds: u32,
    /// Length of a measurement.
    pub(crate) length: Duration,
    /// Codes, tickets or tokens of one measurement of the hub: they are used up, so their number
    /// bounds it.
    pub(crate) spent: usize,
    /// The whole run.
    pub(crate) limit: Duration,
    /// Everything, or this alone.
    pub(crate) only: Option<Item>,
}

const FULL: Plan = Plan {
    purpose: Purpose::Compare,
    rounds: 3,
    length: Duration::from_secs(2),
    spent: 6_000,
    limit: Duration::from_secs(590),
    only: None,
};

const QUICK: Plan = Plan {
    rounds: 1,
    length: Duration::from_millis(900),
    spent: 1_500,
    limit: Duration::from_secs(115),
    ..FULL
};

const COUNT: Plan = Plan {
    purpose: Purpose::Count,
    rounds: 1,
    spent: 0,
    ..FULL
};

impl Plan {
    /// What the words of the command line say.
    pub(crate) fn of(words: &[&str]) -> Outcome<Self> {
        let (mut quick, mut instructions, mut record) = (false, false, false);
        let (mut rounds, mut only) = (None, None);
        let mut rest = words;
        loop {
            rest = match rest {
                [] => break,
                ["--quick", rest @ ..] => {
                    quick = true;
                    rest
                }
                ["--instructions", rest @ ..] => {
                    instructions = true;
                    rest
                }
                ["--record", rest @ ..] => {
                    record = true;
                    rest
                }
                ["--rounds", number, rest @ ..] => {
                    rounds = match number.parse() {
                        Ok(number @ 1..=10) => Some(number),
                        _ => return Err("--rounds takes a number from 1 to 10".to_owned()),
                    };
                    rest
                }
                ["--only", word, rest @ ..] => {
                    let item = Item::ALL.into_iter().find(|item| item.word() == *word);
                    only = Some(item.ok_or_else(usage)?);
                    rest
                }
                _ => return Err(usage()),
            };
        }
        if instructions && (quick || rounds.is_some()) {
            return Err("--instructions counts once: without --quick and --rounds".to_owned());
        }
        if record && !instructions {
            return Err("--record belongs to --instructions".to_owned());
        }
        let mut plan = match (instructions, quick) {
            (true, _) => COUNT,
            (false, true) => QUICK,
            (false, false) => FULL,
        };
        if record {
            plan.purpose = Purpose::Record;
        }
        plan.rounds = rounds.unwrap_or(plan.rounds);
        plan.only = only;
        Ok(plan)
    }

    /// The items to measure.
    pub(crate) fn items(self) -> impl Iterator<Item = Item> {
        let chosen = move |item: &Item| self.only.is_none_or(|only| only == *item);
        Item::ALL.into_iter().filter(chosen)
    }
}

fn usage() -> String {
    let items: Vec<&str> = Item::ALL.into_iter().map(Item::word).collect();
    format!(
        "usage: vestibule-bench [--quick] [--rounds N] [--only ITEM]\n       \
         vestibule-bench --instructions [--record] [--only ITEM]\n\
         ITEM: {}",
        items.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_full_table() {
        assert_eq!(Plan::of(&[]), Ok(FULL));
    }

    #[test]
    fn words_are_read_in_any_order() {
        let wanted = Plan {
            rounds: 2,
            only: Some(Item::RegisterNew),
            ..QUICK
        };
        for words in [
            ["--quick", "--rounds", "2", "--only", "register-new"],
            ["--only", "register-new", "--rounds", "2", "--quick"],
        ] {
            assert_eq!(Plan::of(&words), Ok(wanted));
        }
        let items: Vec<Item> = wanted.items().collect();
        assert_eq!(items, [Item::RegisterNew]);
    }

    #[test]
    fn instructions_are_compared_unless_they_are_to_be_recorded() {
        let purpose = |words: &[&str]| Plan::of(words).map(|plan| plan.purpose);
        assert_eq!(purpose(&["--instructions"]), Ok(Purpose::Count));
        assert_eq!(
            purpose(&["--record", "--instructions"]),
            Ok(Purpose::Record)
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["--rounds"][..],
            &["--rounds", "0"],
            &["--rounds", "11"],
            &["--rounds", "many"],
            &["--only"],
            &["--only", "everything"],
            &["--record"],
            &["--instructions", "--quick"],
            &["--instructions", "--rounds", "2"],
            &["faster"],
        ] {
            assert!(Plan::of(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn every_item_has_a_word_and_a_name_of_its_own() {
        for names in [Item::ALL.map(Item::word), Item::ALL.map(Item::name)] {
            let distinct: std::collections::BTreeSet<&str> = names.into_iter().collect();
            assert_eq!(distinct.len(), Item::ALL.len());
        }
    }
}
