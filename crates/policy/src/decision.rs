//! What a policy decides: the outcomes that fired, combined per axis by maximum, and why.
//!
//! | Axis      | Order                                        |
//! |-----------|----------------------------------------------|
//! | admission | allow < hold < block, in [`Assessment::trust`] |
//! | scopes    | all < read only                              |
//! | session   | normal < short                               |
//! | friction  | remembered < every time < warn < step up     |
//!
//! Not here: Cedar (`cedar`), lifetimes (`power`).

use vestibule_protocol::trust::{Outcome, Risk, Standing, Trust};
use vestibule_protocol::words;

words! {
    /// How much a person is asked, in rising order.
    Friction {
        /// A "yes" may be remembered.
        Remembered = "remembered",
        /// Each time.
        EveryTime = "every_time",
        /// Each time, with a warning and a second confirmation.
        Warn = "warn",
        /// Each time, after signing in again.
        StepUp = "step_up",
    }
}

/// A policy that fired.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reason {
    /// The policy's `@id`.
    pub policy: String,
    /// Its `@say`: one sentence that a person understands.
    pub say: Option<String>,
    /// Its `@outcome`.
    pub outcomes: Vec<Outcome>,
    /// Its tier: `@risk`, or what its outcomes imply.
    pub risk: Risk,
}

/// What shadow policies would have changed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ShadowDifference {
    /// The shadow policy.
    pub policy: String,
    /// What it would have done.
    pub outcomes: Vec<Outcome>,
}

/// Phases 1 and 2 (design-details A.2): flags, and what they make of the standing.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Assessment {
    /// `min(standing, outcomes)`; `Held` and `Blocked` are the admission axis.
    pub trust: Trust,
    /// Highest tier among the policies that fired.
    pub risk: Risk,
    /// Scopes axis.
    pub read_only: bool,
    /// Session axis.
    pub short_session: bool,
    /// Friction axis.
    pub friction: Friction,
    /// Why, in order of policy id.
    pub reasons: Vec<Reason>,
    /// Evaluation errors (`policy-error`); any of them holds the request.
    pub faults: Vec<String>,
    /// What shadow policies would have changed; never acted on.
    pub shadow: Vec<ShadowDifference>,
}

impl Assessment {
    /// Nothing speaks against the client.
    pub fn clean(standing: Standing) -> Self {
        Self {
            trust: crate::trust_of(standing),
            risk: Risk::Low,
            read_only: false,
            short_session: false,
            friction: Friction::Remembered,
            reasons: Vec::new(),
            faults: Vec::new(),
            shadow: Vec::new(),
        }
    }
}

/// A yes or no of phase 3, with the policies that decided it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Permitted, and nothing forbids it.
    pub allowed: bool,
    /// Ids of the determining policies; `policy-error` where one could not be evaluated,
    /// `not-permitted-by-any-policy` where none spoke.
    pub reasons: Vec<String>,
    /// Shadow policies that would have decided otherwise; never acted on.
    pub shadow: Vec<String>,
}
