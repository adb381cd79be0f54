//! The store in PostgreSQL, for several nodes over one database.
//!
//! A verb is one guarded statement where it can be, else one transaction under READ COMMITTED that
//! locks what it decides by before it reads it ([`pool`], [`locks`]). What two nodes may do at the
//! same time is decided by locks of rows and by advisory locks of the transaction, never by what
//! was read before. A deadlock is tried again here and nowhere else.
//!
//! The files beside these have the names of the traits' files in `vestibule-store`.
//!
//! Not here: any rule of OAuth, any clock. Times come with the verbs. Nothing needs `LISTEN`: nodes
//! ask for the heads each second ([`versions`]).

mod approvals;
mod arriving;
mod audit;
mod clients;
mod connect;
mod decisions;
mod documents;
mod grants;
mod history;
mod keys;
mod locks;
mod migrations;
mod open;
mod pool;
mod reports;
mod rows;
mod sessions;
mod settings;
mod standings;
mod supersessions;
#[cfg(feature = "throw-away")]
pub mod throw_away;
mod tls;
mod tokens;
mod users;
mod verifications;
mod versions;

pub use arriving::Arriving;
pub use connect::{PostgresUrl, UrlError};
pub use open::{PostgresOptions, PostgresStore, peek_issuer};
