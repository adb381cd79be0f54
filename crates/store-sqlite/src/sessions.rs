//! Browser sessions.

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, params};
use vestibule_protocol::{
    ids::{SessionHash, UserId},
    time::Timestamp,
};
use vestibule_store::{Result, SessionStore, sessions::Session, users::User};

use crate::{SqliteStore, rows, users};

#[async_trait]
impl SessionStore for SqliteStore {
    async fn open_session(&self, session: Session, replaces: Option<&SessionHash>) -> Result<()> {
        let replaces = replaces.copied();
        self.writer
            .run(move |c| {
                if let Some(old) = replaces {
                    c.execute("DELETE FROM sessions WHERE hash = ?1", [old.as_bytes()])?;
                }
                c.execute(
                    "INSERT INTO sessions VALUES (?1, ?2, ?3, ?4)",
                    params![
                        session.hash.as_bytes(),
                        session.user.as_str(),
                        rows::seconds(session.auth_time),
                        rows::seconds(session.expires_at),
                    ],
                )
                .map(drop)
            })
            .await
    }

    async fn find_session(
        &self,
        hash: &SessionHash,
        now: Timestamp,
    ) -> Result<Option<(Session, User)>> {
        self.readers.read(|c| {
            c.prepare_cached(
                "SELECT u.*, s.auth_time AS s_auth_time, s.expires_at AS s_expires_at \
                 FROM sessions s JOIN users u ON u.id = s.user \
                 WHERE s.hash = ?1 AND s.expires_at > ?2 AND u.disabled = 0",
            )?
            .query_row(params![hash.as_bytes(), rows::seconds(now)], |row| {
                let user = users::read(row)?;
                let session = Session {
                    hash: *hash,
                    user: UserId::new(user.id.as_str()),
                    auth_time: rows::time(row, "s_auth_time")?,
                    expires_at: rows::time(row, "s_expires_at")?,
                };
                Ok((session, user))
            })
            .optional()
        })
    }

    async fn close_session(&self, hash: &SessionHash) -> Result<bool> {
        let hash = *hash;
        self.writer
            .run(move |c| {
                let closed =
                    c.execute("DELETE FROM sessions WHERE hash = ?1", [hash.as_bytes()])?;
                Ok(closed == 1)
            })
            .await
    }
}
