//! The queue of approvals. It is bounded as a whole, so who may grow it comes one after the other;
//! who asks again for what is known and was just counted is answered without a lock.

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::{ids::UserId, time::Timestamp};
use vestibule_store::{
    ApprovalStore, AuditEntry, Result,
    approvals::{
        ASKED_AGAIN_AFTER, ApprovalId, ApprovalPhase, ApprovalRow, ApprovalState, Ask, Asked,
        Decision, WAITING_KEPT, per_person_max,
    },
};

use crate::{
    PostgresStore,
    locks::{self, Whole},
    pool::{Parameters, Work, transact},
    rows::{self, Failure, Outcome},
    versions,
};

macro_rules! columns {
    () => {
        "id, subject, subject_text, software, door, display_name, host, reasons, asked_by, source, \
         phase, times, asked_at, last_asked_at, decided_by, decided_at, until"
    };
}

const OF_SUBJECT: &str = concat!("SELECT ", columns!(), " FROM approvals WHERE subject = $1");

fn phase(row: &Row) -> Outcome<ApprovalPhase> {
    rows::word(
        row,
        "phase",
        ApprovalPhase::parse,
        "the phase of an approval",
    )
}

fn read(row: &Row) -> Outcome<ApprovalRow> {
    let asked_by: Option<String> = rows::get(row, "asked_by")?;
    Ok(ApprovalRow {
        id: ApprovalId::new(rows::unsigned(row, "id")?),
        ask: Ask {
            subject: rows::bytes(row, "subject")?,
            subject_text: rows::get(row, "subject_text")?,
            software: rows::get(row, "software")?,
            door: rows::door(row)?,
            display_name: rows::get(row, "display_name")?,
            host: rows::get(row, "host")?,
            reasons: serde_json::from_str(rows::get(row, "reasons")?)
                .map_err(|_| Failure::Damaged("the reasons of an approval"))?,
            asked_by: asked_by.map(UserId::new),
            source_prefix: rows::get(row, "source")?,
            now: rows::time(row, "asked_at")?,
        },
        phase: phase(row)?,
        times: rows::unsigned(row, "times")?,
        last_asked_at: rows::time(row, "last_asked_at")?,
        decided_by: rows::get(row, "decided_by")?,
        decided_at: rows::time_if_any(row, "decided_at")?,
        until: rows::time(row, "until")?,
    })
}

#[async_trait]
impl ApprovalStore for PostgresStore {
    async fn ask_approval(
        &self,
        ask: Ask,
        per_software_max: u32,
        total_max: u32,
        audit: AuditEntry,
    ) -> Result<Asked> {
        let ask = writable(ask.bounded());
        let known = self
            .read(OF_SUBJECT, &[&ask.subject.as_slice()], read)
            .await?;
        if let Some(answer) = known.and_then(|row| nothing_new(&row, &ask)) {
            return Ok(answer);
        }
        transact!(self, |w| {
            locks::take(w, Whole::Queue).await?;
            // What is over is as if it never was, and takes nobody's room.
            w.change(
                "DELETE FROM approvals WHERE until <= $1 AND (phase = 'waiting' OR subject = $2)",
                &[&rows::seconds(ask.now), &ask.subject.as_slice()],
            )
            .await?;
            let found = w.read(OF_SUBJECT, &[&ask.subject.as_slice()], read).await?;
            if let Some(row) = found {
                return ask_again(w, &row, &ask, &audit).await;
            }
            if !make_room(w, &ask, per_software_max, total_max).await? {
                return Ok(Asked::Full);
            }
            insert(w, &ask, &audit).await
        })
    }

