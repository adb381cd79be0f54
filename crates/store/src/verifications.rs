//! Domain proofs: a client shows that a domain is its own by a DNS record or a file.
//!
//! | From       | Proved     | Failed                                                     |
//! |------------|------------|------------------------------------------------------------|
//! | `pending`  | `verified` | stays; failures are counted                                |
//! | `verified` | stays      | `failing`                                                  |
//! | `failing`  | `verified` | the third in a row: `revoked`                              |
//! | `revoked`  | stays      | stays; nothing leads out of it but a new verification      |
//!
//! Not here: looking (`engine`, through `fetch`), and what a proof is worth: standing is raised
//! explicitly, elsewhere.

use vestibule_protocol::{client_id::ClientKey, time::Timestamp};

use crate::{AuditEntry, Result, words::words};

/// Rows at most. Revoked ones make room, oldest first; live ones refuse the next.
pub const VERIFICATIONS_MAX: usize = 10_000;
/// Rows of one client that are shown at most.
pub const VERIFICATIONS_SHOWN_MAX: usize = 100;
/// So many failures in a row end a proof that stood.
pub const FAILURES_MAX: u32 = 3;

words! {
    /// How a domain is proved.
    VerificationMethod {
        /// A TXT record.
        DnsTxt = "dns_txt",
        /// A file under `/.well-known/`.
        WellKnownFile = "well_known_file",
    }
}
words! {
    /// Where a proof is in its life.
    VerificationState {
        /// It stood, and was not found the last time.
        Failing = "failing",
        /// Not found yet.
        Pending = "pending",
        /// Over.
        Revoked = "revoked",
        /// It stands.
        Verified = "verified",
    }
}

/// A domain that a client proves, or did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verification {
    /// Random id.
    pub id: String,
    /// Whose.
    pub client: ClientKey,
    /// Its `client_id`.
    pub client_id: String,
    /// The domain, in the form that the caller compares.
    pub domain: String,
    /// How.
    pub method: VerificationMethod,
    /// The value to publish; public by nature.
    pub token: String,
    /// Where it is.
    pub state: VerificationState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was last looked for.
    pub checked_at: Option<Timestamp>,
    /// When it was last found.
    pub verified_at: Option<Timestamp>,
    /// When to look again.
    pub next_check_at: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// Why the last look failed; our words.
    pub last_error: Option<String>,
}

/// What became of [`VerificationStore::add_verification`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VerificationAdded {
    /// A tombstone or block stands against the client; nothing was written.
    ClientGone,
    /// The row is there.
    Done,
    /// [`VERIFICATIONS_MAX`] live ones exist; nothing was written.
    Full,
    /// A live one of this client, domain and method exists, or the id does; nothing was written.
    Taken,
}

/// What a look for a proof gave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VerificationOutcome {
    /// It is not there, for this reason.
    Failed(String),
    /// It is there.
    Proved,
}

/// From where to where [`VerificationStore::note_verification`] led; equal if nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VerificationMove {
    /// Before.
    pub from: VerificationState,
    /// After.
    pub to: VerificationState,
}

/// Domain proofs.
#[async_trait::async_trait]
pub trait VerificationStore: Send + Sync {
    /// Ask for a proof.
    ///
    /// # Contract — `conformance::verifications`
    /// - Of any number of concurrent calls for one client, domain and method exactly one returns
    ///   [`VerificationAdded::Done`].
    /// - There are never more than [`VERIFICATIONS_MAX`] rows.
    /// - Moves [`crate::versions::Heads::lists`] with the row: nodes hold proved domains in memory.
    async fn add_verification(
        &self,
        verification: Verification,
        audit: AuditEntry,
    ) -> Result<VerificationAdded>;

    /// One by id.
    async fn find_verification(&self, id: &str) -> Result<Option<Verification>>;

    /// All of a client, newest first, at most [`VERIFICATIONS_SHOWN_MAX`]; revoked ones too.
    async fn verifications_of(&self, client: &ClientKey) -> Result<Vec<Verification>>;

    /// All, newest first, older than `before` (a `created_at`, id pair is the cursor).
    async fn list_verifications(
        &self,
        before: Option<(Timestamp, String)>,
        rows_max: usize,
    ) -> Result<Vec<Verification>>;

    /// Live ones to look for now, longest due first.
    async fn due_verifications(&self, now: Timestamp, rows_max: usize)
    -> Result<Vec<Verification>>;

    /// Note what a look gave; `None` if there is no such row. The table in the head of this module
    /// holds; the verb decides, whatever its caller read before.
    ///
    /// # Contract — `conformance::verifications`
    /// - A failure before `next_check_at` is noted (`checked_at`, `last_error`) and neither counted
    ///   nor does it move anything: of many that look at the same time one counts.
    /// - A find counts at any time, and ends the row of failures.
    /// - A revoked one stays as it is.
    /// - The audit entry is written when the state moves, and the event is the verb's:
    ///   `DomainVerified`, `DomainVerificationFailing` or `DomainVerificationLost`.
    /// - [`crate::versions::Heads::lists`] moves when the state does, and only then.
    async fn note_verification(
        &self,
        id: &str,
        outcome: VerificationOutcome,
        next_check_at: Timestamp,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<Option<VerificationMove>>;

    /// End one. Returns whether this call did it.
    ///
    /// # Contract — `conformance::verifications`
    /// - Of any number of concurrent calls exactly one returns true; it writes the audit entry and
    ///   moves [`crate::versions::Heads::lists`].
    async fn revoke_verification(&self, id: &str, audit: AuditEntry) -> Result<bool>;
}
