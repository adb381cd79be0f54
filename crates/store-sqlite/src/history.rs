//! What is known of a client and its like.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, ToSql, params};
use vestibule_protocol::{client_id::ClientKey, time::Timestamp};
use vestibule_store::{
    HistoryStore, Result,
    history::{COUNT_MAX, ClientHistory},
};

use crate::{SqliteStore, rows};

/// Grants that a count over a whole software looks at, at most.
const GRANTS_MAX: i64 = 5_000;

pub(crate) const FIRST_SEEN: &str = "SELECT created_at FROM clients WHERE key = ?1";

/// From person to person through the index, so that a person with a thousand grants is one step.
pub(crate) const PEOPLE: &str = "WITH RECURSIVE person (user) AS ( \
        SELECT min(user) FROM grants WHERE client = ?1 AND revoked = 0 \
        UNION ALL SELECT (SELECT min(g.user) FROM grants g \
            WHERE g.client = ?1 AND g.revoked = 0 AND g.user > person.user) \
        FROM person WHERE person.user IS NOT NULL LIMIT ?3) \
    SELECT count(*) FROM person WHERE user IS NOT NULL AND EXISTS (SELECT 1 FROM grants g \
        WHERE g.client = ?1 AND g.revoked = 0 AND g.user = person.user AND g.absolute_until > ?2)";

pub(crate) const SOFTWARE_CLIENTS: &str = "SELECT count(*) FROM \
    (SELECT 1 FROM clients WHERE software = ?1 AND software <> '' LIMIT ?2)";

pub(crate) const SOFTWARE_PEOPLE: &str = "SELECT min(count(DISTINCT user), ?3) FROM ( \
    SELECT g.user FROM (SELECT key FROM clients \
            WHERE software = ?1 AND software <> '' ORDER BY created_at DESC LIMIT ?3) c \
        CROSS JOIN grants g ON g.client = c.key AND g.revoked = 0 AND g.absolute_until > ?2 \
    LIMIT ?4)";

pub(crate) const HOST_FIRST_SEEN: &str = "SELECT min(created_at) FROM clients WHERE host = ?1";

pub(crate) const CHANGES: &str = "SELECT count(*) FILTER (WHERE at > ?2), max(at) FROM document_changes \
    WHERE client = ?1";

#[async_trait]
impl HistoryStore for SqliteStore {
    async fn client_history(
        &self,
        key: &ClientKey,
        software: &str,
        host: Option<&str>,
        now: Timestamp,
    ) -> Result<ClientHistory> {
        let most = rows::number(COUNT_MAX);
        let month = Duration::from_hours(30 * 24);
        self.readers.read(|c| {
            let key = key.as_bytes();
            let (changes, changed_at): (i64, Option<i64>) = c
                .prepare_cached(CHANGES)?
                .query_row(params![key, rows::seconds(now.minus(month))], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            let now = rows::seconds(now);
            Ok(ClientHistory {
                first_seen: time(c, FIRST_SEEN, &[key])?,
                people: count(c, PEOPLE, &[key, &now, &most])?,
                software_clients: count(c, SOFTWARE_CLIENTS, &[&software, &most])?,
                software_people: count(c, SOFTWARE_PEOPLE, &[&software, &now, &most, &GRANTS_MAX])?,
                host_first_seen: host
                    .map_or(Ok(None), |host| time(c, HOST_FIRST_SEEN, &[&host]))?,
                changes_30d: u64::try_from(changes).unwrap_or(0),
                last_changed_at: changed_at.and_then(timestamp),
            })
        })
    }
}

fn count(c: &Connection, query: &str, with: &[&dyn ToSql]) -> rusqlite::Result<u64> {
    let count: i64 = c.prepare_cached(query)?.query_row(with, |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn time(c: &Connection, query: &str, with: &[&dyn ToSql]) -> rusqlite::Result<Option<Timestamp>> {
    let seconds: Option<Option<i64>> = c
        .prepare_cached(query)?
        .query_row(with, |row| row.get(0))
        .optional()?;
    Ok(seconds.flatten().and_then(timestamp))
}

fn timestamp(seconds: i64) -> Option<Timestamp> {
    u64::try_from(seconds).ok().map(Timestamp::from_seconds)
}