    async fn decide_approval(
        &self,
        id: ApprovalId,
        decision: Decision,
        decided_by: &str,
        until: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool> {
        transact!(self, |w| {
            let decided = w
                .change(
                    "UPDATE approvals SET phase = $2, decided_by = $3, decided_at = $4, \
                     until = $5 WHERE id = $1 AND phase <> $2 AND until > $4",
                    &[
                        &rows::number(id.number()),
                        &decision.phase().as_str(),
                        &rows::text(decided_by),
                        &rows::seconds(audit.at),
                        &rows::seconds(until),
                    ],
                )
                .await?;
            if decided == 1 {
                w.audit(&audit).await?;
                versions::lists_moved(w).await?;
            }
            Ok(decided == 1)
        })
    }

    async fn find_approval(
        &self,
        subject: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<ApprovalState>> {
        self.read(
            "SELECT id, phase, until FROM approvals WHERE subject = $1 AND until > $2",
            &[&subject.as_slice(), &rows::seconds(now)],
            |row| {
                Ok(ApprovalState {
                    id: ApprovalId::new(rows::unsigned(row, "id")?),
                    phase: phase(row)?,
                    until: rows::time(row, "until")?,
                })
            },
        )
        .await
    }

    async fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalRow>> {
        self.read(
            concat!("SELECT ", columns!(), " FROM approvals WHERE id = $1"),
            &[&rows::number(id.number())],
            read,
        )
        .await
    }

    async fn list_approvals(
        &self,
        phase: Option<ApprovalPhase>,
        before: Option<ApprovalId>,
        rows_max: usize,
    ) -> Result<Vec<ApprovalRow>> {
        let before = before.map_or(i64::MAX, |id| rows::number(id.number()));
        let limit = rows::limit(rows_max);
        match phase {
            None => {
                self.read_all(
                    concat!(
                        "SELECT ",
                        columns!(),
                        " FROM approvals WHERE id < $1 ORDER BY id DESC LIMIT $2"
                    ),
                    &[&before, &limit],
                    read,
                )
                .await
            }
            Some(phase) => {
                self.read_all(
                    concat!(
                        "SELECT ",
                        columns!(),
                        " FROM approvals WHERE phase = $3 AND id < $1 ORDER BY id DESC LIMIT $2"
                    ),
                    &[&before, &limit, &phase.as_str()],
                    read,
                )
                .await
            }
        }
    }
}

/// A request whose texts PostgreSQL can keep.
fn writable(ask: Ask) -> Ask {
    let text = |raw: Option<String>| raw.map(|raw| rows::text(&raw));
    Ask {
        subject_text: rows::text(&ask.subject_text),
        software: rows::text(&ask.software),
        display_name: text(ask.display_name),
        host: text(ask.host),
        source_prefix: text(ask.source_prefix),
        ..ask
    }
}

fn is_due(row: &ApprovalRow, ask: &Ask) -> bool {
    ask.now.since(row.last_asked_at) >= ASKED_AGAIN_AFTER
}

/// The answer, if asking again writes nothing.
fn nothing_new(row: &ApprovalRow, ask: &Ask) -> Option<Asked> {
    let theirs = row.ask.asked_by.is_none() && ask.asked_by.is_some();
    if row.until <= ask.now || is_due(row, ask) {
        return None;
    }
    Some(match row.phase {
        ApprovalPhase::Approved => Asked::Approved,
        ApprovalPhase::Denied => Asked::Denied,
        ApprovalPhase::Waiting if theirs => return None,
        ApprovalPhase::Waiting => Asked::Waiting(row.id),
    })
}

async fn insert(w: &Work, ask: &Ask, audit: &AuditEntry) -> Outcome<Asked> {
    let reasons = serde_json::to_string(&ask.reasons)
        .map_err(|_| Failure::unwritable("the reasons of an approval"))?;
    let id = w
        .read(
            "INSERT INTO approvals (subject, subject_text, software, door, display_name, host, \
             reasons, asked_by, source, phase, times, asked_at, last_asked_at, until) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', 1, $10, $10, $11) \
             RETURNING id",
            &[
                &ask.subject.as_slice(),
                &ask.subject_text,
                &ask.software,
                &ask.door.as_str(),
                &ask.display_name,
                &ask.host,
                &reasons,
                &ask.asked_by.as_ref().map(UserId::as_str),
                &ask.source_prefix,
                &rows::seconds(ask.now),
                &rows::seconds(ask.now.plus(WAITING_KEPT)),
            ],
            |row| rows::unsigned(row, "id"),
        )
        .await?;
    if ask.asked_by.is_some() {
        w.audit(audit).await?;
    }
    let id = id.ok_or(Failure::Damaged("the number of an approval"))?;
    Ok(Asked::Waiting(ApprovalId::new(id)))
}

async fn ask_again(w: &Work, row: &ApprovalRow, ask: &Ask, audit: &AuditEntry) -> Outcome<Asked> {
    let id = rows::number(row.id.number());
    if is_due(row, ask) {
        w.change(
            "UPDATE approvals SET times = times + 1, last_asked_at = $2, \
             until = CASE phase WHEN 'waiting' THEN $3 ELSE until END WHERE id = $1",
            &[
                &id,
                &rows::seconds(ask.now),
                &rows::seconds(ask.now.plus(WAITING_KEPT)),
            ],
        )
        .await?;
    }
    Ok(match row.phase {
        ApprovalPhase::Approved => Asked::Approved,
        ApprovalPhase::Denied => Asked::Denied,
        ApprovalPhase::Waiting => {
            if let (None, Some(person)) = (&row.ask.asked_by, &ask.asked_by) {
                w.change(
                    "UPDATE approvals SET asked_by = $2 WHERE id = $1",
                    &[&id, &person.as_str()],
                )
                .await?;
                w.audit(audit).await?;
            }
            Asked::Waiting(row.id)
        }
    })
}

async fn count(w: &Work, statement: &str, of: &Parameters<'_>) -> Outcome<u64> {
    let count = w
        .read(statement, of, |row| rows::unsigned(row, "count"))
        .await?;
    Ok(count.unwrap_or(0))
}

/// Is there room for one more, or does somebody give way?
async fn make_room(w: &Work, ask: &Ask, per_software_max: u32, total_max: u32) -> Outcome<bool> {
    if per_software_max == 0 || total_max == 0 {
        return Ok(false);
    }
    if let Some(person) = &ask.asked_by {
        let theirs = count(
            w,
            "SELECT count(*) AS count FROM approvals WHERE phase = 'waiting' AND asked_by = $1",
            &[&person.as_str()],
        )
        .await?;
        if theirs >= u64::from(per_person_max(per_software_max)) {
            return Ok(false);
        }
    }
    let own = count(
        w,
        "SELECT count(*) AS count FROM approvals WHERE phase = 'waiting' AND software = $1",
        &[&ask.software],
    )
    .await?;
    let all = "SELECT count(*) AS count FROM approvals WHERE phase = 'waiting'";
    let victim = if own >= u64::from(per_software_max) {
        w.read(
            "SELECT min(id) AS oldest FROM approvals \
             WHERE phase = 'waiting' AND software = $1 AND asked_by IS NULL",
            &[&ask.software],
            |row| rows::get::<Option<i64>>(row, "oldest"),
        )
        .await?
        .flatten()
    } else if count(w, all, &[]).await? < u64::from(total_max) {
        return Ok(true);
    } else {
        oldest_of_strangers(w).await?
    };
    // Nobody gives way to a stranger.
    give_way(w, victim.filter(|_| ask.asked_by.is_some())).await
}

/// Of the software of which strangers ask most.
async fn oldest_of_strangers(w: &Work) -> Outcome<Option<i64>> {
    w.read(
        "SELECT min(id) AS oldest FROM approvals WHERE phase = 'waiting' AND asked_by IS NULL \
         GROUP BY software ORDER BY count(*) DESC, oldest LIMIT 1",
        &[],
        |row| rows::get(row, "oldest"),
    )
    .await
}

async fn give_way(w: &Work, id: Option<i64>) -> Outcome<bool> {
    let Some(id) = id else {
        return Ok(false);
    };
    let gone = w
        .change(
            "DELETE FROM approvals WHERE id = $1 AND phase = 'waiting'",
            &[&id],
        )
        .await?;
    Ok(gone == 1)
}
