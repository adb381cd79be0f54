//! What is known of a client and its like, in one statement.

use std::time::Duration;

use async_trait::async_trait;
use vestibule_protocol::{client_id::ClientKey, time::Timestamp};
use vestibule_store::{
    HistoryStore, Result,
    history::{COUNT_MAX, ClientHistory},
};

use crate::{PostgresStore, rows};

/// Grants that a count over a whole software looks at, at most.
const GRANTS_MAX: i64 = 5_000;

/// `$1` key, `$2` software, `$3` host, `$4` now, `$5` a month ago, `$6` and `$7` the bounds. People
/// of one client are counted from person to person through the index, so that a person with a
/// thousand grants is one step.
pub(crate) const HISTORY: &str = "WITH RECURSIVE person (user_id, n) AS (\
        (SELECT user_id, 1::bigint FROM grants WHERE client = $1 AND NOT revoked \
            ORDER BY user_id LIMIT 1) \
        UNION ALL SELECT next.user_id, person.n + 1 FROM person CROSS JOIN LATERAL (\
            SELECT g.user_id FROM grants g WHERE g.client = $1 AND NOT g.revoked \
                AND g.user_id > person.user_id ORDER BY g.user_id LIMIT 1) AS next \
        WHERE person.n < $6) \
    SELECT (SELECT created_at FROM clients WHERE key = $1) AS first_seen, \
        (SELECT count(*) FROM person WHERE EXISTS (SELECT 1 FROM grants g \
            WHERE g.client = $1 AND NOT g.revoked AND g.user_id = person.user_id \
            AND g.absolute_until > $4)) AS people, \
        (SELECT count(*) FROM (SELECT 1 FROM clients \
            WHERE software = $2 AND software <> '' LIMIT $6) AS clones) AS software_clients, \
        (SELECT least(count(DISTINCT user_id), $6) FROM (\
            SELECT g.user_id FROM (SELECT key FROM clients \
                WHERE software = $2 AND software <> '' ORDER BY created_at DESC LIMIT $6) AS c \
            JOIN grants g ON g.client = c.key AND NOT g.revoked AND g.absolute_until > $4 \
            LIMIT $7) AS theirs) AS software_people, \
        (SELECT min(created_at) FROM clients WHERE host = $3) AS host_first_seen, \
        changes.recent AS changes, changes.last AS changed_at \
    FROM (SELECT count(*) FILTER (WHERE at > $5) AS recent, max(at) AS last \
          FROM document_changes WHERE client = $1) AS changes";

#[async_trait]
impl HistoryStore for PostgresStore {
    async fn client_history(
        &self,
        key: &ClientKey,
        software: &str,
        host: Option<&str>,
        now: Timestamp,
    ) -> Result<ClientHistory> {
        let month = now.minus(Duration::from_hours(30 * 24));
        let history = self
            .read(
                HISTORY,
                &[
                    &key.as_bytes().as_slice(),
                    &rows::text(software),
                    &host,
                    &rows::seconds(now),
                    &rows::seconds(month),
                    &rows::number(COUNT_MAX),
                    &GRANTS_MAX,
                ],
                |row| {
                    Ok(ClientHistory {
                        first_seen: rows::time_if_any(row, "first_seen")?,
                        people: rows::unsigned(row, "people")?,
                        software_clients: rows::unsigned(row, "software_clients")?,
                        software_people: rows::unsigned(row, "software_people")?,
                        host_first_seen: rows::time_if_any(row, "host_first_seen")?,
                        changes_30d: rows::unsigned(row, "changes")?,
                        last_changed_at: rows::time_if_any(row, "changed_at")?,
                    })
                },
            )
            .await?;
        Ok(history.unwrap_or_default())
    }
}
