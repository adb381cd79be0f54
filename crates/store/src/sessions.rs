//! Browser sessions of people who signed in. The cookie's value is 32 random bytes; only its
//! SHA-256 is here.

use vestibule_protocol::{
    ids::{SessionHash, UserId},
    time::Timestamp,
};

use crate::{Result, users::User};

/// A signed-in browser.
#[derive(Clone, Debug)]
pub struct Session {
    /// SHA-256 of the cookie's value.
    pub hash: SessionHash,
    /// Who.
    pub user: UserId,
    /// When the person proved who they are; `auth_time`.
    pub auth_time: Timestamp,
    /// Dead from then on.
    pub expires_at: Timestamp,
}

/// Sessions.
#[async_trait::async_trait]
pub trait SessionStore: Send + Sync {
    /// Open a session, and close the one that the browser had before (A12: a new id at sign-in).
    async fn open_session(&self, session: Session, replaces: Option<&SessionHash>) -> Result<()>;
    /// A live session and its enabled user.
    async fn find_session(
        &self,
        hash: &SessionHash,
        now: Timestamp,
    ) -> Result<Option<(Session, User)>>;
    /// Sign out.
    async fn close_session(&self, hash: &SessionHash) -> Result<bool>;
}
