//! Reading the trail.

use std::fmt::Write as _;

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
        let limit = rows::limit(rows_max);
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
        actor: read_actor(&actor).ok_or_else(|| rows::damaged("an actor"))?,
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

/// Who, so that it reads back: `kind:name`, a client by its whole key.
pub(crate) fn actor_text(actor: &Actor) -> String {
    match actor {
        Actor::Admin(name) => format!("admin:{name}"),
        Actor::Client(key) => key
            .as_bytes()
            .iter()
            .fold("client:".to_owned(), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            }),
        Actor::Person(user) => format!("person:{user}"),
        Actor::System => "system:".to_owned(),
    }
}

fn read_actor(text: &str) -> Option<Actor> {
    match text.split_once(':')? {
        ("admin", name) => Some(Actor::Admin(name.to_owned())),
        ("client", digits) => {
            let mut key = [0; 32];
            for (n, byte) in key.iter_mut().enumerate() {
                *byte = u8::from_str_radix(digits.get(2 * n..2 * n + 2)?, 16).ok()?;
            }
            Some(Actor::Client(ClientKey::from_bytes(key)))
        }
        ("person", user) => Some(Actor::Person(UserId::new(user))),
        ("system", _) => Some(Actor::System),
        _ => None,
    }
}
