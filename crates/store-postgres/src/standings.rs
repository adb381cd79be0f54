//! Vouching and blocking.

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::{client_id::ClientKey, time::Timestamp};
use vestibule_store::{
    AuditEntry, Result, StandingStore,
    standings::{StandingRow, Subject, SubjectKind, Word},
};

use crate::{
    PostgresStore, clients, locks,
    pool::{Patience, transact},
    rows::{self, Outcome},
    versions,
};

fn read(row: &Row) -> Outcome<StandingRow> {
    Ok(StandingRow {
        subject: Subject {
            kind: rows::word(row, "kind", SubjectKind::parse, "the kind of a subject")?,
            hash: rows::bytes(row, "subject")?,
        },
        subject_text: rows::get(row, "subject_text")?,
        word: rows::word(row, "word", Word::parse, "the word of a standing")?,
        by: rows::get(row, "said_by")?,
        note: rows::get(row, "note")?,
        at: rows::time(row, "at")?,
        until: rows::time_if_any(row, "until")?,
    })
}

macro_rules! columns {
    () => {
        "s.kind, s.subject, s.subject_text, s.word, s.said_by, s.note, s.at, s.until"
    };
}

/// Does an admin's block stand against the client `$1`, or against where it sends people, `$2`, at
/// `$3`?
macro_rules! blocked {
    () => {
        "EXISTS (SELECT 1 FROM standings WHERE word = 'blocked' \
         AND (until IS NULL OR until > $3) \
         AND ((kind = 'client' AND subject = $1) OR (kind = 'redirect_uri' AND subject = $2)))"
    };
}
pub(crate) use blocked;

#[async_trait]
impl StandingStore for PostgresStore {
    async fn put_standing(&self, standing: StandingRow, audit: AuditEntry) -> Result<()> {
        let Subject { kind, hash } = standing.subject;
        transact!(self, Patience::Long, |w| {
            locks::change(w, &hash).await?;
            w.change(
                "INSERT INTO standings (kind, subject, subject_text, word, said_by, note, at, \
                 until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (kind, subject) DO UPDATE SET subject_text = excluded.subject_text, \
                 word = excluded.word, said_by = excluded.said_by, note = excluded.note, \
                 at = excluded.at, until = excluded.until",
                &[
                    &kind.as_str(),
                    &hash.as_slice(),
                    &rows::text(&standing.subject_text),
                    &standing.word.as_str(),
                    &rows::text(&standing.by),
                    &rows::text(&standing.note),
                    &rows::seconds(standing.at),
                    &standing.until.map(rows::seconds),
                ],
            )
            .await?;
            if (kind, standing.word) == (SubjectKind::Client, Word::Blocked) {
                clients::end_all(w, &ClientKey::from_bytes(hash)).await?;
            }
            w.audit(&audit).await?;
            versions::lists_moved(w).await
        })
    }

    async fn remove_standing(&self, subject: &Subject, audit: AuditEntry) -> Result<bool> {
        transact!(self, |w| {
            locks::change(w, &subject.hash).await?;
            let removed = w
                .change(
                    "DELETE FROM standings WHERE kind = $1 AND subject = $2",
                    &[&subject.kind.as_str(), &subject.hash.as_slice()],
                )
                .await?;
            if removed == 1 {
                w.audit(&audit).await?;
                versions::lists_moved(w).await?;
            }
            Ok(removed == 1)
        })
    }

    async fn standings_of(&self, subjects: &[Subject], now: Timestamp) -> Result<Vec<StandingRow>> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let kinds: Vec<_> = subjects.iter().map(|one| one.kind.as_str()).collect();
        let hashes: Vec<_> = subjects.iter().map(|one| one.hash.as_slice()).collect();
        self.read_all(
            concat!(
                "SELECT ",
                columns!(),
                " FROM (SELECT DISTINCT kind, subject FROM \
                    unnest($1::text[], $2::bytea[]) AS u (kind, subject)) AS asked \
                 JOIN standings s ON s.kind = asked.kind AND s.subject = asked.subject \
                 WHERE s.until IS NULL OR s.until > $3"
            ),
            &[&kinds, &hashes, &rows::seconds(now)],
            read,
        )
        .await
    }

    async fn list_standings(
        &self,
        before: Option<(Timestamp, Subject)>,
        rows_max: usize,
    ) -> Result<Vec<StandingRow>> {
        let (time, kind, subject) = before.map_or((i64::MAX, "", [0; 32]), |(time, subject)| {
            (rows::seconds(time), subject.kind.as_str(), subject.hash)
        });
        self.read_all(
            concat!(
                "SELECT ",
                columns!(),
                " FROM standings s WHERE at <= $1 AND (at < $1 OR (kind, subject) > ($2, $3)) \
                 ORDER BY at DESC, kind, subject LIMIT $4"
            ),
            &[&time, &kind, &subject.as_slice(), &rows::limit(rows_max)],
            read,
        )
        .await
    }
}
