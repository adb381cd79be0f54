//! Stored clients and tombstones.
//!
//! A client comes to be as a row when an admin makes it, or in the transaction of the first
//! approval ([`crate::GrantStore::approve`]). Before that a registration is sealed into its own
//! `client_id`, and a document lives at its URL: neither is here.

use vestibule_protocol::{
    client_id::ClientKey,
    client_metadata::ClientMetadata,
    time::Timestamp,
    trust::{Door, Standing},
};

use crate::{AuditEntry, Result};

/// A client with a row.
#[derive(Clone, Debug)]
pub struct StoredClient {
    /// SHA-256 of `client_id`: the key of everything.
    pub key: ClientKey,
    /// The octets received; identity is exact (threats, section 5, rule 3).
    pub client_id: String,
    /// How it came to be (CIMD-73: the prefix of the id alone is no proof).
    pub door: Door,
    /// What an admin or the catalogue says of it.
    pub standing: Standing,
    /// What it registered, or the document's snapshot at the last approval.
    pub metadata: ClientMetadata,
    /// SHA-256 of its secret.
    pub secret_hash: Option<[u8; 32]>,
    /// SHA-256 of its registration access token (RFC 7592).
    pub management_hash: Option<[u8; 32]>,
    /// Resources that it may introspect tokens of (it *is* the resource server of these).
    pub introspects: Vec<String>,
    /// Scopes it may have without a person (`client_credentials`), admin-made clients only.
    pub machine_scopes: Option<String>,
    /// Scopes that it may have at most, where an initial access token clamped it.
    pub scope_ceiling: Option<String>,
    /// What registrations of the same program share, normalised by the caller; empty if unknown.
    pub software: String,
    /// The host that it answers for, such as its document's.
    pub host: Option<String>,
    /// When it registered, or its document was first seen; never after `created_at`.
    pub issued_at: Timestamp,
    /// When `metadata` was last known to be what the document says; `created_at` for others.
    pub snapshot_at: Timestamp,
    /// When the row was made.
    pub created_at: Timestamp,
    /// Moves with each change; [`ClientStore::replace_client`] compares it.
    pub version: u64,
}

/// What the store knows of a client key.
#[derive(Clone, Debug)]
pub enum ClientLookup {
    /// A live row.
    Active(Box<StoredClient>),
    /// An admin blocked it; answers are neutral.
    Blocked,
    /// Deleted, and its id may not come back before the tombstone's end.
    Gone,
    /// No row: the only answer after which another door may be asked.
    NeverSeen,
}

/// What became of [`ClientStore::add_client`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Added {
    /// The row is there.
    Done,
    /// A row or tombstone with this key exists; nothing changed.
    Taken,
}

/// What became of [`ClientStore::replace_client`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replaced {
    /// The row has the new values and the next version.
    Done,
    /// Somebody else changed it meanwhile; nothing changed.
    Stale,
    /// There is no live row.
    Gone,
}

/// Clients.
#[async_trait::async_trait]
pub trait ClientStore: Send + Sync {
    /// Who is this to us? A failure is an error and never [`ClientLookup::NeverSeen`] (R17).
    async fn find_client(&self, key: &ClientKey) -> Result<ClientLookup>;

    /// Make an admin's client.
    ///
    /// # Contract — `conformance::clients`
    /// - Of any number of concurrent calls with one key exactly one returns [`Added::Done`].
    /// - Moves [`crate::versions::Heads::lists`] if the door is [`Door::Admin`]: nodes hold the names
    ///   of an admin's clients in memory.
    async fn add_client(&self, client: StoredClient, audit: AuditEntry) -> Result<Added>;

    /// Replace the metadata (RFC 7592 §2.2) and the management token's hash.
    ///
    /// # Contract — `conformance::clients`
    /// - Happens only if the live row still has `version`.
    /// - With `ends_codes`, unredeemed codes of the client and remembered consent for it are
    ///   deleted in the same transaction (DCRM-18).
    /// - Moves [`crate::versions::Heads::lists`] if the row's door is [`Door::Admin`].
    async fn replace_client(
        &self,
        key: &ClientKey,
        version: u64,
        change: ClientChange,
        audit: AuditEntry,
    ) -> Result<Replaced>;

    /// Delete a client and leave a tombstone until `until`, also when there is no row yet.
    ///
    /// # Contract — `conformance::clients`
    /// - In one transaction: the row goes, its grants and families are revoked, its codes and
    ///   remembered consents deleted, its domain verifications revoked, its kept changes of a
    ///   document deleted, the tombstone stands.
    /// - Afterwards [`Self::find_client`] answers `Gone` (or `Blocked` with `block`), and
    ///   `approve` for it answers `ClientGone`.
    /// - Moves [`crate::versions::Heads::lists`] if the row's door was [`Door::Admin`] or a domain
    ///   verification was revoked.
    /// - Returns whether a live row was there.
    async fn remove_client(
        &self,
        key: &ClientKey,
        until: Timestamp,
        block: bool,
        audit: AuditEntry,
    ) -> Result<bool>;

    /// Live rows, newest first, at most `rows_max`, older than `before` (a `created_at`, key pair
    /// is the cursor).
    async fn list_clients(
        &self,
        before: Option<(Timestamp, ClientKey)>,
        rows_max: usize,
    ) -> Result<Vec<StoredClient>>;

    /// How many live rows there are.
    async fn count_clients(&self) -> Result<u64>;
}

/// The new values of [`ClientStore::replace_client`].
#[derive(Clone, Debug)]
pub struct ClientChange {
    /// New metadata, whole.
    pub metadata: ClientMetadata,
    /// New hash of the registration access token.
    pub management_hash: Option<[u8; 32]>,
    /// New hash of the client secret.
    pub secret_hash: Option<[u8; 32]>,
    /// Redirect URIs, keys or name changed: codes and remembered consent end.
    pub ends_codes: bool,
}
