//! The store in one SQLite file: the default.
//!
//! One writer thread groups concurrent verbs into one commit ([`writer`]), another moves the log
//! into the file ([`checkpoint`]); reads run on a small
//! pool of read-only connections, inline, because a point read takes microseconds ([`readers`]).
//! The files beside these have the names of the traits' files in `vestibule-store`.
//!
//! Not here: any rule of OAuth, any clock. Times come with the verbs.

mod audit;
mod checkpoint;
mod clients;
mod grants;
mod keys;
mod migrations;
mod open;
mod place;
mod readers;
mod rows;
mod sessions;
mod settings;
mod tokens;
mod users;
mod writer;

pub use open::{SqliteOptions, SqliteStore};
