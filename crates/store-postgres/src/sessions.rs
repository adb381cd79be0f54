//! Browser sessions.

use async_trait::async_trait;
use vestibule_protocol::{
    ids::{SessionHash, UserId},
    time::Timestamp,
};
use vestibule_store::{Result, SessionStore, sessions::Session, users::User};

use crate::{PostgresStore, rows, users};

#[async_trait]
impl SessionStore for PostgresStore {
    async fn open_session(&self, session: Session, replaces: Option<&SessionHash>) -> Result<()> {
        let replaces = replaces.map(|hash| hash.as_bytes().as_slice());
        self.rows(
            "WITH before AS (DELETE FROM sessions WHERE hash = $5) \
             INSERT INTO sessions (hash, user_id, auth_time, expires_at) VALUES ($1, $2, $3, $4)",
            &[
                &session.hash.as_bytes().as_slice(),
                &session.user.as_str(),
                &rows::seconds(session.auth_time),
                &rows::seconds(session.expires_at),
                &replaces,
            ],
        )
        .await
        .map(drop)
    }

    async fn find_session(
        &self,
        hash: &SessionHash,
        now: Timestamp,
    ) -> Result<Option<(Session, User)>> {
        self.read(
            concat!(
                "SELECT ",
                users::columns!(),
                ", s.auth_time AS s_auth_time, s.expires_at AS s_expires_at \
                 FROM sessions s JOIN users u ON u.id = s.user_id \
                 WHERE s.hash = $1 AND s.expires_at > $2 AND NOT u.disabled"
            ),
            &[&hash.as_bytes().as_slice(), &rows::seconds(now)],
            |row| {
                let user = users::read(row)?;
                let session = Session {
                    hash: *hash,
                    user: UserId::new(user.id.as_str()),
                    auth_time: rows::time(row, "s_auth_time")?,
                    expires_at: rows::time(row, "s_expires_at")?,
                };
                Ok((session, user))
            },
        )
        .await
    }

    async fn close_session(&self, hash: &SessionHash) -> Result<bool> {
        let closed = self
            .row(
                "DELETE FROM sessions WHERE hash = $1 RETURNING 1",
                &[&hash.as_bytes().as_slice()],
            )
            .await?;
        Ok(closed.is_some())
    }
}
