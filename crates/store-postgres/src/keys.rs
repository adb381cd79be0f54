//! Wrapped keys. Every change takes the row of the head first: changes of keys are rare, and come
//! one after the other on all nodes.

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::time::Timestamp;
use vestibule_store::{
    AuditEntry, KeyStore, Result,
    keys::{KeyPhase, KeyUse, NewKey, StoredKey},
};

use crate::{
    PostgresStore,
    pool::{Work, transact},
    rows::{self, Failure, Outcome},
};

fn read(row: &Row) -> Outcome<StoredKey> {
    Ok(StoredKey {
        id: rows::key_id(row, "id")?,
        usage: rows::word(row, "usage", KeyUse::parse, "the use of a key")?,
        phase: rows::word(row, "phase", KeyPhase::parse, "the phase of a key")?,
        wrapped: rows::get(row, "wrapped")?,
        created_at: rows::time(row, "created_at")?,
        phase_since: rows::time(row, "phase_since")?,
    })
}

async fn alone(w: &Work) -> Outcome<()> {
    w.rows("SELECT 1 FROM heads WHERE name = 'keys' FOR UPDATE", &[])
        .await
        .map(drop)
}

async fn insert(w: &Work, key: &NewKey, phase: KeyPhase) -> Outcome<u16> {
    let created_at = rows::seconds(key.created_at);
    let id = w
        .read(
            "INSERT INTO keys (id, usage, phase, wrapped, created_at, phase_since) \
             SELECT coalesce(max(id), 0) + 1, $1::text, $2::text, $3::bytea, $4::bigint, \
             $4::bigint FROM keys RETURNING id",
            &[
                &key.usage.as_str(),
                &phase.as_str(),
                &key.wrapped,
                &created_at,
            ],
            |row| rows::key_id(row, "id"),
        )
        .await?;
    id.ok_or(Failure::Damaged("the number of a key"))
}

/// The sequence moves in the transaction of the change, so it has commit order.
async fn moved(w: &Work, audit: &AuditEntry) -> Outcome<()> {
    w.audit(audit).await?;
    w.change("UPDATE heads SET seq = seq + 1 WHERE name = 'keys'", &[])
        .await
        .map(drop)
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn load_keys(&self) -> Result<(u64, Vec<StoredKey>)> {
        // One statement: the number and the keys are of the same moment.
        let rows = self
            .rows(
                "SELECT h.seq, k.id, k.usage, k.phase, k.wrapped, k.created_at, k.phase_since \
                 FROM heads h LEFT JOIN keys k ON k.phase <> 'gone' WHERE h.name = 'keys' \
                 ORDER BY k.id",
                &[],
            )
            .await?;
        let seq = rows
            .first()
            .map_or(Ok(0), |row| rows::unsigned(row, "seq"))?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            if rows::get::<Option<i32>>(row, "id")?.is_some() {
                keys.push(read(row)?);
            }
        }
        Ok((seq, keys))
    }

    async fn add_missing_keys(&self, keys: Vec<NewKey>, audit: AuditEntry) -> Result<usize> {
        transact!(self, |w| {
            alone(w).await?;
            let mut added = 0;
            for key in &keys {
                let there = w
                    .row(
                        "SELECT 1 FROM keys WHERE usage = $1 AND phase <> 'gone' LIMIT 1",
                        &[&key.usage.as_str()],
                    )
                    .await?;
                if there.is_none() {
                    insert(w, key, key.phase).await?;
                    added += 1;
                }
            }
            if added > 0 {
                moved(w, &audit).await?;
            }
            Ok(added)
        })
    }

    async fn stage_key(&self, key: NewKey, audit: AuditEntry) -> Result<u16> {
        transact!(self, |w| {
            alone(w).await?;
            let id = insert(w, &key, KeyPhase::Staged).await?;
            moved(w, &audit).await?;
            Ok(id)
        })
    }

    async fn activate_key(&self, id: u16, now: Timestamp, audit: AuditEntry) -> Result<bool> {
        let (id, now) = (i32::from(id), rows::seconds(now));
        transact!(self, |w| {
            alone(w).await?;
            w.change(
                "UPDATE keys SET phase = 'retiring', phase_since = $2 WHERE phase = 'active' \
                 AND usage = (SELECT usage FROM keys WHERE id = $1 AND phase = 'staged')",
                &[&id, &now],
            )
            .await?;
            let done = w
                .change(
                    "UPDATE keys SET phase = 'active', phase_since = $2 \
                     WHERE id = $1 AND phase = 'staged'",
                    &[&id, &now],
                )
                .await?;
            if done == 1 {
                moved(w, &audit).await?;
            }
            Ok(done == 1)
        })
    }

    async fn end_key(&self, id: u16, now: Timestamp, audit: AuditEntry) -> Result<bool> {
        let (id, now) = (i32::from(id), rows::seconds(now));
        transact!(self, |w| {
            alone(w).await?;
            // The bytes go at once; the number stays, so that it is never given again.
            let done = w
                .change(
                    "UPDATE keys SET phase = 'gone', phase_since = $2, wrapped = '' \
                     WHERE id = $1 AND phase = 'retiring'",
                    &[&id, &now],
                )
                .await?;
            if done == 1 {
                moved(w, &audit).await?;
            }
            Ok(done == 1)
        })
    }
}
