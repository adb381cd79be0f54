//! Wrapped keys.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use vestibule_protocol::time::Timestamp;
use vestibule_store::{
    AuditEntry, KeyStore, Result,
    keys::{KeyPhase, KeyUse, NewKey, StoredKey},
};

use crate::{SqliteStore, rows};

fn read(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let (usage, phase): (String, String) = (row.get("usage")?, row.get("phase")?);
    Ok(StoredKey {
        id: row.get("id")?,
        usage: KeyUse::parse(&usage).ok_or_else(|| rows::damaged("the use of a key"))?,
        phase: KeyPhase::parse(&phase).ok_or_else(|| rows::damaged("the phase of a key"))?,
        wrapped: row.get("wrapped")?,
        created_at: rows::time(row, "created_at")?,
        phase_since: rows::time(row, "phase_since")?,
    })
}

fn insert(c: &Connection, key: &NewKey) -> rusqlite::Result<u16> {
    let id: u16 = c.query_row("SELECT coalesce(max(id), 0) + 1 FROM keys", [], |r| {
        r.get(0)
    })?;
    c.execute(
        "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![
            id,
            key.usage.as_str(),
            key.phase.as_str(),
            key.wrapped,
            rows::seconds(key.created_at),
        ],
    )?;
    Ok(id)
}

/// The sequence moves in the transaction of the change, so it has commit order.
fn moved(c: &Connection, audit: &AuditEntry) -> rusqlite::Result<()> {
    c.execute("UPDATE heads SET seq = seq + 1 WHERE name = 'keys'", [])?;
    rows::audit(c, audit)
}

fn set_phase(
    c: &Connection,
    id: u16,
    from: KeyPhase,
    to: KeyPhase,
    at: i64,
) -> rusqlite::Result<bool> {
    let changed = c.execute(
        "UPDATE keys SET phase = ?3, phase_since = ?4 WHERE id = ?1 AND phase = ?2",
        params![id, from.as_str(), to.as_str(), at],
    )?;
    Ok(changed == 1)
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn load_keys(&self) -> Result<(u64, Vec<StoredKey>)> {
        self.readers.read(|c| {
            let transaction = c.unchecked_transaction()?;
            let seq =
                transaction.query_row("SELECT seq FROM heads WHERE name = 'keys'", [], |r| {
                    rows::unsigned(r, "seq")
                })?;
            let keys = transaction
                .prepare_cached("SELECT * FROM keys WHERE phase <> 'gone' ORDER BY id")?
                .query_map([], read)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok((seq, keys))
        })
    }

    async fn add_missing_keys(&self, keys: Vec<NewKey>, audit: AuditEntry) -> Result<usize> {
        self.writer
            .run(move |c| {
                let mut added = 0;
                for key in &keys {
                    let there: bool = c.query_row(
                        "SELECT EXISTS (SELECT 1 FROM keys WHERE usage = ?1 AND phase <> 'gone')",
                        [key.usage.as_str()],
                        |row| row.get(0),
                    )?;
                    if !there {
                        insert(c, key)?;
                        added += 1;
                    }
                }
                if added > 0 {
                    moved(c, &audit)?;
                }
                Ok(added)
            })
            .await
    }

    async fn stage_key(&self, key: NewKey, audit: AuditEntry) -> Result<u16> {
        self.writer
            .run(move |c| {
                let staged = NewKey {
                    phase: KeyPhase::Staged,
                    ..key
                };
                let id = insert(c, &staged)?;
                moved(c, &audit)?;
                Ok(id)
            })
            .await
    }

    async fn activate_key(&self, id: u16, now: Timestamp, audit: AuditEntry) -> Result<bool> {
        self.writer
            .run(move |c| {
                let now = rows::seconds(now);
                let active = c.execute(
                    "UPDATE keys SET phase = 'retiring', phase_since = ?2 WHERE phase = 'active' \
                     AND usage = (SELECT usage FROM keys WHERE id = ?1 AND phase = 'staged')",
                    params![id, now],
                )?;
                let done = set_phase(c, id, KeyPhase::Staged, KeyPhase::Active, now)?;
                if done {
                    moved(c, &audit)?;
                } else if active > 0 {
                    return Err(rows::damaged("a key was retired for nothing"));
                }
                Ok(done)
            })
            .await
    }

    async fn end_key(&self, id: u16, now: Timestamp, audit: AuditEntry) -> Result<bool> {
        self.writer
            .run(move |c| {
                let now = rows::seconds(now);
                let done = set_phase(c, id, KeyPhase::Retiring, KeyPhase::Gone, now)?;
                if done {
                    // The bytes go at once; the number stays, so that it is never given again.
                    c.execute("UPDATE keys SET wrapped = x'' WHERE id = ?1", [id])?;
                    moved(c, &audit)?;
                }
                Ok(done)
            })
            .await
    }
}
