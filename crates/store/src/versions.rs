//! Documents that an admin changes live, each with its history, and the heads that tell a node
//! when to read again.
//!
//! A document is text under a name. A save is a compare-and-set on its sequence, and leaves a row
//! of history in the same transaction, so that every text that ever held can be shown and brought
//! back (by saving it anew: history is never rewritten).
//!
//! Not here: what a text means (`engine` parses it before it saves).

use vestibule_protocol::time::Timestamp;

use crate::{AuditEntry, Result, words::words};

/// Most rows of history that a document has; older ones go with the save that exceeds it.
pub const VERSIONS_KEPT: u64 = 200;
/// Most octets of a document: 4 MiB.
pub const DOCUMENT_OCTETS_MAX: usize = 4 * 1024 * 1024;

words! {
    /// A named document.
    Document {
        /// The catalogue of known clients (design section 4.3).
        Catalogue = "catalogue",
        /// The policies (design section 6).
        Policy = "policy",
        /// The live settings (`engine::settings`).
        Settings = "settings",
    }
}

/// A document as it is now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Versioned {
    /// Taken in commit order, one by one; 0 is "never saved".
    pub seq: u64,
    /// What was saved; empty before the first save.
    pub text: String,
}

/// A line of a document's history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VersionRow {
    /// Which version.
    pub seq: u64,
    /// When it was saved.
    pub at: Timestamp,
    /// Who saved it, as `kind:name` (the trail's form).
    pub actor: String,
    /// What the trail says of it: `AuditEntry::detail` of the save.
    pub note: String,
}

/// The sequence of everything that a node keeps a copy of. What differs from the copy's number is
/// read again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Heads {
    /// [`Document::Settings`].
    pub settings: u64,
    /// Moves with each change of a key ([`crate::KeyStore`]).
    pub keys: u64,
    /// [`Document::Policy`].
    pub policy: u64,
    /// [`Document::Catalogue`].
    pub catalogue: u64,
    /// Moves with each change of a standing ([`crate::StandingStore`]), of an admin's client
    /// ([`crate::ClientStore`]) and of where a domain proof is ([`crate::VerificationStore`]), and
    /// with each decision of an approval ([`crate::ApprovalStore`]).
    pub lists: u64,
}

/// Documents with history.
#[async_trait::async_trait]
pub trait VersionStore: Send + Sync {
    /// The document now; seq 0 and an empty text before the first save.
    async fn load_document(&self, document: Document) -> Result<Versioned>;

    /// Replace a document if it still has `seq`; returns the new sequence or `None`.
    ///
    /// # Contract — `conformance::versions`
    /// - Of any number of concurrent calls with one `seq` exactly one returns `Some(seq + 1)`.
    /// - The document, its row of history and the line of the trail are there together or not at
    ///   all; a refused save leaves none of them.
    /// - Documents do not disturb each other.
    /// - The newest [`VERSIONS_KEPT`] versions stay readable, older ones are gone.
    /// - A text of more than [`DOCUMENT_OCTETS_MAX`] octets is
    ///   [`TooLarge`](crate::StoreError::TooLarge), whatever `seq` says; nothing is written.
    async fn save_document(
        &self,
        document: Document,
        seq: u64,
        text: &str,
        audit: AuditEntry,
    ) -> Result<Option<u64>>;

    /// The newest `rows_max` versions, newest first, the one that holds now among them.
    async fn document_versions(
        &self,
        document: Document,
        rows_max: usize,
    ) -> Result<Vec<VersionRow>>;

    /// The text of one version, if it is kept.
    async fn document_version(&self, document: Document, seq: u64) -> Result<Option<String>>;

    /// All sequences in one read, cheap enough for each second.
    async fn heads(&self) -> Result<Heads>;
}
