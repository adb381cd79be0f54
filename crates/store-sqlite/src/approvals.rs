//! The queue of approvals.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use vestibule_protocol::{ids::UserId, time::Timestamp};
use vestibule_store::{
    ApprovalStore, AuditEntry, Result,
    approvals::{
        ASKED_AGAIN_AFTER, ApprovalId, ApprovalPhase, ApprovalRow, ApprovalState, Ask, Asked,
        Decision, WAITING_KEPT, per_person_max,
    },
};

use crate::{SqliteStore, rows, versions};

pub(crate) const FIND: &str =
    "SELECT id, phase, until FROM approvals WHERE subject = ?1 AND until > ?2";

fn phase(row: &Row<'_>) -> rusqlite::Result<ApprovalPhase> {
    ApprovalPhase::parse(row.get_ref("phase")?.as_str()?)
        .ok_or_else(|| rows::damaged("the phase of an approval"))
}

fn read(row: &Row<'_>) -> rusqlite::Result<ApprovalRow> {
    let reasons: String = row.get("reasons")?;
    Ok(ApprovalRow {
        id: ApprovalId::new(rows::unsigned(row, "id")?),
        ask: Ask {
            subject: row.get("subject")?,
            subject_text: row.get("subject_text")?,
            software: row.get("software")?,
            door: rows::door(row)?,
            display_name: row.get("display_name")?,
            host: row.get("host")?,
            reasons: serde_json::from_str(&reasons)
                .map_err(|_| rows::damaged("the reasons of an approval"))?,
            asked_by: row.get::<_, Option<String>>("asked_by")?.map(UserId::new),
            source_prefix: row.get("source")?,
            now: rows::time(row, "asked_at")?,
        },
        phase: phase(row)?,
        times: rows::unsigned(row, "times")?,
        last_asked_at: rows::time(row, "last_asked_at")?,
        decided_by: row.get("decided_by")?,
        decided_at: rows::time_if_any(row, "decided_at")?,
        until: rows::time(row, "until")?,
    })
}

#[async_trait]
impl ApprovalStore for SqliteStore {
    async fn ask_approval(
        &self,
        ask: Ask,
        per_software_max: u32,
        total_max: u32,
        audit: AuditEntry,
    ) -> Result<Asked> {
        let ask = ask.bounded();
        self.writer
            .run(move |c| {
                // What is over is as if it never was, and takes nobody's room.
                c.execute(
                    "DELETE FROM approvals WHERE until <= ?1 AND (phase = 'waiting' OR subject = ?2)",
                    params![rows::seconds(ask.now), ask.subject],
                )?;
                let found = c
                    .prepare_cached("SELECT * FROM approvals WHERE subject = ?1")?
                    .query_row([ask.subject], read)
                    .optional()?;
                if let Some(row) = found {
                    return ask_again(c, &row, &ask, &audit);
                }
                if !make_room(c, &ask, per_software_max, total_max)? {
                    return Ok(Asked::Full);
                }
                insert(c, &ask, &audit)
            })
            .await
    }

