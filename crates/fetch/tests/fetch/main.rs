//! The fetcher against own hosts, an own resolver and a dialler that writes down every attempt.
//!
//! Nothing here leaves the machine: names are answered by [`support::Names`], and the public
//! addresses that they lead to are wired to loopback by [`support::Wires`].

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

mod addresses;
mod bodies;
mod loopback;
mod operator;
mod requests;
mod support;
mod texts;
mod time;
mod tls;
