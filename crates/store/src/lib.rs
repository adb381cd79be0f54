//! What is kept, and the promises about it.
//!
//! A method of [`Store`] is a *verb*: one named transaction with a contract in its doc comment.
//! No transaction object leaves the store, so nothing can be read in one and decided in another;
//! a guard lives in the verb, never in a prior read. Every change carries the [`AuditEntry`] that
//! is written with it. The contracts are proved by [`conformance`] on every backend.
//!
//! | Noun                                                              | File              |
//! |-------------------------------------------------------------------|-------------------|
//! | clients, tombstones                                               | [`clients`]       |
//! | changes of client documents                                       | [`documents`]     |
//! | what is known of a client and its like                            | [`history`]       |
//! | domain proofs                                                     | [`verifications`] |
//! | registered clients and their successors                           | [`supersessions`] |
//! | grants, codes, tickets, remembered consent                        | [`grants`]        |
//! | refresh families, revoked token ids                               | [`tokens`]        |
//! | people                                                            | [`users`]         |
//! | browser sessions                                                  | [`sessions`]      |
//! | wrapped keys                                                      | [`keys`]          |
//! | live settings, the issuer, initial access tokens, the set-up link | [`settings`]      |
//! | documents with history, heads                                     | [`versions`]      |
//! | the queue of approvals                                            | [`approvals`]     |
//! | what people report                                                | [`reports`]       |
//! | vouching and blocking                                             | [`standings`]     |
//! | the log of decisions                                              | [`decisions`]     |
//! | the trail                                                         | [`audit`]         |
//!
//! Not here: SQL (the backends), rules of OAuth (`engine`), anything a stranger sent. Strangers
//! write nothing, but for the bounded queue of [`approvals`] where an admin opted in.

pub mod approvals;
pub mod audit;
pub mod clients;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod decisions;
pub mod documents;
mod error;
pub mod grants;
pub mod history;
pub mod keys;
pub mod moving;
pub mod reports;
pub mod sessions;
pub mod settings;
pub mod standings;
pub mod supersessions;
pub mod tokens;
pub mod users;
pub mod verifications;
pub mod versions;
mod words;

pub use approvals::ApprovalStore;
pub use audit::{AuditEntry, AuditLog};
pub use clients::ClientStore;
pub use decisions::DecisionLog;
pub use documents::DocumentStore;
pub use error::{Result, StoreError};
pub use grants::GrantStore;
pub use history::HistoryStore;
pub use keys::KeyStore;
pub use reports::ReportStore;
pub use sessions::SessionStore;
pub use settings::SettingsStore;
pub use standings::StandingStore;
pub use supersessions::SupersessionStore;
pub use tokens::TokenStore;
pub use users::UserStore;
pub use verifications::VerificationStore;
pub use versions::VersionStore;

use vestibule_protocol::time::Timestamp;

/// Everything the engine asks of a database.
#[async_trait::async_trait]
pub trait Store:
    ApprovalStore
    + AuditLog
    + ClientStore
    + DecisionLog
    + DocumentStore
    + GrantStore
    + HistoryStore
    + KeyStore
    + ReportStore
    + SessionStore
    + SettingsStore
    + StandingStore
    + SupersessionStore
    + TokenStore
    + UserStore
    + VerificationStore
    + VersionStore
{
    /// Answers if the database can be read and written now.
    async fn ping(&self) -> Result<()>;

    /// Delete what has expired: codes, sessions, spent assertions, decided tickets, revoked token
    /// ids, tombstones, families and grants long past their end; requests for approval, standings
    /// and reports that are over; old decisions and the oldest lines of the trail
    /// ([`audit::AUDIT_KEPT`]).
    ///
    /// # Contract — `conformance::sweep`
    ///
    /// - Deletes at most `rows_max` rows and returns how many; never anything that still decides
    ///   an answer at `now`.
    /// - Holds the writer for one small transaction only.
    async fn sweep(&self, now: Timestamp, rows_max: usize) -> Result<usize>;

    /// A number that moves with each commit of this process that may have changed more than hot
    /// rows: whatever [`ClientStore::find_client`], [`UserStore::find_user`],
    /// [`SessionStore::find_session`] and [`TokenStore::token_is_live`] found there before. What is
    /// not there is never remembered, so that new rows need not move it.
    ///
    /// # Contract — `conformance::changes`
    ///
    /// - It has moved by the time that such a verb answers, and rows that are read when it has moved
    ///   are the new ones.
    /// - Codes, plain rotations, assertions, decisions and the sweep do not move it, so that what was
    ///   read is worth remembering under load.
    fn changes(&self) -> u64;

    /// A number that moves when another process changed what a node may hold in memory, so that
    /// caches can be dropped: everything (SQLite's `PRAGMA data_version`), or what [`VersionStore::heads`]
    /// counts.
    async fn outside_version(&self) -> Result<u64>;

    /// Answer what waits, bring the database into order, and end; later verbs fail.
    async fn close(&self);
}
