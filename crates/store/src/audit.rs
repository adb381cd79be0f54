//! The trail: who changed what. An entry is an argument of the verb that makes the change and is
//! written in the same transaction; there is no way to change without one.
//!
//! Not here: strangers' traffic (counted in memory only) and plain refreshes (the family row's own
//! columns say when and how often).

use std::time::Duration;

use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    ids::GrantId,
    time::Timestamp,
};

/// How long a line stays: a year and the month in which somebody looks back at it. The sweep takes
/// older ones.
pub const AUDIT_KEPT: Duration = Duration::from_hours(400 * 24);

/// One line of the trail.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// Who did it.
    pub actor: Actor,
    /// The client concerned.
    pub client: Option<ClientKey>,
    /// The grant concerned.
    pub grant: Option<GrantId>,
    /// Prefix of the source address (IPv4 /24, IPv6 /48), never the whole address.
    pub source: Option<String>,
    /// A short plain sentence; no secrets, no raw client text.
    pub detail: String,
}

/// A stored entry.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// Its place in the trail.
    pub seq: u64,
    /// What was written.
    pub entry: AuditEntry,
}

/// Reading the trail.
#[async_trait::async_trait]
pub trait AuditLog: Send + Sync {
    /// The newest `rows_max` entries with `seq < before`, newest first.
    async fn audit_rows(
        &self,
        before: Option<u64>,
        rows_max: usize,
    ) -> crate::Result<Vec<AuditRow>>;
}
