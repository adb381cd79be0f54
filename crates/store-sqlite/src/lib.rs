//! The store in one SQLite file: the default.
//!
//! One writer thread groups concurrent verbs into one commit ([`writer`]); reads run on a small
//! pool of read-only connections, inline, because a point read takes microseconds ([`readers`]).
//! The files beside these have the names of the traits' files in `vestibule-store`.
//!
//! Not here: any rule of OAuth, any clock. Times come with the verbs.

mod audit;
mod clients;
mod grants;
mod keys;
mod migrations;
mod open;
mod readers;
mod rows;
mod sessions;
mod settings;
mod tokens;
mod users;
mod writer;

pub use open::{SqliteOptions, SqliteStore};
