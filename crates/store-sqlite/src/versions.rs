//! Documents with history, and the heads.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};
use vestibule_store::{
    AuditEntry, Result, StoreError, VersionStore,
    versions::{DOCUMENT_OCTETS_MAX, Document, Heads, VERSIONS_KEPT, VersionRow, Versioned},
};

use crate::{SqliteStore, audit::actor_text, rows};

/// The sequence of the lists moves, in the transaction of the change.
pub(crate) fn lists_moved(c: &Connection) -> rusqlite::Result<()> {
    c.prepare_cached("UPDATE heads SET seq = seq + 1 WHERE name = 'lists'")?
        .execute([])
        .map(drop)
}

fn save(
    c: &Connection,
    document: Document,
    seq: u64,
    text: &str,
    audit: &AuditEntry,
) -> rusqlite::Result<Option<u64>> {
    let name = document.as_str();
    let saved = c.execute(
        "UPDATE heads SET seq = seq + 1, document = ?3 WHERE name = ?1 AND seq = ?2",
        params![name, rows::number(seq), text],
    )?;
    if saved == 0 {
        return Ok(None);
    }
    let now = seq + 1;
    c.execute(
        "INSERT INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            name,
            rows::number(now),
            rows::seconds(audit.at),
            actor_text(&audit.actor),
            audit.detail,
            text,
        ],
    )?;
    // Numbers have no gaps, so this leaves that many.
    c.execute(
        "DELETE FROM versions WHERE name = ?1 AND seq <= ?2",
        params![name, rows::number(now.saturating_sub(VERSIONS_KEPT))],
    )?;
    rows::audit(c, audit)?;
    Ok(Some(now))
}

#[async_trait]
impl VersionStore for SqliteStore {
    async fn load_document(&self, document: Document) -> Result<Versioned> {
        self.readers.read(|c| {
            c.prepare_cached("SELECT seq, document FROM heads WHERE name = ?1")?
                .query_row([document.as_str()], |row| {
                    Ok(Versioned {
                        seq: rows::unsigned(row, "seq")?,
                        text: row.get("document")?,
                    })
                })
        })
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
        let text = text.to_owned();
        self.writer
            .run(move |c| save(c, document, seq, &text, &audit))
            .await
    }

    async fn document_versions(
        &self,
        document: Document,
        rows_max: usize,
    ) -> Result<Vec<VersionRow>> {
        let limit = rows::limit(rows_max);
        self.readers.read(|c| {
            c.prepare_cached(
                "SELECT seq, at, actor, note FROM versions WHERE name = ?1 \
                 ORDER BY seq DESC LIMIT ?2",
            )?
            .query_map(params![document.as_str(), limit], |row| {
                Ok(VersionRow {
                    seq: rows::unsigned(row, "seq")?,
                    at: rows::time(row, "at")?,
                    actor: row.get("actor")?,
                    note: row.get("note")?,
                })
            })?
            .collect()
        })
    }

    async fn document_version(&self, document: Document, seq: u64) -> Result<Option<String>> {
        self.readers.read(|c| {
            c.prepare_cached("SELECT document FROM versions WHERE name = ?1 AND seq = ?2")?
                .query_row(params![document.as_str(), rows::number(seq)], |row| {
                    row.get(0)
                })
                .optional()
        })
    }

    async fn heads(&self) -> Result<Heads> {
        self.readers.read(|c| {
            let mut heads = Heads::default();
            let mut statement = c.prepare_cached("SELECT name, seq FROM heads")?;
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                let head = match row.get_ref("name")?.as_str()? {
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
        })
    }
}
