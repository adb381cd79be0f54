//! What was decided about stored clients and signed-in people, with what was known at that time, so
//! that new policies can be tried on it (design section 6, `vestibule policy replay`).
//!
//! It is a log beside the work, not a promise: the writer takes it when nobody else waits, and a
//! full writer refuses it. Not here: strangers' decisions (counted only), and whole addresses: the
//! caller cuts them to prefixes and bounds the texts.

use std::time::Duration;

use vestibule_protocol::{
    client_id::ClientKey,
    time::Timestamp,
    trust::{Risk, Trust},
};

use crate::Result;

/// Most rows; the oldest go with the row that exceeds it.
pub const DECISION_ROWS: u64 = 50_000;
/// How long a row stays, as long as there is room.
pub const DECISIONS_KEPT: Duration = Duration::from_hours(30 * 24);

/// One decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecisionRow {
    /// When.
    pub at: Timestamp,
    /// Which action of the policy schema.
    pub action: String,
    /// The client concerned.
    pub client: ClientKey,
    /// What the policies saw, as JSON.
    pub facts: String,
    /// What came of it: the trust,
    pub trust: Trust,
    /// the risk,
    pub risk: Risk,
    /// the outcomes
    pub outcomes: String,
    /// and the policies that fired.
    pub reasons: String,
    /// [`crate::versions::Document::Policy`] at that time.
    pub policy_seq: u64,
}

/// The log of decisions.
#[async_trait::async_trait]
pub trait DecisionLog: Send + Sync {
    /// Keep some decisions, in this order, in one transaction. Waits until the writer has nothing
    /// else to do: nobody's answer may depend on it.
    ///
    /// # Contract — `conformance::decisions`
    /// - All of them or none. [`crate::StoreError::Busy`] when too much waits: leave them out.
    /// - Afterwards there are at most [`DECISION_ROWS`], the newest.
    async fn record_decisions(&self, decisions: Vec<DecisionRow>) -> Result<()>;

    /// Keep one.
    async fn record_decision(&self, decision: DecisionRow) -> Result<()> {
        self.record_decisions(vec![decision]).await
    }

    /// The newest `rows_max` with a number below `before`, newest first, each with its number.
    async fn decisions(
        &self,
        before: Option<u64>,
        rows_max: usize,
    ) -> Result<Vec<(u64, DecisionRow)>>;
}
