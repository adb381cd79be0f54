//! Local accounts.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use vestibule_protocol::{ids::UserId, time::Timestamp};
use vestibule_store::{AuditEntry, Result, UserStore, users::User};

use crate::{SqliteStore, rows};

/// Failed sign-ins are written at most so often (design section 5).
const FAILURE_SECONDS: i64 = 10;

pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId::new(row.get::<_, String>("id")?),
        name: row.get("name")?,
        display_name: row.get("display_name")?,
        email: row.get("email")?,
        admin: row.get("admin")?,
        password_hash: row.get("password_hash")?,
        disabled: row.get("disabled")?,
        created_at: rows::time(row, "created_at")?,
    })
}

pub(crate) fn insert(c: &Connection, user: &User) -> rusqlite::Result<bool> {
    let inserted = c.execute(
        "INSERT INTO users (id, name, name_folded, display_name, email, admin, password_hash, \
         disabled, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT (name_folded) DO NOTHING",
        params![
            user.id.as_str(),
            user.name,
            user.name.to_ascii_lowercase(),
            user.display_name,
            user.email,
            user.admin,
            user.password_hash,
            user.disabled,
            rows::seconds(user.created_at),
        ],
    )?;
    Ok(inserted == 1)
}

/// End what the person has open, in browsers and at agents (RFC 9700 §4.14.2).
fn end_everything(c: &Connection, id: &str) -> rusqlite::Result<()> {
    c.execute("DELETE FROM sessions WHERE user = ?1", [id])?;
    let mut live = c.prepare_cached("SELECT id FROM grants WHERE user = ?1 AND revoked = 0")?;
    let grants: Vec<String> = live
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for grant in grants {
        crate::grants::revoke(c, &grant)?;
    }
    Ok(())
}

#[async_trait]
impl UserStore for SqliteStore {
    async fn add_user(&self, user: User, audit: AuditEntry) -> Result<bool> {
        self.writer
            .run(move |c| {
                let added = insert(c, &user)?;
                if added {
                    rows::audit(c, &audit)?;
                }
                Ok(added)
            })
            .await
    }

    async fn find_user_by_name(&self, name: &str) -> Result<Option<User>> {
        let folded = name.to_ascii_lowercase();
        self.readers.read(|c| {
            c.prepare_cached("SELECT * FROM users WHERE name_folded = ?1")?
                .query_row([folded], read)
                .optional()
        })
    }

    async fn find_user(&self, id: &UserId) -> Result<Option<User>> {
        self.readers.read(|c| {
            c.prepare_cached("SELECT * FROM users WHERE id = ?1")?
                .query_row([id.as_str()], read)
                .optional()
        })
    }

    async fn set_password(
        &self,
        id: &UserId,
        password_hash: &str,
        audit: AuditEntry,
    ) -> Result<bool> {
        let (id, hash) = (id.clone(), password_hash.to_owned());
        self.writer
            .run(move |c| {
                let changed = c.execute(
                    "UPDATE users SET password_hash = ?2 WHERE id = ?1",
                    params![id.as_str(), hash],
                )?;
                if changed == 1 {
                    end_everything(c, id.as_str())?;
                    rows::audit(c, &audit)?;
                }
                Ok(changed == 1)
            })
            .await
    }

    async fn set_disabled(&self, id: &UserId, disabled: bool, audit: AuditEntry) -> Result<bool> {
        let id = id.clone();
        self.writer
            .run(move |c| {
                let changed = c.execute(
                    "UPDATE users SET disabled = ?2 WHERE id = ?1",
                    params![id.as_str(), disabled],
                )?;
                if changed == 1 {
                    if disabled {
                        end_everything(c, id.as_str())?;
                    }
                    rows::audit(c, &audit)?;
                }
                Ok(changed == 1)
            })
            .await
    }

    async fn note_failed_sign_in(&self, id: &UserId, now: Timestamp) -> Result<()> {
        let (id, now) = (id.clone(), rows::seconds(now));
        let due = self.readers.read(|c| {
            c.prepare_cached("SELECT failed_at <= ?2 FROM users WHERE id = ?1")?
                .query_row(params![id.as_str(), now - FAILURE_SECONDS], |row| {
                    row.get(0)
                })
                .optional()
        })?;
        if due != Some(true) {
            return Ok(());
        }
        self.writer
            .run(move |c| {
                c.execute(
                    "UPDATE users SET failed_at = ?2, failures = failures + 1 \
                     WHERE id = ?1 AND failed_at <= ?3",
                    params![id.as_str(), now, now - FAILURE_SECONDS],
                )
                .map(drop)
            })
            .await
    }

    async fn list_users(&self, rows_max: usize) -> Result<Vec<User>> {
        let limit = rows::limit(rows_max);
        self.readers.read(|c| {
            c.prepare_cached("SELECT * FROM users ORDER BY name_folded LIMIT ?1")?
                .query_map([limit], read)?
                .collect()
        })
    }

    async fn count_users(&self) -> Result<u64> {
        let count: i64 = self
            .readers
            .read(|c| c.query_row("SELECT count(*) FROM users", [], |r| r.get(0)))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
