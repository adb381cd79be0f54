//! The store in one SQLite file: the default.
//!
//! One writer thread groups concurrent verbs into one commit ([`writer`]), another moves the log
//! into the file ([`checkpoint`]); reads run on a small
//! pool of read-only connections, inline, because a point read takes microseconds ([`readers`]).
//! The files beside these have the names of the traits' files in `vestibule-store`.
//!
//! Not here: any rule of OAuth, any clock. Times come with the verbs.

mod approvals;
mod audit;
mod checkpoint;
mod clients;
mod decisions;
mod documents;
mod grants;
mod history;
mod keys;
mod leaving;
mod migrations;
mod open;
mod place;
#[cfg(test)]
mod plans;
mod readers;
mod reports;
mod rows;
mod sessions;
mod settings;
mod standings;
mod supersessions;
mod tokens;
mod users;
mod verifications;
mod versions;
mod writer;

pub use leaving::Leaving;
pub use open::{SqliteOptions, SqliteStore, peek_issuer};
