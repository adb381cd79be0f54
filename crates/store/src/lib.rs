//! What is kept, and the promises about it.
//!
//! A method of [`Store`] is a *verb*: one named transaction with a contract in its doc comment.
//! No transaction object leaves the store, so nothing can be read in one and decided in another;
//! a guard lives in the verb, never in a prior read. Every change carries the [`AuditEntry`] that
//! is written with it. The contracts are proved by [`conformance`] on every backend.
//!
//! | Noun                                     | File         |
//! |------------------------------------------|--------------|
//! | clients, tombstones                      | [`clients`]  |
//! | grants, codes, tickets, remembered consent | [`grants`] |
//! | refresh families, revoked token ids      | [`tokens`]   |
//! | people                                   | [`users`]    |
//! | browser sessions                         | [`sessions`] |
//! | wrapped keys                             | [`keys`]     |
//! | live settings, initial access tokens, the set-up link | [`settings`] |
//! | the trail                                | [`audit`]    |
//!
//! Not here: SQL (the backends), rules of OAuth (`engine`), anything a stranger sent. Strangers
//! write nothing.

pub mod audit;
pub mod clients;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod grants;
pub mod keys;
pub mod sessions;
pub mod settings;
pub mod tokens;
pub mod users;

pub use audit::{AuditEntry, AuditLog};
pub use clients::ClientStore;
pub use error::{Result, StoreError};
pub use grants::GrantStore;
pub use keys::KeyStore;
pub use sessions::SessionStore;
pub use settings::SettingsStore;
pub use tokens::TokenStore;
pub use users::UserStore;

use vestibule_protocol::time::Timestamp;

/// Everything the engine asks of a database.
#[async_trait::async_trait]
pub trait Store:
    AuditLog
    + ClientStore
    + GrantStore
    + KeyStore
    + SessionStore
    + SettingsStore
    + TokenStore
    + UserStore
{
    /// Answers if the database can be read and written now.
    async fn ping(&self) -> Result<()>;

    /// Delete what has expired: codes, sessions, spent assertions, decided tickets, revoked token
    /// ids, tombstones, families and grants long past their end.
    ///
    /// # Contract — `conformance::sweep`
    ///
    /// - Deletes at most `rows_max` rows and returns how many; never anything that still decides
    ///   an answer at `now`.
    /// - Holds the writer for one small transaction only.
    async fn sweep(&self, now: Timestamp, rows_max: usize) -> Result<usize>;

    /// A number that moves when another process changed the database, so that caches can be
    /// dropped (`PRAGMA data_version`).
    async fn outside_version(&self) -> Result<u64>;
}
