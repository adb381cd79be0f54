//! Signing and sealing keys, wrapped by the master key. The store never sees one in the clear.

use vestibule_protocol::time::Timestamp;

use crate::{AuditEntry, Result};

/// What a key is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum KeyUse {
    /// Sealing and MACs: 32 bytes.
    Seal,
    /// Signs access tokens: ES256.
    SignEs256,
    /// Signs access tokens: EdDSA.
    SignEdDsa,
    /// Signs ID tokens: RS256 (OIDC-03).
    SignRs256,
}

impl KeyUse {
    /// Every use.
    pub const ALL: [Self; 4] = [
        Self::Seal,
        Self::SignEdDsa,
        Self::SignEs256,
        Self::SignRs256,
    ];

    /// As stored, shown, and bound into the wrapping.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::SignEdDsa => "sign-eddsa",
            Self::SignEs256 => "sign-es256",
            Self::SignRs256 => "sign-rs256",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// Where a key is in its life (design section 9): no node meets a key it lacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyPhase {
    /// Published and accepted, not used yet.
    Staged,
    /// In use. One per use.
    Active,
    /// Accepted and published, no longer used.
    Retiring,
    /// Deleted at the next sweep; not accepted.
    Gone,
}

impl KeyPhase {
    /// Every phase, in the order of a key's life.
    pub const ALL: [Self; 4] = [Self::Staged, Self::Active, Self::Retiring, Self::Gone];

    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Gone => "gone",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// A key row.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// Unique number; sealed objects and MACs carry it.
    pub id: u16,
    /// What for.
    pub usage: KeyUse,
    /// Where in its life.
    pub phase: KeyPhase,
    /// The key bytes, wrapped.
    pub wrapped: Vec<u8>,
    /// When made.
    pub created_at: Timestamp,
    /// When it entered its phase.
    pub phase_since: Timestamp,
}

/// A key to add; the store numbers it.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What for.
    pub usage: KeyUse,
    /// Its first phase.
    pub phase: KeyPhase,
    /// Wrapped bytes.
    pub wrapped: Vec<u8>,
    /// When.
    pub created_at: Timestamp,
}

/// Keys.
#[async_trait::async_trait]
pub trait KeyStore: Send + Sync {
    /// All keys that are not gone, oldest first, and the sequence of the last change.
    async fn load_keys(&self) -> Result<(u64, Vec<StoredKey>)>;
    /// Add first keys for those uses that have no key at all; two nodes that start at once end
    /// with one set. Returns how many were added.
    async fn add_missing_keys(&self, keys: Vec<NewKey>, audit: AuditEntry) -> Result<usize>;
    /// Add a staged key for a use.
    async fn stage_key(&self, key: NewKey, audit: AuditEntry) -> Result<u16>;
    /// Make a staged key the active one; the active one retires. Returns false if `id` is not
    /// staged.
    async fn activate_key(&self, id: u16, now: Timestamp, audit: AuditEntry) -> Result<bool>;
    /// End a retiring key. Returns false if it is not retiring.
    async fn end_key(&self, id: u16, now: Timestamp, audit: AuditEntry) -> Result<bool>;
}
