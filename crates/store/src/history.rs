//! What this hub has seen of a client and its like: signals for an assessment, in one cheap read.
//!
//! Not here: what follows from it (`policy`), and traffic of strangers, which leaves no row.

use vestibule_protocol::{client_id::ClientKey, time::Timestamp};

use crate::Result;

/// No count of [`ClientHistory`] goes further; at this number it means "or more".
pub const COUNT_MAX: u64 = 1_000;

/// What is known of a client. Counts are exact below [`COUNT_MAX`] for clients of ordinary size,
/// and never too high.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientHistory {
    /// When this exact client got its row.
    pub first_seen: Option<Timestamp>,
    /// People with a live grant to this exact client.
    pub people: u64,
    /// Rows of the same software, this one among them.
    pub software_clients: u64,
    /// People with a live grant to any client of the same software.
    pub software_people: u64,
    /// When the first client of the same host got its row.
    pub host_first_seen: Option<Timestamp>,
    /// Kept changes of its document in the last 30 days.
    pub changes_30d: u64,
    /// When its document last changed.
    pub last_changed_at: Option<Timestamp>,
}

/// History.
#[async_trait::async_trait]
pub trait HistoryStore: Send + Sync {
    /// What is known of a client, with or without a row. An empty `software` is nobody's.
    ///
    /// # Contract — `conformance::history`
    /// - Revoked grants and grants at their end are no longer counted; a person counts once.
    /// - The work is bounded whatever the number of rows: indexes only, and no count goes beyond
    ///   [`COUNT_MAX`].
    async fn client_history(
        &self,
        key: &ClientKey,
        software: &str,
        host: Option<&str>,
        now: Timestamp,
    ) -> Result<ClientHistory>;
}
