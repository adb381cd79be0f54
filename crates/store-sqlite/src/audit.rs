//! Reading the trail.

use async_trait::async_trait;
use rusqlite::{Row, params};
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    ids::{GrantId, UserId},
};
use vestibule_store::{AuditEntry, AuditLog, Result, audit::AuditRow};

use crate::{SqliteStore, rows};

#[async_trait]
impl AuditLog for SqliteStore {
    async fn audit_rows(&self, before: Option<u64>, rows_max: usize) -> Result<Vec<AuditRow>> {
        let before = before.map_or(i64::MAX, rows::number);
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        self.readers.read(|connection| {
            connection
                .prepare_cached("SELECT * FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2")?
                .query_map(params![before, limit], read)?
                .collect()
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let actor: String = row.get("actor")?;
    let client: Option<[u8; 32]> = row.get("client")?;
    let grant: Option<String> = row.get("grant_id")?;
    let entry = AuditEntry {
        at: rows::time(row, "at")?,
        event: Event::parse(row.get_ref("event")?.as_str()?)
            .ok_or_else(|| rows::damaged("an event"))?,
        actor: read_actor(&actor),
        client: client.map(ClientKey::from_bytes),
        grant: grant.map(GrantId::new),
        source: row.get("source")?,
        detail: row.get("detail")?,
    };
    Ok(AuditRow {
        seq: rows::unsigned(row, "seq")?,
        entry,
    })
}

/// The short key of a client cannot be made whole again; the row's `client` has all of it.
fn read_actor(text: &str) -> Actor {
    match text.split_once(':') {
        Some(("person", user)) => Actor::Person(UserId::new(user)),
        Some(("admin", name)) => Actor::Admin(name.to_owned()),
        Some(("client", name)) => Actor::Admin(format!("client {name}")),
        _ => Actor::System,
    }
}
