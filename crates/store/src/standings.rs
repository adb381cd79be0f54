//! For whom an admin vouches, and whom an admin blocks, by exact identity: a client, or an https
//! redirect URI (design sections 4.3 and 7: promotion is explicit and exact).
//!
//! Not here: the standing of a client's own row ([`crate::clients::StoredClient::standing`]), the
//! catalogue (a document), tombstones.

use vestibule_protocol::{client_id::ClientKey, time::Timestamp};

use crate::{AuditEntry, Result, words::words};

words! {
    /// What a subject is. A document's URL can be somebody's redirect URI too: these are two
    /// subjects.
    SubjectKind {
        /// A client, by its key.
        Client = "client",
        /// An https redirect URI.
        RedirectUri = "redirect_uri",
    }
}
words! {
    /// What an admin says of a subject.
    Word {
        /// Nothing with it goes on.
        Blocked = "blocked",
        /// An admin vouches for it.
        Verified = "verified",
    }
}

/// Of whom something is said: compared octet by octet, never as a pattern.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// SHA-256 of its octets.
    pub hash: [u8; 32],
}

impl Subject {
    /// A client, by its whole key.
    pub const fn client(key: &ClientKey) -> Self {
        Self {
            kind: SubjectKind::Client,
            hash: *key.as_bytes(),
        }
    }

    /// A redirect URI, by its octets as registered. The caller has made sure that it is https.
    pub fn redirect_uri(uri: &str) -> Self {
        Self {
            kind: SubjectKind::RedirectUri,
            // The same hash over other octets; the kind keeps the two apart.
            hash: *ClientKey::of(uri).as_bytes(),
        }
    }
}

/// What is said of a subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StandingRow {
    /// Of whom.
    pub subject: Subject,
    /// The octets themselves, for people.
    pub subject_text: String,
    /// What.
    pub word: Word,
    /// Who says so, as the admin is called.
    pub by: String,
    /// Why, for the admin's list.
    pub note: String,
    /// Since when.
    pub at: Timestamp,
    /// Over from then on; `None` for no end.
    pub until: Option<Timestamp>,
}

/// Standings.
#[async_trait::async_trait]
pub trait StandingStore: Send + Sync {
    /// Say something of a subject, in place of what was said before.
    ///
    /// # Contract — `conformance::standings`
    /// - Blocking a client revokes, in the same transaction, its grants and families, and deletes
    ///   its codes and remembered consents, as [`crate::ClientStore::remove_client`] does. Its row
    ///   stays.
    /// - A block of a client or of the redirect URI in use that holds when
    ///   [`crate::GrantStore::approve`] runs wins: `ClientGone`. So after a block no grant of the
    ///   client lives, whatever ran beside it.
    /// - Moves [`crate::versions::Heads::lists`].
    async fn put_standing(&self, standing: StandingRow, audit: AuditEntry) -> Result<()>;

    /// Say nothing of a subject any more. What a block ended stays ended. Returns whether there was
    /// something; only then the trail gets its line and [`crate::versions::Heads::lists`] moves.
    async fn remove_standing(&self, subject: &Subject, audit: AuditEntry) -> Result<bool>;

    /// What holds at `now` of some subjects (a client and its redirect URIs), in one read, in no
    /// order.
    async fn standings_of(&self, subjects: &[Subject], now: Timestamp) -> Result<Vec<StandingRow>>;

    /// Everything that is said, over or not, newest first, at most `rows_max`, older than `before`
    /// (an `at`, subject pair is the cursor).
    async fn list_standings(
        &self,
        before: Option<(Timestamp, Subject)>,
        rows_max: usize,
    ) -> Result<Vec<StandingRow>>;
}
