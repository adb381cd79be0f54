//! What an admin changes live, the issuer that the data belongs to, initial access tokens, and the
//! one-time set-up link.

use vestibule_protocol::time::Timestamp;

use crate::{
    AuditEntry, Result, VersionStore,
    users::User,
    versions::{Document, Versioned},
};

/// Live settings as stored: a document that the engine reads, with its sequence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredSettings {
    /// Taken in commit order; 0 is "never saved".
    pub seq: u64,
    /// JSON text.
    pub document: String,
}

/// An initial access token (RFC 7591 §3): lets its holder register while the door says `token`.
#[derive(Clone, Debug)]
pub struct InitialToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// For the admin's list.
    pub note: String,
    /// How many registrations are left.
    pub uses_left: u32,
    /// Dead from then on.
    pub expires_at: Timestamp,
    /// Clamps: scopes that may be registered (space-separated), `None` for any.
    pub scopes: Option<String>,
    /// Clamps: redirect hosts, empty for any.
    pub redirect_hosts: Vec<String>,
    /// Whether `client_credentials` may be registered.
    pub client_credentials: bool,
    /// When made.
    pub created_at: Timestamp,
}

/// Settings.
#[async_trait::async_trait]
pub trait SettingsStore: VersionStore {
    /// The settings now; seq 0 and an empty document before the first save.
    async fn load_settings(&self) -> Result<StoredSettings> {
        let Versioned { seq, text } = self.load_document(Document::Settings).await?;
        Ok(StoredSettings {
            seq,
            document: text,
        })
    }
    /// Replace the settings if they still have `seq`; returns the new sequence or `None`.
    async fn save_settings(
        &self,
        seq: u64,
        document: &str,
        audit: AuditEntry,
    ) -> Result<Option<u64>> {
        self.save_document(Document::Settings, seq, document, audit)
            .await
    }

    /// The issuer that this database belongs to: the kept one, or `issuer` if none was kept, which
    /// is kept from then on. Of concurrent first calls one decides (MCP-07).
    async fn keep_issuer(&self, issuer: &str) -> Result<String>;
    /// The kept issuer, if any; no change.
    async fn load_issuer(&self) -> Result<Option<String>>;
    /// Put `to` in the place of `from`; false, and no change, if `from` is not the kept one.
    async fn replace_issuer(&self, from: &str, to: &str, audit: AuditEntry) -> Result<bool>;

    /// Keep an initial access token.
    async fn add_initial_token(&self, token: InitialToken, audit: AuditEntry) -> Result<()>;
    /// The token, if it still has uses at `now`; no change.
    async fn find_initial_token(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<InitialToken>>;
    /// Use it once. Of concurrent calls no more than `uses_left` return true.
    async fn spend_initial_token(&self, hash: &[u8; 32], now: Timestamp) -> Result<bool>;
    /// All of them, newest first.
    async fn list_initial_tokens(&self, rows_max: usize) -> Result<Vec<InitialToken>>;
    /// Take one back by the start of its hash in hex (at least 8 digits).
    async fn remove_initial_token(&self, hash_prefix: &str, audit: AuditEntry) -> Result<bool>;

    /// Keep the hash of the set-up link; replaces an earlier one.
    async fn put_setup_link(&self, hash: [u8; 32], expires_at: Timestamp) -> Result<()>;
    /// Is this the link, unused, and are there no accounts yet?
    async fn setup_link_is_live(&self, hash: &[u8; 32], now: Timestamp) -> Result<bool>;
    /// Make the first admin with the link, in one transaction; false if the link is not live (then
    /// nothing is written). Exactly one of concurrent calls wins.
    async fn spend_setup_link(
        &self,
        hash: &[u8; 32],
        user: User,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool>;
}
