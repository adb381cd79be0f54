//! What changed in the documents of stored clients, and when each was last looked at.
//!
//! A row here belongs to a client that a person approved once; a document of a stranger leaves
//! nothing. What a client can cause is fixed in size: so many kept changes, one touch an hour.
//!
//! Not here: reading a document (`protocol`), what counts as a change of security (`engine`), how
//! often a document is looked at.

use vestibule_protocol::{client_id::ClientKey, client_metadata::ClientMetadata, time::Timestamp};

use crate::{AuditEntry, Result};

/// Kept changes of one client at most; older ones go.
pub const CHANGES_MAX: usize = 50;

/// A document was looked at and is not what it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DocumentChange {
    /// When the document that says so was fetched: what `StoredClient::snapshot_at` is compared
    /// with.
    pub at: Timestamp,
    /// Whether it touches what a person relied on (redirect URIs, authentication, keys): then
    /// consent is asked for again.
    pub security: bool,
    /// What changed, as JSON; bounded by the caller as the document is.
    pub diff: String,
    /// Digest of the document as it is now; tells one change from another.
    pub digest: [u8; 32],
}

/// What became of [`DocumentStore::note_document`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DocumentNoted {
    /// Kept, with all that follows.
    Done,
    /// There is no live row of a document client.
    Gone,
    /// The newest kept change led to the same document; nothing changed.
    Known,
    /// The stored snapshot or the newest kept change is later; nothing changed.
    Stale,
}

/// What a look at an unchanged document gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DocumentCheck {
    /// It says what it said.
    Unchanged,
    /// Its host did not answer.
    Unreachable,
}

/// Documents of stored clients.
#[async_trait::async_trait]
pub trait DocumentStore: Send + Sync {
    /// Keep a change of a document; `metadata` is what the document says now.
    ///
    /// # Contract — `conformance::documents`
    /// - Of any number of concurrent calls with one digest exactly one returns
    ///   [`DocumentNoted::Done`]; only it writes the audit entry.
    /// - Without `security` the stored snapshot becomes `metadata`, taken at `change.at`, in the
    ///   same transaction; remembered consents stay.
    /// - With `security` the stored snapshot stays until the next approval, and remembered consents
    ///   for the client are deleted.
    /// - The newest [`CHANGES_MAX`] changes of a client are kept.
    /// - What was seen earlier than the stored snapshot or the newest kept change is
    ///   [`DocumentNoted::Stale`].
    async fn note_document(
        &self,
        key: &ClientKey,
        change: DocumentChange,
        metadata: &ClientMetadata,
        audit: AuditEntry,
    ) -> Result<DocumentNoted>;

    /// The document was looked at and nothing is to be noted. Returns whether that was written.
    ///
    /// # Contract — `conformance::documents`
    /// - At most one write an hour for each client, whatever the number of calls.
    /// - [`DocumentCheck::Unchanged`] moves `snapshot_at` too, so that the snapshot may stand in
    ///   longer; but not while a change of security waits for an approval, since then the document
    ///   does not say what is stored.
    /// - [`DocumentCheck::Unreachable`] only takes the client out of [`Self::documents_to_watch`]
    ///   for a while.
    async fn touch_document(
        &self,
        key: &ClientKey,
        check: DocumentCheck,
        at: Timestamp,
    ) -> Result<bool>;

    /// Kept changes of a client, newest first.
    async fn document_changes(
        &self,
        key: &ClientKey,
        rows_max: usize,
    ) -> Result<Vec<DocumentChange>>;

    /// Document clients with a live grant at `now` that were not looked at since `older_than`,
    /// longest ago first, each with its `client_id`.
    async fn documents_to_watch(
        &self,
        now: Timestamp,
        older_than: Timestamp,
        rows_max: usize,
    ) -> Result<Vec<(ClientKey, String)>>;
}
