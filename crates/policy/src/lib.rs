//! Trust decides power, and policies decide trust.
//!
//! | Question                                             | Answered by                     |
//! |------------------------------------------------------|---------------------------------|
//! | what speaks against this client and its request?     | [`Policies::assess`]            |
//! | may it come in, may this person be asked?            | [`Policies::admits`], [`Policies::authorizes`] |
//! | may this scope be in a token?                        | [`Policies::grants`]            |
//! | how much, how long, how often asked?                 | [`power()`], [`PowerTable`]     |
//! | whose outcome would other policies change?           | [`compare`]                     |
//!
//! Not here: how a fact is found (the callers', with `signals`), and anything that knows a clock, a
//! database or a request. A decision is a function of its arguments.

pub mod catalogue;
pub mod cedar;
pub mod decision;
pub mod facts;
pub mod facts_json;
mod power;
mod preset;
mod replay;
#[cfg(test)]
mod samples;
pub mod signals;
pub mod tests_file;

pub use cedar::{Arrival, Ceiling, Person, Policies, PolicyProblem, Principal, ScopeAsked, Stage};
pub use power::{
    Consent, Power, PowerProblem, PowerTable, RefreshLife, ScopeCeiling, power, trust_of,
};
pub use preset::preset_text;
pub use replay::{Change, compare};
