//! Documents with history, and the heads.
//!
//! A head is moved by an update of its row and near the end of the transaction: the row's lock lets
//! nobody else move it until this commits, so numbers have the order of commits, and a node that
//! read a number has everything up to it.

use async_trait::async_trait;
use vestibule_store::{
    AuditEntry, Result, StoreError, VersionStore,
    versions::{DOCUMENT_OCTETS_MAX, Document, Heads, VERSIONS_KEPT, VersionRow, Versioned},
};

use crate::{
    PostgresStore,
    audit::actor_text,
    pool::{Work, transact},
    rows::{self, Failure, Outcome},
};

/// The sequence of the lists moves, in the transaction of the change and as its last step.
pub(crate) async fn lists_moved(w: &Work) -> Outcome<()> {
    w.change("UPDATE heads SET seq = seq + 1 WHERE name = 'lists'", &[])
        .await
        .map(drop)
}

async fn save(
    w: &Work,
    document: Document,
    seq: u64,
    text: &str,
    audit: &AuditEntry,
) -> Outcome<Option<u64>> {
    let name = document.as_str();
    let saved = w
        .change(
            "UPDATE heads SET seq = seq + 1, document = $3 WHERE name = $1 AND seq = $2",
            &[&name, &rows::number(seq), &text],
        )
        .await?;
    if saved == 0 {
        return Ok(None);
    }
    let now = seq + 1;
    w.change(
        "INSERT INTO versions (name, seq, at, actor, note, document) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            &name,
            &rows::number(now),
            &rows::seconds(audit.at),
            &rows::text(&actor_text(&audit.actor)),
            &rows::text(&audit.detail),
            &text,
        ],
    )
    .await?;
    // Numbers have no gaps, so this leaves that many.
    w.change(
        "DELETE FROM versions WHERE name = $1 AND seq <= $2",
        &[&name, &rows::number(now.saturating_sub(VERSIONS_KEPT))],
    )
    .await?;
    w.audit(audit).await?;
    Ok(Some(now))
}

#[async_trait]
impl VersionStore for PostgresStore {
    async fn load_document(&self, document: Document) -> Result<Versioned> {
        let found = self
            .read(
                "SELECT seq, document FROM heads WHERE name = $1",
                &[&document.as_str()],
                |row| {
                    Ok(Versioned {
                        seq: rows::unsigned(row, "seq")?,
                        text: rows::get(row, "document")?,
                    })
                },
            )
            .await?;
        found.ok_or_else(|| Failure::Damaged("a head is missing").into())
    }

    async fn save_document(
        &self,
        document: Document,
        seq: u64,
        text: &str,
        audit: AuditEntry,
    ) -> Result<Option<u64>> {
        if text.len() > DOCUMENT_OCTETS_MAX {
            return Err(StoreError::TooLarge {
                what: document.as_str(),
                octets_max: DOCUMENT_OCTETS_MAX,
            });
        }
        transact!(self, |w| { save(w, document, seq, text, &audit).await })
    }

    async fn document_versions(
        &self,
        document: Document,
        rows_max: usize,
    ) -> Result<Vec<VersionRow>> {
        self.read_all(
            "SELECT seq, at, actor, note FROM versions WHERE name = $1 ORDER BY seq DESC LIMIT $2",
            &[&document.as_str(), &rows::limit(rows_max)],
            |row| {
                Ok(VersionRow {
                    seq: rows::unsigned(row, "seq")?,
                    at: rows::time(row, "at")?,
                    actor: rows::get(row, "actor")?,
                    note: rows::get(row, "note")?,
                })
            },
        )
        .await
    }

    async fn document_version(&self, document: Document, seq: u64) -> Result<Option<String>> {
        self.read(
            "SELECT document FROM versions WHERE name = $1 AND seq = $2",
            &[&document.as_str(), &rows::number(seq)],
            |row| rows::get(row, "document"),
        )
        .await
    }

    async fn heads(&self) -> Result<Heads> {
        let rows = self.rows("SELECT name, seq FROM heads", &[]).await?;
        let mut heads = Heads::default();
        for row in &rows {
            let head = match rows::get(row, "name")? {
                "catalogue" => &mut heads.catalogue,
                "keys" => &mut heads.keys,
                "lists" => &mut heads.lists,
                "policy" => &mut heads.policy,
                "settings" => &mut heads.settings,
                _ => continue,
            };
            *head = rows::unsigned(row, "seq")?;
        }
        Ok(heads)
    }
}
