//! Stored clients and tombstones.
//!
//! What is said about a client changes under its lock ([`locks::change`]), so that an approval,
//! which holds the same lock together with others of its kind, runs before or after and never
//! beside it.

use async_trait::async_trait;
use vestibule_protocol::{client_id::ClientKey, time::Timestamp, trust::Door};
use vestibule_store::{
    AuditEntry, ClientStore, Result,
    clients::{Added, ClientChange, ClientLookup, Replaced, StoredClient},
};

use crate::{
    PostgresStore, locks,
    pool::{Patience, Work, transact},
    rows::{self, Outcome},
    verifications, versions,
};

/// Whether a tombstone stands against this key. It stands until the sweep takes it.
pub(crate) async fn is_gone(w: &Work, key: &ClientKey) -> Outcome<bool> {
    let found = w
        .row(
            "SELECT 1 FROM tombstones WHERE key = $1",
            &[&key.as_bytes().as_slice()],
        )
        .await?;
    Ok(found.is_some())
}

/// Whether there is a row.
async fn is_stored(w: &Work, key: &ClientKey) -> Outcome<bool> {
    let found = w
        .row(
            "SELECT 1 FROM clients WHERE key = $1",
            &[&key.as_bytes().as_slice()],
        )
        .await?;
    Ok(found.is_some())
}

