//! What people say against a client, from the "report" button of the consent page (design
//! section 8). A report by itself changes nothing; how many there are is a signal.
//!
//! Not here: what the number leads to (`policy`).

use std::time::Duration;

use vestibule_protocol::{client_id::ClientKey, ids::UserId, time::Timestamp};

use crate::{AuditEntry, Result, words::words};

/// How long a report counts.
pub const REPORTS_KEPT: Duration = Duration::from_hours(180 * 24);

words! {
    /// Why.
    ReportReason {
        /// It pretends to be somebody else.
        Impersonation = "impersonation",
        /// It did harm.
        Harmful = "harmful",
        /// It asks for more than it needs.
        TooMuch = "too_much",
        /// The person did not start this.
        Unexpected = "unexpected",
        /// None of these.
        Other = "other",
    }
}

/// A stored report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Who.
    pub user: UserId,
    /// Against which client.
    pub client: ClientKey,
    /// Why.
    pub reason: ReportReason,
    /// When.
    pub at: Timestamp,
}

/// Reports.
#[async_trait::async_trait]
pub trait ReportStore: Send + Sync {
    /// A person reports a client. Returns false if they did so before and it still counts.
    ///
    /// # Contract — `conformance::reports`
    /// - One report for each person and client that counts: of any number of concurrent calls
    ///   exactly one returns true, and leaves the line of the trail.
    /// - Works for clients with and without a row.
    async fn report_client(
        &self,
        user: &UserId,
        client: &ClientKey,
        reason: ReportReason,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool>;

    /// How many people reported a client within [`REPORTS_KEPT`] before `now`. The sweep does not
    /// move it.
    async fn count_reports(&self, client: &ClientKey, now: Timestamp) -> Result<u64>;

    /// What was reported of a client, newest first.
    async fn list_reports(&self, client: &ClientKey, rows_max: usize) -> Result<Vec<Report>>;
}
