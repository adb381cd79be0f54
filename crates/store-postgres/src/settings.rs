//! The issuer, initial access tokens, the set-up link. The settings are a document
//! ([`crate::versions`]).

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::time::Timestamp;
use vestibule_store::{
    AuditEntry, Result, SettingsStore, StoreError, settings::InitialToken, users::User,
};

use crate::{
    PostgresStore,
    pool::transact,
    rows::{self, Failure, Outcome},
    users,
};

macro_rules! token_columns {
    () => {
        "hash, note, uses_left, expires_at, scopes, redirect_hosts, client_credentials, created_at"
    };
}

fn read_token(row: &Row) -> Outcome<InitialToken> {
    let hosts: &str = rows::get(row, "redirect_hosts")?;
    Ok(InitialToken {
        hash: rows::bytes(row, "hash")?,
        note: rows::get(row, "note")?,
        uses_left: u32::try_from(rows::unsigned(row, "uses_left")?)
            .map_err(|_| Failure::Damaged("the uses of an initial access token"))?,
        expires_at: rows::time(row, "expires_at")?,
        scopes: rows::get(row, "scopes")?,
        redirect_hosts: hosts.lines().map(str::to_owned).collect(),
        client_credentials: rows::get(row, "client_credentials")?,
        created_at: rows::time(row, "created_at")?,
    })
}

#[async_trait]
impl SettingsStore for PostgresStore {
    async fn keep_issuer(&self, issuer: &str) -> Result<String> {
        if let Some(kept) = self.load_issuer().await? {
            return Ok(kept);
        }
        self.rows(
            "INSERT INTO heads (name, seq, document) VALUES ('issuer', 1, $1) \
             ON CONFLICT (name) DO NOTHING",
            &[&issuer],
        )
        .await?;
        self.load_issuer().await?.ok_or(StoreError::Damaged {
            what: "issuer",
            detail: "it is gone".to_owned(),
        })
    }

    async fn load_issuer(&self) -> Result<Option<String>> {
        self.read(
            "SELECT document FROM heads WHERE name = 'issuer'",
            &[],
            |row| rows::get(row, "document"),
        )
        .await
    }

    async fn replace_issuer(&self, from: &str, to: &str, audit: AuditEntry) -> Result<bool> {
        self.trailed(
            rows::trailed!(
                "UPDATE heads SET seq = seq + 1, document = $9 \
                 WHERE name = 'issuer' AND document = $8 RETURNING 1"
            ),
            &audit,
            &[&from, &to],
        )
        .await
    }

    async fn add_initial_token(&self, token: InitialToken, audit: AuditEntry) -> Result<()> {
        self.trailed(
            rows::trailed!(
                "INSERT INTO initial_tokens (hash, note, uses_left, expires_at, scopes, \
                 redirect_hosts, client_credentials, created_at) \
                 VALUES ($8, $9, $10, $11, $12, $13, $14, $15) RETURNING 1"
            ),
            &audit,
            &[
                &token.hash.as_slice(),
                &rows::text(&token.note),
                &i64::from(token.uses_left),
                &rows::seconds(token.expires_at),
                &token.scopes,
                &token.redirect_hosts.join("\n"),
                &token.client_credentials,
                &rows::seconds(token.created_at),
            ],
        )
        .await
        .map(drop)
    }

    async fn find_initial_token(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<InitialToken>> {
        self.read(
            concat!(
                "SELECT ",
                token_columns!(),
                " FROM initial_tokens WHERE hash = $1 AND uses_left > 0 AND expires_at > $2"
            ),
            &[&hash.as_slice(), &rows::seconds(now)],
            read_token,
        )
        .await
    }

    async fn spend_initial_token(&self, hash: &[u8; 32], now: Timestamp) -> Result<bool> {
        let spent = self
            .row(
                "UPDATE initial_tokens SET uses_left = uses_left - 1 \
                 WHERE hash = $1 AND uses_left > 0 AND expires_at > $2 RETURNING 1",
                &[&hash.as_slice(), &rows::seconds(now)],
            )
            .await?;
        Ok(spent.is_some())
    }

    async fn list_initial_tokens(&self, rows_max: usize) -> Result<Vec<InitialToken>> {
        self.read_all(
            concat!(
                "SELECT ",
                token_columns!(),
                " FROM initial_tokens ORDER BY created_at DESC LIMIT $1"
            ),
            &[&rows::limit(rows_max)],
            read_token,
        )
        .await
    }

    async fn remove_initial_token(&self, hash_prefix: &str, audit: AuditEntry) -> Result<bool> {
        let prefix = hash_prefix.to_ascii_lowercase();
        let plausible = prefix.len() >= 8 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !plausible {
            return Ok(false);
        }
        // A start that two tokens share names neither.
        self.trailed(
            rows::trailed!(
                "DELETE FROM initial_tokens WHERE starts_with(encode(hash, 'hex'), $8) \
                 AND 1 = (SELECT count(*) FROM initial_tokens \
                          WHERE starts_with(encode(hash, 'hex'), $8)) RETURNING 1"
            ),
            &audit,
            &[&prefix],
        )
        .await
    }

    async fn put_setup_link(&self, hash: [u8; 32], expires_at: Timestamp) -> Result<()> {
        self.rows(
            "INSERT INTO setup_link (one, hash, expires_at) VALUES (1, $1, $2) \
             ON CONFLICT (one) DO UPDATE SET hash = excluded.hash, \
             expires_at = excluded.expires_at",
            &[&hash.as_slice(), &rows::seconds(expires_at)],
        )
        .await
        .map(drop)
    }

    async fn setup_link_is_live(&self, hash: &[u8; 32], now: Timestamp) -> Result<bool> {
        let live = self
            .row(
                "SELECT 1 FROM setup_link WHERE hash = $1 AND expires_at > $2 \
                 AND NOT EXISTS (SELECT 1 FROM users)",
                &[&hash.as_slice(), &rows::seconds(now)],
            )
            .await?;
        Ok(live.is_some())
    }

    async fn spend_setup_link(
        &self,
        hash: &[u8; 32],
        user: User,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool> {
        transact!(self, |w| {
            // Whoever waits for the row finds it gone.
            let live = w
                .row(
                    "SELECT 1 FROM setup_link WHERE hash = $1 AND expires_at > $2 FOR UPDATE",
                    &[&hash.as_slice(), &rows::seconds(now)],
                )
                .await?;
            let taken = w.row("SELECT 1 FROM users LIMIT 1", &[]).await?;
            if live.is_none() || taken.is_some() || !users::insert(w, &user).await? {
                return Ok(false);
            }
            w.change("DELETE FROM setup_link", &[]).await?;
            w.audit(&audit).await?;
            Ok(true)
        })
    }
}
