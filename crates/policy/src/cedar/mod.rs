//! Policies in Cedar: what may be saved (`compile`), and how a saved set decides (`evaluate`).
//!
//! `schema.cedarschema` is the contract with whoever writes policies; `docs/policy-schema.md`
//! publishes it. Only this folder names a Cedar type, so another engine could take its place.
//!
//! | Rule                                        | Enforced by  |
//! |---------------------------------------------|--------------|
//! | an unknown name or word is an error         | `compile`    |
//! | no policy can fail while it is evaluated    | `compile`    |
//! | one that fails all the same restricts       | `evaluate`   |
//! | flags only restrict, and combine by maximum | `combine`    |
//! | a shadow policy changes nothing but the log | `evaluate`   |
//!
//! Not here: where the text is kept, who may change it.

mod combine;
mod compile;
mod corpus;
mod evaluate;
mod inspect;
mod memo;
mod seen;
mod source;
mod terms;
#[cfg(test)]
mod tests;

pub use compile::{POLICIES_MAX, PolicyProblem, TEXT_BYTES_MAX};
pub use evaluate::{
    Arrival, Ceiling, NOT_PERMITTED, POLICY_ERROR, Person, Policies, Principal, ScopeAsked, Stage,
};

/// The schema, as published.
pub const SCHEMA: &str = include_str!("schema.cedarschema");
