//! Changes of client documents, and when each was last looked at.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use vestibule_protocol::{client_id::ClientKey, client_metadata::ClientMetadata, time::Timestamp};
use vestibule_store::{
    AuditEntry, DocumentStore, Result,
    documents::{CHANGES_MAX, DocumentChange, DocumentCheck, DocumentNoted},
};

use crate::{SqliteStore, rows};

/// How often a look at an unchanged document is written down.
const TOUCH_SECONDS: i64 = 3_600;

#[async_trait]
impl DocumentStore for SqliteStore {
    async fn note_document(
        &self,
        key: &ClientKey,
        change: DocumentChange,
        metadata: &ClientMetadata,
        audit: AuditEntry,
    ) -> Result<DocumentNoted> {
        let (key, metadata) = (*key, metadata.encode_stored());
        self.writer
            .run(move |c| {
                let noted = note(c, &key, &change, &metadata)?;
                if noted == DocumentNoted::Done {
                    rows::audit(c, &audit)?;
                }
                Ok(noted)
            })
            .await
    }

    async fn touch_document(
        &self,
        key: &ClientKey,
        check: DocumentCheck,
        at: Timestamp,
    ) -> Result<bool> {
        let (key, at) = (*key, rows::seconds(at));
        // Mostly there is nothing to write: look first, and queue only if there is.
        let due: bool = self.readers.read(|c| {
            c.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM clients \
                 WHERE key = ?1 AND door = 'cimd' AND checked_at <= ?2 - ?3)",
            )?
            .query_row(params![key.as_bytes(), at, TOUCH_SECONDS], |row| row.get(0))
        })?;
        if !due {
            return Ok(false);
        }
        self.writer
            .run(move |c| {
                // While a change of security waits, the document does not say what is stored.
                let touched = c
                    .prepare_cached(
                        "UPDATE clients SET checked_at = ?2, snapshot_at = CASE \
                         WHEN ?4 AND NOT EXISTS (SELECT 1 FROM document_changes d \
                              WHERE d.client = ?1 AND d.security = 1 AND d.at > snapshot_at) \
                         THEN max(snapshot_at, ?2) ELSE snapshot_at END \
                         WHERE key = ?1 AND door = 'cimd' AND checked_at <= ?2 - ?3",
                    )?
                    .execute(params![
                        key.as_bytes(),
                        at,
                        TOUCH_SECONDS,
                        check == DocumentCheck::Unchanged,
                    ])?;
                Ok(touched == 1)
            })
            .await
    }

    async fn document_changes(
        &self,
        key: &ClientKey,
        rows_max: usize,
    ) -> Result<Vec<DocumentChange>> {
        self.readers.read(|c| {
            c.prepare_cached(
                "SELECT * FROM document_changes WHERE client = ?1 ORDER BY n DESC LIMIT ?2",
            )?
            .query_map(params![key.as_bytes(), rows::limit(rows_max)], read)?
            .collect()
        })
    }

    async fn documents_to_watch(
        &self,
        now: Timestamp,
        older_than: Timestamp,
        rows_max: usize,
    ) -> Result<Vec<(ClientKey, String)>> {
        self.readers.read(|c| {
            c.prepare_cached(TO_WATCH)?
                .query_map(
                    params![
                        rows::seconds(now),
                        rows::seconds(older_than),
                        rows::limit(rows_max)
                    ],
                    |row| Ok((rows::client_key(row, "key")?, row.get("client_id")?)),
                )?
                .collect()
        })
    }
}

pub(crate) const TO_WATCH: &str = "SELECT key, client_id FROM clients \
    WHERE door = 'cimd' AND checked_at < ?2 AND EXISTS (SELECT 1 FROM grants g \
          WHERE g.client = clients.key AND g.revoked = 0 AND g.absolute_until > ?1) \
    ORDER BY checked_at LIMIT ?3";

fn read(row: &Row<'_>) -> rusqlite::Result<DocumentChange> {
    Ok(DocumentChange {
        at: rows::time(row, "at")?,
        security: row.get("security")?,
        diff: row.get("diff")?,
        digest: row.get("digest")?,
    })
}

fn note(
    c: &Connection,
    key: &ClientKey,
    change: &DocumentChange,
    metadata: &str,
) -> rusqlite::Result<DocumentNoted> {
    let at = rows::seconds(change.at);
    let snapshot_at: Option<i64> = c
        .prepare_cached("SELECT snapshot_at FROM clients WHERE key = ?1 AND door = 'cimd'")?
        .query_row([key.as_bytes()], |row| row.get(0))
        .optional()?;
    let Some(snapshot_at) = snapshot_at else {
        return Ok(DocumentNoted::Gone);
    };
    let newest: Option<([u8; 32], i64)> = c
        .prepare_cached(
            "SELECT digest, at FROM document_changes WHERE client = ?1 ORDER BY n DESC LIMIT 1",
        )?
        .query_row([key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let newest_at = newest.map_or(snapshot_at, |(_, newest_at)| newest_at.max(snapshot_at));
    if newest.is_some_and(|(digest, _)| digest == change.digest) {
        return Ok(DocumentNoted::Known);
    }
    if at < newest_at {
        return Ok(DocumentNoted::Stale);
    }
    c.prepare_cached(
        "INSERT INTO document_changes (client, at, security, digest, diff) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        key.as_bytes(),
        at,
        change.security,
        change.digest,
        change.diff
    ])?;
    c.prepare_cached(
        "DELETE FROM document_changes WHERE n IN (SELECT n FROM document_changes \
         WHERE client = ?1 ORDER BY n DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![key.as_bytes(), rows::limit(CHANGES_MAX)])?;
    if change.security {
        c.prepare_cached("UPDATE clients SET checked_at = max(checked_at, ?2) WHERE key = ?1")?
            .execute(params![key.as_bytes(), at])?;
        c.prepare_cached("DELETE FROM consents WHERE client = ?1")?
            .execute([key.as_bytes()])?;
    } else {
        c.prepare_cached(
            "UPDATE clients SET version = version + (metadata <> ?3), metadata = ?3, \
             snapshot_at = ?2, checked_at = max(checked_at, ?2) WHERE key = ?1",
        )?
        .execute(params![key.as_bytes(), at, metadata])?;
    }
    Ok(DocumentNoted::Done)
}