    async fn decide_approval(
        &self,
        id: ApprovalId,
        decision: Decision,
        decided_by: &str,
        until: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool> {
        let decided_by = decided_by.to_owned();
        self.writer
            .run(move |c| {
                let decided = c.execute(
                    "UPDATE approvals SET phase = ?2, decided_by = ?3, decided_at = ?4, until = ?5 \
                     WHERE id = ?1 AND phase <> ?2 AND until > ?4",
                    params![
                        rows::number(id.number()),
                        decision.phase().as_str(),
                        decided_by,
                        rows::seconds(audit.at),
                        rows::seconds(until),
                    ],
                )?;
                if decided == 1 {
                    versions::lists_moved(c)?;
                    rows::audit(c, &audit)?;
                }
                Ok(decided == 1)
            })
            .await
    }

    async fn find_approval(
        &self,
        subject: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<ApprovalState>> {
        self.readers.read(|c| {
            c.prepare_cached(FIND)?
                .query_row(params![subject, rows::seconds(now)], |row| {
                    Ok(ApprovalState {
                        id: ApprovalId::new(rows::unsigned(row, "id")?),
                        phase: phase(row)?,
                        until: rows::time(row, "until")?,
                    })
                })
                .optional()
        })
    }

    async fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalRow>> {
        self.readers.read(|c| {
            c.prepare_cached("SELECT * FROM approvals WHERE id = ?1")?
                .query_row([rows::number(id.number())], read)
                .optional()
        })
    }

    async fn list_approvals(
        &self,
        phase: Option<ApprovalPhase>,
        before: Option<ApprovalId>,
        rows_max: usize,
    ) -> Result<Vec<ApprovalRow>> {
        let before = before.map_or(i64::MAX, |id| rows::number(id.number()));
        let limit = rows::limit(rows_max);
        self.readers.read(|c| match phase {
            None => c
                .prepare_cached("SELECT * FROM approvals WHERE id < ?1 ORDER BY id DESC LIMIT ?2")?
                .query_map(params![before, limit], read)?
                .collect(),
            Some(phase) => c
                .prepare_cached(
                    "SELECT * FROM approvals WHERE phase = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2",
                )?
                .query_map(params![before, limit, phase.as_str()], read)?
                .collect(),
        })
    }
}

fn insert(c: &Connection, ask: &Ask, audit: &AuditEntry) -> rusqlite::Result<Asked> {
    let reasons = serde_json::to_string(&ask.reasons)
        .map_err(|failure| rusqlite::Error::ToSqlConversionFailure(Box::new(failure)))?;
    c.prepare_cached(
        "INSERT INTO approvals (subject, subject_text, software, door, display_name, host, \
         reasons, asked_by, source, phase, times, asked_at, last_asked_at, until) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'waiting', 1, ?10, ?10, ?11)",
    )?
    .execute(params![
        ask.subject,
        ask.subject_text,
        ask.software,
        ask.door.as_str(),
        ask.display_name,
        ask.host,
        reasons,
        ask.asked_by.as_ref().map(UserId::as_str),
        ask.source_prefix,
        rows::seconds(ask.now),
        rows::seconds(ask.now.plus(WAITING_KEPT)),
    ])?;
    let id = u64::try_from(c.last_insert_rowid()).unwrap_or_default();
    if ask.asked_by.is_some() {
        rows::audit(c, audit)?;
    }
    Ok(Asked::Waiting(ApprovalId::new(id)))
}

fn ask_again(
    c: &Connection,
    row: &ApprovalRow,
    ask: &Ask,
    audit: &AuditEntry,
) -> rusqlite::Result<Asked> {
    let id = rows::number(row.id.number());
    if ask.now.since(row.last_asked_at) >= ASKED_AGAIN_AFTER {
        c.prepare_cached(
            "UPDATE approvals SET times = times + 1, last_asked_at = ?2, \
             until = CASE phase WHEN 'waiting' THEN ?3 ELSE until END WHERE id = ?1",
        )?
        .execute(params![
            id,
            rows::seconds(ask.now),
            rows::seconds(ask.now.plus(WAITING_KEPT)),
        ])?;
    }
    Ok(match row.phase {
        ApprovalPhase::Approved => Asked::Approved,
        ApprovalPhase::Denied => Asked::Denied,
        ApprovalPhase::Waiting => {
            if let (None, Some(person)) = (&row.ask.asked_by, &ask.asked_by) {
                c.execute(
                    "UPDATE approvals SET asked_by = ?2 WHERE id = ?1",
                    params![id, person.as_str()],
                )?;
                rows::audit(c, audit)?;
            }
            Asked::Waiting(row.id)
        }
    })
}

/// Is there room for one more, or does somebody give way?
fn make_room(
    c: &Connection,
    ask: &Ask,
    per_software_max: u32,
    total_max: u32,
) -> rusqlite::Result<bool> {
    let count = |statement: &str, of: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<u32> {
        c.prepare_cached(statement)?.query_row(of, |row| row.get(0))
    };
    if per_software_max == 0 || total_max == 0 {
        return Ok(false);
    }
    if let Some(person) = &ask.asked_by {
        let theirs = count(
            "SELECT count(*) FROM approvals WHERE phase = 'waiting' AND asked_by = ?1",
            &[&person.as_str()],
        )?;
        if theirs >= per_person_max(per_software_max) {
            return Ok(false);
        }
    }
    let own = count(
        "SELECT count(*) FROM approvals WHERE phase = 'waiting' AND software = ?1",
        &[&ask.software],
    )?;
    let victim = if own >= per_software_max {
        c.prepare_cached(
            "SELECT min(id) FROM approvals \
             WHERE phase = 'waiting' AND software = ?1 AND asked_by IS NULL",
        )?
        .query_row([&ask.software], |row| row.get(0))?
    } else if count(
        "SELECT count(*) FROM approvals WHERE phase = 'waiting'",
        &[],
    )? < total_max
    {
        return Ok(true);
    } else {
        oldest_of_strangers(c)?
    };
    // Nobody gives way to a stranger.
    give_way(c, victim.filter(|_| ask.asked_by.is_some()))
}

/// Of the software of which strangers ask most.
fn oldest_of_strangers(c: &Connection) -> rusqlite::Result<Option<i64>> {
    c.prepare_cached(
        "SELECT min(id) AS oldest FROM approvals WHERE phase = 'waiting' AND asked_by IS NULL \
         GROUP BY software ORDER BY count(*) DESC, oldest LIMIT 1",
    )?
    .query_row([], |row| row.get("oldest"))
    .optional()
}

fn give_way(c: &Connection, id: Option<i64>) -> rusqlite::Result<bool> {
    let Some(id) = id else {
        return Ok(false);
    };
    let gone = c
        .prepare_cached("DELETE FROM approvals WHERE id = ?1 AND phase = 'waiting'")?
        .execute([id])?;
    Ok(gone == 1)
}