/// Insert a client; does nothing if the key is there. Returns whether it did.
pub(crate) async fn insert(w: &Work, client: &StoredClient) -> Outcome<bool> {
    let snapshot_at = rows::seconds(client.snapshot_at);
    let inserted = w
        .change(
            "INSERT INTO clients (key, client_id, door, standing, metadata, secret_hash, \
             management_hash, introspects, machine_scopes, scope_ceiling, created_at, version, \
             software, host, issued_at, snapshot_at, checked_at) VALUES ($1, $2, $3, $4, $5, $6, \
             $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16) ON CONFLICT (key) DO NOTHING",
            &[
                &client.key.as_bytes().as_slice(),
                &client.client_id,
                &client.door.as_str(),
                &client.standing.as_str(),
                &client.metadata.encode_stored(),
                &client.secret_hash.as_ref().map(<[u8; 32]>::as_slice),
                &client.management_hash.as_ref().map(<[u8; 32]>::as_slice),
                &client.introspects.join("\n"),
                &client.machine_scopes,
                &client.scope_ceiling,
                &rows::seconds(client.created_at),
                &rows::number(client.version),
                &rows::text(&client.software),
                &client.host,
                &rows::seconds(client.issued_at),
                &snapshot_at,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

#[async_trait]
impl ClientStore for PostgresStore {
    async fn find_client(&self, key: &ClientKey) -> Result<ClientLookup> {
        let found = self
            .read(
                concat!(
                    "SELECT ",
                    rows::client_columns!(),
                    ", t.blocked FROM (VALUES ($1::bytea)) AS asked (key) \
                     LEFT JOIN clients c ON c.key = asked.key \
                     LEFT JOIN tombstones t ON t.key = asked.key"
                ),
                &[&key.as_bytes().as_slice()],
                |row| {
                    if rows::client_key_if_any(row, "key")?.is_some() {
                        return Ok(ClientLookup::Active(Box::new(rows::client(row)?)));
                    }
                    Ok(match rows::get(row, "blocked")? {
                        None => ClientLookup::NeverSeen,
                        Some(true) => ClientLookup::Blocked,
                        Some(false) => ClientLookup::Gone,
                    })
                },
            )
            .await?;
        Ok(found.unwrap_or(ClientLookup::NeverSeen))
    }

    async fn add_client(&self, client: StoredClient, audit: AuditEntry) -> Result<Added> {
        transact!(self, |w| {
            locks::change(w, client.key.as_bytes()).await?;
            if is_gone(w, &client.key).await? || !insert(w, &client).await? {
                return Ok(Added::Taken);
            }
            w.audit(&audit).await?;
            if client.door == Door::Admin {
                versions::lists_moved(w).await?;
            }
            Ok(Added::Done)
        })
    }

    async fn replace_client(
        &self,
        key: &ClientKey,
        version: u64,
        change: ClientChange,
        audit: AuditEntry,
    ) -> Result<Replaced> {
        let metadata = change.metadata.encode_stored();
        transact!(self, |w| {
            locks::change(w, key.as_bytes()).await?;
            let door = w
                .read(
                    "UPDATE clients SET metadata = $3, management_hash = $4, secret_hash = $5, \
                     version = version + 1 WHERE key = $1 AND version = $2 RETURNING door",
                    &[
                        &key.as_bytes().as_slice(),
                        &rows::number(version),
                        &metadata,
                        &change.management_hash.as_ref().map(<[u8; 32]>::as_slice),
                        &change.secret_hash.as_ref().map(<[u8; 32]>::as_slice),
                    ],
                    rows::door,
                )
                .await?;
            let Some(door) = door else {
                return Ok(if is_stored(w, key).await? {
                    Replaced::Stale
                } else {
                    Replaced::Gone
                });
            };
            if change.ends_codes {
                end_codes(w, key).await?;
            }
            w.audit(&audit).await?;
            if door == Door::Admin {
                versions::lists_moved(w).await?;
            }
            Ok(Replaced::Done)
        })
    }

    async fn remove_client(
        &self,
        key: &ClientKey,
        until: Timestamp,
        block: bool,
        audit: AuditEntry,
    ) -> Result<bool> {
        transact!(self, Patience::Long, |w| {
            let bytes = key.as_bytes().as_slice();
            locks::change(w, key.as_bytes()).await?;
            let removed = w
                .read(
                    "DELETE FROM clients WHERE key = $1 RETURNING door",
                    &[&bytes],
                    rows::door,
                )
                .await?;
            w.change(
                "INSERT INTO tombstones AS t (key, until, blocked) VALUES ($1, $2, $3) \
                 ON CONFLICT (key) DO UPDATE SET until = greatest(t.until, excluded.until), \
                 blocked = t.blocked OR excluded.blocked",
                &[&bytes, &rows::seconds(until), &block],
            )
            .await?;
            end_all(w, key).await?;
            let unproved = verifications::revoke_all(w, key).await?;
            w.change("DELETE FROM document_changes WHERE client = $1", &[&bytes])
                .await?;
            w.audit(&audit).await?;
            if unproved || removed == Some(Door::Admin) {
                versions::lists_moved(w).await?;
            }
            Ok(removed.is_some())
        })
    }

    async fn list_clients(
        &self,
        before: Option<(Timestamp, ClientKey)>,
        rows_max: usize,
    ) -> Result<Vec<StoredClient>> {
        let (time, key) = before.map_or((i64::MAX, [0; 32]), |(time, key)| {
            (rows::seconds(time), *key.as_bytes())
        });
        self.read_all(
            concat!(
                "SELECT ",
                rows::client_columns!(),
                " FROM clients c WHERE created_at <= $1 AND (created_at < $1 OR key > $2) \
                 ORDER BY created_at DESC, key LIMIT $3"
            ),
            &[&time, &key.as_slice(), &rows::limit(rows_max)],
            rows::client,
        )
        .await
    }

    async fn count_clients(&self) -> Result<u64> {
        let count = self
            .read("SELECT count(*) AS count FROM clients", &[], |row| {
                rows::unsigned(row, "count")
            })
            .await?;
        Ok(count.unwrap_or(0))
    }
}

/// Everything that people allowed a client ends: grants, families, codes, remembered consent.
pub(crate) async fn end_all(w: &Work, key: &ClientKey) -> Outcome<()> {
    let bytes = key.as_bytes().as_slice();
    w.change(
        "WITH theirs AS (SELECT id FROM grants WHERE client = $1 AND NOT revoked \
                         ORDER BY id FOR UPDATE) \
         UPDATE grants g SET revoked = true, version = version + 1 FROM theirs \
         WHERE g.id = theirs.id",
        &[&bytes],
    )
    .await?;
    w.change(
        "UPDATE families SET revoked = true WHERE client = $1 AND NOT revoked",
        &[&bytes],
    )
    .await?;
    end_codes(w, key).await
}

/// DCRM-18: unredeemed codes and remembered consent end.
async fn end_codes(w: &Work, key: &ClientKey) -> Outcome<()> {
    let bytes = key.as_bytes().as_slice();
    w.change(
        "DELETE FROM codes WHERE client = $1 AND spent_at IS NULL",
        &[&bytes],
    )
    .await?;
    w.change("DELETE FROM consents WHERE client = $1", &[&bytes])
        .await
        .map(drop)
}
