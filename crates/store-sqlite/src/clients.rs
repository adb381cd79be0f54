//! Stored clients and tombstones.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};
use vestibule_protocol::{client_id::ClientKey, time::Timestamp, trust::Door};
use vestibule_store::{
    AuditEntry, ClientStore, Result,
    clients::{Added, ClientChange, ClientLookup, Replaced, StoredClient},
};

use crate::{SqliteStore, rows, verifications, versions};

/// A tombstone against this key: blocked or gone. It stands until the sweep takes it.
pub(crate) fn tombstone(c: &Connection, key: &ClientKey) -> rusqlite::Result<Option<bool>> {
    c.prepare_cached("SELECT blocked FROM tombstones WHERE key = ?1")?
        .query_row([key.as_bytes()], |row| row.get(0))
        .optional()
}

/// Whether there is a row.
pub(crate) fn is_stored(c: &Connection, key: &ClientKey) -> rusqlite::Result<bool> {
    c.prepare_cached("SELECT EXISTS (SELECT 1 FROM clients WHERE key = ?1)")?
        .query_row([key.as_bytes()], |row| row.get(0))
}

#[async_trait]
impl ClientStore for SqliteStore {
    async fn find_client(&self, key: &ClientKey) -> Result<ClientLookup> {
        self.readers.read(|c| {
            let row = c
                .prepare_cached("SELECT * FROM clients WHERE key = ?1")?
                .query_row([key.as_bytes()], rows::client)
                .optional()?;
            if let Some(client) = row {
                return Ok(ClientLookup::Active(Box::new(client)));
            }
            Ok(match tombstone(c, key)? {
                None => ClientLookup::NeverSeen,
                Some(true) => ClientLookup::Blocked,
                Some(false) => ClientLookup::Gone,
            })
        })
    }

    async fn add_client(&self, client: StoredClient, audit: AuditEntry) -> Result<Added> {
        self.writer
            .run(move |c| {
                if tombstone(c, &client.key)?.is_some() || !rows::insert_client(c, &client)? {
                    return Ok(Added::Taken);
                }
                if client.door == Door::Admin {
                    versions::lists_moved(c)?;
                }
                rows::audit(c, &audit)?;
                Ok(Added::Done)
            })
            .await
    }

    async fn replace_client(
        &self,
        key: &ClientKey,
        version: u64,
        change: ClientChange,
        audit: AuditEntry,
    ) -> Result<Replaced> {
        let key = *key;
        self.writer
            .run(move |c| {
                let door = c
                    .prepare_cached(
                        "UPDATE clients SET metadata = ?3, management_hash = ?4, secret_hash = ?5, \
                         version = version + 1 WHERE key = ?1 AND version = ?2 RETURNING door",
                    )?
                    .query_row(
                        params![
                            key.as_bytes(),
                            rows::number(version),
                            change.metadata.encode_stored(),
                            change.management_hash,
                            change.secret_hash,
                        ],
                        rows::door,
                    )
                    .optional()?;
                let Some(door) = door else {
                    return Ok(if is_stored(c, &key)? {
                        Replaced::Stale
                    } else {
                        Replaced::Gone
                    });
                };
                if door == Door::Admin {
                    versions::lists_moved(c)?;
                }
                if change.ends_codes {
                    end_codes(c, &key)?;
                }
                rows::audit(c, &audit)?;
                Ok(Replaced::Done)
            })
            .await
    }

    async fn remove_client(
        &self,
        key: &ClientKey,
        until: Timestamp,
        block: bool,
        audit: AuditEntry,
    ) -> Result<bool> {
        let key = *key;
        self.writer
            .run(move |c| {
                let removed = c
                    .prepare_cached("DELETE FROM clients WHERE key = ?1 RETURNING door")?
                    .query_row([key.as_bytes()], rows::door)
                    .optional()?;
                c.execute(
                    "INSERT INTO tombstones VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE \
                     SET until = max(until, excluded.until), blocked = max(blocked, excluded.blocked)",
                    params![key.as_bytes(), rows::seconds(until), block],
                )?;
                end_all(c, &key)?;
                if verifications::revoke_all(c, &key)? || removed == Some(Door::Admin) {
                    versions::lists_moved(c)?;
                }
                c.execute(
                    "DELETE FROM document_changes WHERE client = ?1",
                    [key.as_bytes()],
                )?;
                rows::audit(c, &audit)?;
                Ok(removed.is_some())
            })
            .await
    }

    async fn list_clients(
        &self,
        before: Option<(Timestamp, ClientKey)>,
        rows_max: usize,
    ) -> Result<Vec<StoredClient>> {
        let (time, key) = before.map_or((i64::MAX, [0; 32]), |(time, key)| {
            (rows::seconds(time), *key.as_bytes())
        });
        let limit = rows::limit(rows_max);
        self.readers.read(|c| {
            c.prepare_cached(
                "SELECT * FROM clients WHERE created_at < ?1 OR (created_at = ?1 AND key > ?2) \
                 ORDER BY created_at DESC, key LIMIT ?3",
            )?
            .query_map(params![time, key, limit], rows::client)?
            .collect()
        })
    }

    async fn count_clients(&self) -> Result<u64> {
        let count: i64 = self
            .readers
            .read(|c| c.query_row("SELECT count(*) FROM clients", [], |r| r.get(0)))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

/// Everything that people allowed a client ends: grants, families, codes, remembered consent.
pub(crate) fn end_all(c: &Connection, key: &ClientKey) -> rusqlite::Result<()> {
    c.execute(
        "UPDATE grants SET revoked = 1, version = version + 1 WHERE client = ?1 AND revoked = 0",
        [key.as_bytes()],
    )?;
    c.execute(
        "UPDATE families SET revoked = 1 WHERE client = ?1 AND revoked = 0",
        [key.as_bytes()],
    )?;
    end_codes(c, key)
}

/// DCRM-18: unredeemed codes and remembered consent end.
fn end_codes(c: &Connection, key: &ClientKey) -> rusqlite::Result<()> {
    c.execute(
        "DELETE FROM codes WHERE client = ?1 AND spent_at IS NULL",
        [key.as_bytes()],
    )?;
    c.execute("DELETE FROM consents WHERE client = ?1", [key.as_bytes()])?;
    Ok(())
}
