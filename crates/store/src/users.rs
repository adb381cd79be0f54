//! People with a local account.

use vestibule_protocol::{ids::UserId, time::Timestamp};

use crate::{AuditEntry, Result};

/// A person.
#[derive(Clone, Debug)]
pub struct User {
    /// Stable id; the `sub` of tokens. Never reassigned.
    pub id: UserId,
    /// What they type to sign in; unique without regard to ASCII case.
    pub name: String,
    /// For people; may be empty.
    pub display_name: Option<String>,
    /// Mail address, if known. Never proof of anything.
    pub email: Option<String>,
    /// May administer the hub.
    pub admin: bool,
    /// PHC string of Argon2id.
    pub password_hash: String,
    /// Cannot sign in, and nothing granted works.
    pub disabled: bool,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// Local accounts.
#[async_trait::async_trait]
pub trait UserStore: Send + Sync {
    /// Make an account. Returns false if the name is taken (ASCII case ignored).
    async fn add_user(&self, user: User, audit: AuditEntry) -> Result<bool>;
    /// By the name typed.
    async fn find_user_by_name(&self, name: &str) -> Result<Option<User>>;
    /// By id.
    async fn find_user(&self, id: &UserId) -> Result<Option<User>>;
    /// Change the password; ends the person's sessions and revokes all their grants in the same
    /// transaction.
    async fn set_password(
        &self,
        id: &UserId,
        password_hash: &str,
        audit: AuditEntry,
    ) -> Result<bool>;
    /// Disable or enable; disabling ends the sessions and revokes all grants. Enabling brings none
    /// of them back.
    async fn set_disabled(&self, id: &UserId, disabled: bool, audit: AuditEntry) -> Result<bool>;
    /// Count a failed sign-in of an existing account: at most one write per account and 10 s.
    async fn note_failed_sign_in(&self, id: &UserId, now: Timestamp) -> Result<()>;
    /// All accounts, by name.
    async fn list_users(&self, rows_max: usize) -> Result<Vec<User>>;
    /// How many accounts there are.
    async fn count_users(&self) -> Result<u64>;
}
