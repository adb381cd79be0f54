//! The issuer, initial access tokens, the set-up link. The settings are a document
//! ([`crate::versions`]).

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use vestibule_protocol::time::Timestamp;
use vestibule_store::{AuditEntry, Result, SettingsStore, settings::InitialToken, users::User};

use crate::{SqliteStore, rows, users};

fn read_token(row: &Row<'_>) -> rusqlite::Result<InitialToken> {
    let hosts: String = row.get("redirect_hosts")?;
    Ok(InitialToken {
        hash: row.get("hash")?,
        note: row.get("note")?,
        uses_left: row.get("uses_left")?,
        expires_at: rows::time(row, "expires_at")?,
        scopes: row.get("scopes")?,
        redirect_hosts: hosts.lines().map(str::to_owned).collect(),
        client_credentials: row.get("client_credentials")?,
        created_at: rows::time(row, "created_at")?,
    })
}

const LIVE_LINK: &str = "SELECT EXISTS (SELECT 1 FROM setup_link WHERE hash = ?1 AND expires_at > ?2) \
                         AND NOT EXISTS (SELECT 1 FROM users)";

pub(crate) fn read_issuer(c: &Connection) -> rusqlite::Result<Option<String>> {
    c.query_row(
        "SELECT document FROM heads WHERE name = 'issuer'",
        [],
        |row| row.get(0),
    )
    .optional()
}

#[async_trait]
impl SettingsStore for SqliteStore {
    async fn keep_issuer(&self, issuer: &str) -> Result<String> {
        if let Some(kept) = self.load_issuer().await? {
            return Ok(kept);
        }
        let issuer = issuer.to_owned();
        self.writer
            .run(move |c| {
                c.execute(
                    "INSERT INTO heads VALUES ('issuer', 1, ?1) ON CONFLICT (name) DO NOTHING",
                    [issuer],
                )?;
                read_issuer(c)?.ok_or_else(|| rows::damaged("the issuer"))
            })
            .await
    }

    async fn load_issuer(&self) -> Result<Option<String>> {
        self.readers.read(read_issuer)
    }

    async fn replace_issuer(&self, from: &str, to: &str, audit: AuditEntry) -> Result<bool> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.writer
            .run(move |c| {
                let replaced = c.execute(
                    "UPDATE heads SET seq = seq + 1, document = ?2 \
                     WHERE name = 'issuer' AND document = ?1",
                    params![from, to],
                )?;
                if replaced > 0 {
                    rows::audit(c, &audit)?;
                }
                Ok(replaced > 0)
            })
            .await
    }

    async fn add_initial_token(&self, token: InitialToken, audit: AuditEntry) -> Result<()> {
        self.writer
            .run(move |c| {
                c.execute(
                    "INSERT INTO initial_tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        token.hash,
                        token.note,
                        token.uses_left,
                        rows::seconds(token.expires_at),
                        token.scopes,
                        token.redirect_hosts.join("\n"),
                        token.client_credentials,
                        rows::seconds(token.created_at),
                    ],
                )?;
                rows::audit(c, &audit)
            })
            .await
    }

    async fn find_initial_token(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<InitialToken>> {
        self.readers.read(|c| {
            c.prepare_cached(
                "SELECT * FROM initial_tokens WHERE hash = ?1 AND uses_left > 0 AND expires_at > ?2",
            )?
            .query_row(params![hash, rows::seconds(now)], read_token)
            .optional()
        })
    }

    async fn spend_initial_token(&self, hash: &[u8; 32], now: Timestamp) -> Result<bool> {
        let hash = *hash;
        self.writer
            .run(move |c| {
                let spent = c.execute(
                    "UPDATE initial_tokens SET uses_left = uses_left - 1 \
                     WHERE hash = ?1 AND uses_left > 0 AND expires_at > ?2",
                    params![hash, rows::seconds(now)],
                )?;
                Ok(spent == 1)
            })
            .await
    }

    async fn list_initial_tokens(&self, rows_max: usize) -> Result<Vec<InitialToken>> {
        let limit = rows::limit(rows_max);
        self.readers.read(|c| {
            c.prepare_cached("SELECT * FROM initial_tokens ORDER BY created_at DESC LIMIT ?1")?
                .query_map([limit], read_token)?
                .collect()
        })
    }

    async fn remove_initial_token(&self, hash_prefix: &str, audit: AuditEntry) -> Result<bool> {
        let prefix = hash_prefix.to_ascii_lowercase();
        let plausible = prefix.len() >= 8 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !plausible {
            return Ok(false);
        }
        self.writer
            .run(move |c| {
                let length = i64::try_from(prefix.len()).unwrap_or(64);
                // A start that two tokens share names neither.
                let removed = c.execute(
                    "DELETE FROM initial_tokens WHERE substr(lower(hex(hash)), 1, ?2) = ?1 \
                     AND 1 = (SELECT count(*) FROM initial_tokens \
                              WHERE substr(lower(hex(hash)), 1, ?2) = ?1)",
                    params![prefix, length],
                )?;
                if removed > 0 {
                    rows::audit(c, &audit)?;
                }
                Ok(removed > 0)
            })
            .await
    }

    async fn put_setup_link(&self, hash: [u8; 32], expires_at: Timestamp) -> Result<()> {
        self.writer
            .run(move |c| {
                c.execute(
                    "INSERT INTO setup_link VALUES (1, ?1, ?2) ON CONFLICT (only) DO UPDATE SET \
                     hash = excluded.hash, expires_at = excluded.expires_at",
                    params![hash, rows::seconds(expires_at)],
                )
                .map(drop)
            })
            .await
    }

    async fn setup_link_is_live(&self, hash: &[u8; 32], now: Timestamp) -> Result<bool> {
        self.readers.read(|c| {
            c.query_row(LIVE_LINK, params![hash, rows::seconds(now)], |row| {
                row.get(0)
            })
        })
    }

    async fn spend_setup_link(
        &self,
        hash: &[u8; 32],
        user: User,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool> {
        let hash = *hash;
        self.writer
            .run(move |c| {
                let live: bool =
                    c.query_row(LIVE_LINK, params![hash, rows::seconds(now)], |row| {
                        row.get(0)
                    })?;
                if !live || !users::insert(c, &user)? {
                    return Ok(false);
                }
                c.execute("DELETE FROM setup_link", [])?;
                rows::audit(c, &audit)?;
                Ok(true)
            })
            .await
    }
}
