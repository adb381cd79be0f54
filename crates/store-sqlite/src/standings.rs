//! Vouching and blocking.

use async_trait::async_trait;
use rusqlite::{Connection, Row, ToSql, params, params_from_iter};
use vestibule_protocol::{client_id::ClientKey, time::Timestamp};
use vestibule_store::{
    AuditEntry, Result, StandingStore,
    standings::{StandingRow, Subject, SubjectKind, Word},
};

use crate::{SqliteStore, clients, rows, versions};

fn read(row: &Row<'_>) -> rusqlite::Result<StandingRow> {
    Ok(StandingRow {
        subject: Subject {
            kind: SubjectKind::parse(row.get_ref("kind")?.as_str()?)
                .ok_or_else(|| rows::damaged("the kind of a subject"))?,
            hash: row.get("subject")?,
        },
        subject_text: row.get("subject_text")?,
        word: Word::parse(row.get_ref("word")?.as_str()?)
            .ok_or_else(|| rows::damaged("the word of a standing"))?,
        by: row.get("said_by")?,
        note: row.get("note")?,
        at: rows::time(row, "at")?,
        until: rows::time_if_any(row, "until")?,
    })
}

/// One read for `count` subjects: the time, then kind and hash of each.
pub(crate) fn find(count: usize) -> String {
    let subjects = vec!["(?, ?)"; count].join(", ");
    format!(
        "SELECT * FROM standings WHERE (until IS NULL OR until > ?) \
         AND (kind, subject) IN (VALUES {subjects})"
    )
}

pub(crate) const BLOCKED: &str = "SELECT EXISTS (SELECT 1 FROM standings WHERE word = 'blocked' \
     AND (until IS NULL OR until > ?3) \
     AND ((kind = 'client' AND subject = ?1) OR (kind = 'redirect_uri' AND subject = ?2)))";

/// Does an admin's block stand against this client, or against where it sends people?
pub(crate) fn is_blocked(
    c: &Connection,
    client: &ClientKey,
    redirect_uri: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let redirect = Subject::redirect_uri(redirect_uri);
    c.prepare_cached(BLOCKED)?.query_row(
        params![client.as_bytes(), redirect.hash, rows::seconds(now)],
        |row| row.get(0),
    )
}

#[async_trait]
impl StandingStore for SqliteStore {
    async fn put_standing(&self, standing: StandingRow, audit: AuditEntry) -> Result<()> {
        self.writer
            .run(move |c| {
                let Subject { kind, hash } = standing.subject;
                c.execute(
                    "INSERT INTO standings (kind, subject, subject_text, word, said_by, note, at, \
                     until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                     ON CONFLICT (kind, subject) DO UPDATE SET subject_text = excluded.subject_text, \
                     word = excluded.word, said_by = excluded.said_by, note = excluded.note, \
                     at = excluded.at, until = excluded.until",
                    params![
                        kind.as_str(),
                        hash,
                        standing.subject_text,
                        standing.word.as_str(),
                        standing.by,
                        standing.note,
                        rows::seconds(standing.at),
                        standing.until.map(rows::seconds),
                    ],
                )?;
                if (kind, standing.word) == (SubjectKind::Client, Word::Blocked) {
                    clients::end_all(c, &ClientKey::from_bytes(hash))?;
                }
                versions::lists_moved(c)?;
                rows::audit(c, &audit)
            })
            .await
    }

    async fn remove_standing(&self, subject: &Subject, audit: AuditEntry) -> Result<bool> {
        let subject = *subject;
        self.writer
            .run(move |c| {
                let removed = c.execute(
                    "DELETE FROM standings WHERE kind = ?1 AND subject = ?2",
                    params![subject.kind.as_str(), subject.hash],
                )?;
                if removed == 1 {
                    versions::lists_moved(c)?;
                    rows::audit(c, &audit)?;
                }
                Ok(removed == 1)
            })
            .await
    }

    async fn standings_of(&self, subjects: &[Subject], now: Timestamp) -> Result<Vec<StandingRow>> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let now = rows::seconds(now);
        let kinds: Vec<_> = subjects.iter().map(|one| one.kind.as_str()).collect();
        let mut values: Vec<&dyn ToSql> = vec![&now];
        for (subject, kind) in subjects.iter().zip(&kinds) {
            values.push(kind);
            values.push(&subject.hash);
        }
        self.readers.read(|c| {
            c.prepare_cached(&find(subjects.len()))?
                .query_map(params_from_iter(values), read)?
                .collect()
        })
    }

    async fn list_standings(
        &self,
        before: Option<(Timestamp, Subject)>,
        rows_max: usize,
    ) -> Result<Vec<StandingRow>> {
        let (time, kind, subject) = before.map_or((i64::MAX, "", [0; 32]), |(time, subject)| {
            (rows::seconds(time), subject.kind.as_str(), subject.hash)
        });
        let limit = rows::limit(rows_max);
        self.readers.read(|c| {
            c.prepare_cached(
                "SELECT * FROM standings \
                 WHERE at < ?1 OR (at = ?1 AND (kind, subject) > (?2, ?3)) \
                 ORDER BY at DESC, kind, subject LIMIT ?4",
            )?
            .query_map(params![time, kind, subject, limit], read)?
            .collect()
        })
    }
}
