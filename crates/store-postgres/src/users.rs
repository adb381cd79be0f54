//! Local accounts.

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::{ids::UserId, time::Timestamp};
use vestibule_store::{AuditEntry, Result, UserStore, users::User};

use crate::{
    PostgresStore, grants,
    pool::{Patience, Work, transact},
    rows::{self, Outcome},
};

/// Failed sign-ins are written at most so often (design section 5).
const FAILURE_SECONDS: i64 = 10;

/// The columns that [`read`] reads.
macro_rules! columns {
    () => {
        "u.id, u.name, u.display_name, u.email, u.admin, u.password_hash, u.disabled, u.created_at"
    };
}
pub(crate) use columns;

pub(crate) fn read(row: &Row) -> Outcome<User> {
    Ok(User {
        id: UserId::new(rows::get::<String>(row, "id")?),
        name: rows::get(row, "name")?,
        display_name: rows::get(row, "display_name")?,
        email: rows::get(row, "email")?,
        admin: rows::get(row, "admin")?,
        password_hash: rows::get(row, "password_hash")?,
        disabled: rows::get(row, "disabled")?,
        created_at: rows::time(row, "created_at")?,
    })
}

/// An account, as the columns of its row.
struct New {
    name: String,
    folded: String,
    display_name: Option<String>,
    email: Option<String>,
    created_at: i64,
}

impl New {
    fn of(user: &User) -> Self {
        let name = rows::text(&user.name);
        Self {
            folded: name.to_ascii_lowercase(),
            name,
            display_name: user.display_name.as_deref().map(rows::text),
            email: user.email.as_deref().map(rows::text),
            created_at: rows::seconds(user.created_at),
        }
    }
}

/// Make an account in a transaction; false if the name is taken.
pub(crate) async fn insert(w: &Work, user: &User) -> Outcome<bool> {
    let new = New::of(user);
    let inserted = w
        .change(
            "INSERT INTO users (id, name, name_folded, display_name, email, admin, \
             password_hash, disabled, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (name_folded) DO NOTHING",
            &[
                &user.id.as_str(),
                &new.name,
                &new.folded,
                &new.display_name,
                &new.email,
                &user.admin,
                &user.password_hash,
                &user.disabled,
                &new.created_at,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// End what the person has open, in browsers and at agents (RFC 9700 §4.14.2).
async fn end_everything(w: &Work, id: &str) -> Outcome<()> {
    w.change("DELETE FROM sessions WHERE user_id = $1", &[&id])
        .await?;
    let live = w
        .rows(
            "SELECT id FROM grants WHERE user_id = $1 AND NOT revoked ORDER BY id FOR UPDATE",
            &[&id],
        )
        .await?;
    let live: Vec<String> = live
        .iter()
        .map(|row| rows::get(row, "id"))
        .collect::<Outcome<_>>()?;
    grants::revoke_all(w, &live).await.map(drop)
}

#[async_trait]
impl UserStore for PostgresStore {
    async fn add_user(&self, user: User, audit: AuditEntry) -> Result<bool> {
        transact!(self, |w| {
            let added = insert(w, &user).await?;
            if added {
                w.audit(&audit).await?;
            }
            Ok(added)
        })
    }

    async fn find_user_by_name(&self, name: &str) -> Result<Option<User>> {
        let folded = rows::text(name).to_ascii_lowercase();
        self.read(
            concat!(
                "SELECT ",
                columns!(),
                " FROM users u WHERE name_folded = $1"
            ),
            &[&folded],
            read,
        )
        .await
    }

    async fn find_user(&self, id: &UserId) -> Result<Option<User>> {
        self.read(
            concat!("SELECT ", columns!(), " FROM users u WHERE id = $1"),
            &[&id.as_str()],
            read,
        )
        .await
    }

    async fn set_password(
        &self,
        id: &UserId,
        password_hash: &str,
        audit: AuditEntry,
    ) -> Result<bool> {
        transact!(self, Patience::Long, |w| {
            let changed = w
                .change(
                    "UPDATE users SET password_hash = $2 WHERE id = $1",
                    &[&id.as_str(), &password_hash],
                )
                .await?;
            if changed == 1 {
                end_everything(w, id.as_str()).await?;
                w.audit(&audit).await?;
            }
            Ok(changed == 1)
        })
    }

    async fn set_disabled(&self, id: &UserId, disabled: bool, audit: AuditEntry) -> Result<bool> {
        transact!(self, Patience::Long, |w| {
            let changed = w
                .change(
                    "UPDATE users SET disabled = $2 WHERE id = $1",
                    &[&id.as_str(), &disabled],
                )
                .await?;
            if changed == 1 {
                if disabled {
                    end_everything(w, id.as_str()).await?;
                }
                w.audit(&audit).await?;
            }
            Ok(changed == 1)
        })
    }

    async fn note_failed_sign_in(&self, id: &UserId, now: Timestamp) -> Result<()> {
        let now = rows::seconds(now);
        self.rows(
            "UPDATE users SET failed_at = $2, failures = failures + 1 \
             WHERE id = $1 AND failed_at <= $3",
            &[&id.as_str(), &now, &(now - FAILURE_SECONDS)],
        )
        .await
        .map(drop)
    }

    async fn list_users(&self, rows_max: usize) -> Result<Vec<User>> {
        self.read_all(
            concat!(
                "SELECT ",
                columns!(),
                " FROM users u ORDER BY name_folded LIMIT $1"
            ),
            &[&rows::limit(rows_max)],
            read,
        )
        .await
    }

    async fn count_users(&self) -> Result<u64> {
        let count = self
            .read("SELECT count(*) AS count FROM users", &[], |row| {
                rows::unsigned(row, "count")
            })
            .await?;
        Ok(count.unwrap_or(0))
    }
}
