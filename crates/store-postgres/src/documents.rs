//! Changes of client documents, and when each was last looked at.

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::{client_id::ClientKey, client_metadata::ClientMetadata, time::Timestamp};
use vestibule_store::{
    AuditEntry, DocumentStore, Result,
    documents::{CHANGES_MAX, DocumentChange, DocumentCheck, DocumentNoted},
};

use crate::{
    PostgresStore, locks,
    pool::{Work, transact},
    rows::{self, Outcome},
};

/// How often a look at an unchanged document is written down.
const TOUCH_SECONDS: i64 = 3_600;

#[async_trait]
impl DocumentStore for PostgresStore {
    async fn note_document(
        &self,
        key: &ClientKey,
        change: DocumentChange,
        metadata: &ClientMetadata,
        audit: AuditEntry,
    ) -> Result<DocumentNoted> {
        let metadata = metadata.encode_stored();
        transact!(self, |w| {
            let noted = note(w, key, &change, &metadata).await?;
            if noted == DocumentNoted::Done {
                w.audit(&audit).await?;
            }
            Ok(noted)
        })
    }

    async fn touch_document(
        &self,
        key: &ClientKey,
        check: DocumentCheck,
        at: Timestamp,
    ) -> Result<bool> {
        // While a change of security waits, the document does not say what is stored. Who waits for
        // the row here reads `checked_at` again, which such a change moves.
        let touched = self
            .row(
                "UPDATE clients c SET checked_at = $2, snapshot_at = CASE \
                 WHEN $4 AND NOT EXISTS (SELECT 1 FROM document_changes d \
                      WHERE d.client = $1 AND d.security AND d.at > c.snapshot_at) \
                 THEN greatest(c.snapshot_at, $2) ELSE c.snapshot_at END \
                 WHERE c.key = $1 AND c.door = 'cimd' AND c.checked_at <= $2 - $3::bigint \
                 RETURNING 1",
                &[
                    &key.as_bytes().as_slice(),
                    &rows::seconds(at),
                    &TOUCH_SECONDS,
                    &(check == DocumentCheck::Unchanged),
                ],
            )
            .await?;
        Ok(touched.is_some())
    }

    async fn document_changes(
        &self,
        key: &ClientKey,
        rows_max: usize,
    ) -> Result<Vec<DocumentChange>> {
        self.read_all(
            "SELECT at, security, diff, digest FROM document_changes WHERE client = $1 \
             ORDER BY n DESC LIMIT $2",
            &[&key.as_bytes().as_slice(), &rows::limit(rows_max)],
            read,
        )
        .await
    }

    async fn documents_to_watch(
        &self,
        now: Timestamp,
        older_than: Timestamp,
        rows_max: usize,
    ) -> Result<Vec<(ClientKey, String)>> {
        self.read_all(
            "SELECT c.key, c.client_id FROM clients c \
             WHERE c.door = 'cimd' AND c.checked_at < $2 AND EXISTS (SELECT 1 FROM grants g \
                 WHERE g.client = c.key AND NOT g.revoked AND g.absolute_until > $1) \
             ORDER BY c.checked_at LIMIT $3",
            &[
                &rows::seconds(now),
                &rows::seconds(older_than),
                &rows::limit(rows_max),
            ],
            |row| Ok((rows::client_key(row, "key")?, rows::get(row, "client_id")?)),
        )
        .await
    }
}

fn read(row: &Row) -> Outcome<DocumentChange> {
    Ok(DocumentChange {
        at: rows::time(row, "at")?,
        security: rows::get(row, "security")?,
        diff: rows::get(row, "diff")?,
        digest: rows::bytes(row, "digest")?,
    })
}

async fn note(
    w: &Work,
    key: &ClientKey,
    change: &DocumentChange,
    metadata: &str,
) -> Outcome<DocumentNoted> {
    let (bytes, at) = (key.as_bytes().as_slice(), rows::seconds(change.at));
    // Alone with the client, so that no approval remembers a consent to what changes here.
    locks::change(w, key.as_bytes()).await?;
    let snapshot_at = w
        .read(
            "SELECT snapshot_at FROM clients WHERE key = $1 AND door = 'cimd' FOR UPDATE",
            &[&bytes],
            |row| rows::get::<i64>(row, "snapshot_at"),
        )
        .await?;
    let Some(snapshot_at) = snapshot_at else {
        return Ok(DocumentNoted::Gone);
    };
    let newest = w
        .read(
            "SELECT digest, at FROM document_changes WHERE client = $1 ORDER BY n DESC LIMIT 1",
            &[&bytes],
            |row| {
                Ok((
                    rows::bytes::<32>(row, "digest")?,
                    rows::get::<i64>(row, "at")?,
                ))
            },
        )
        .await?;
    let newest_at = newest.map_or(snapshot_at, |(_, newest_at)| newest_at.max(snapshot_at));
    if newest.is_some_and(|(digest, _)| digest == change.digest) {
        return Ok(DocumentNoted::Known);
    }
    if at < newest_at {
        return Ok(DocumentNoted::Stale);
    }
    keep(w, bytes, change).await?;
    if change.security {
        w.change(
            "UPDATE clients SET checked_at = greatest(checked_at, $2) WHERE key = $1",
            &[&bytes, &at],
        )
        .await?;
        w.change("DELETE FROM consents WHERE client = $1", &[&bytes])
            .await?;
    } else {
        w.change(
            "UPDATE clients SET version = version + (metadata <> $3)::integer, metadata = $3, \
             snapshot_at = $2, checked_at = greatest(checked_at, $2) WHERE key = $1",
            &[&bytes, &at, &metadata],
        )
        .await?;
    }
    Ok(DocumentNoted::Done)
}

async fn keep(w: &Work, client: &[u8], change: &DocumentChange) -> Outcome<()> {
    w.change(
        "INSERT INTO document_changes (client, at, security, digest, diff) \
         VALUES ($1, $2, $3, $4, $5)",
        &[
            &client,
            &rows::seconds(change.at),
            &change.security,
            &change.digest.as_slice(),
            &rows::text(&change.diff),
        ],
    )
    .await?;
    w.change(
        "DELETE FROM document_changes WHERE n IN (SELECT n FROM document_changes \
         WHERE client = $1 ORDER BY n DESC OFFSET $2)",
        &[&client, &rows::limit(CHANGES_MAX)],
    )
    .await
    .map(drop)
}
