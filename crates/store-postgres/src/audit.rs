//! Reading the trail. Numbers are given in the order of writing, not of commits: a page may miss a
//! line that is being written, and nothing follows the trail by its numbers.

use std::fmt::Write as _;

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    ids::{GrantId, UserId},
};
use vestibule_store::{AuditEntry, AuditLog, Result, audit::AuditRow};

use crate::{
    PostgresStore,
    rows::{self, Failure, Outcome},
};

#[async_trait]
impl AuditLog for PostgresStore {
    async fn audit_rows(&self, before: Option<u64>, rows_max: usize) -> Result<Vec<AuditRow>> {
        let before = before.map_or(i64::MAX, rows::number);
        self.read_all(
            "SELECT seq, at, event, actor, client, grant_id, source, detail FROM audit \
             WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
            &[&before, &rows::limit(rows_max)],
            read,
        )
        .await
    }
}

fn read(row: &Row) -> Outcome<AuditRow> {
    let grant: Option<String> = rows::get(row, "grant_id")?;
    let entry = AuditEntry {
        at: rows::time(row, "at")?,
        event: rows::word(row, "event", Event::parse, "an event")?,
        actor: read_actor(rows::get(row, "actor")?).ok_or(Failure::Damaged("an actor"))?,
        client: rows::client_key_if_any(row, "client")?,
        grant: grant.map(GrantId::new),
        source: rows::get(row, "source")?,
        detail: rows::get(row, "detail")?,
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
