//! The built binary as an admin runs it: one temporary data folder for each test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what surprises a test should end it"
)]

mod catalogue;
mod clients;
mod moving;
mod policy;
mod serving;
mod settings;
mod support;
