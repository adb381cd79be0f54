//! The crate from outside: vectors, confusions, hostile headers and claims.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "all of this is a test"
)]

mod assertions;
mod claims;
mod headers;
mod keys;
mod signatures;
mod support;
