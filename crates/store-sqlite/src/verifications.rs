//! Domain proofs.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use vestibule_protocol::{audit::Event, client_id::ClientKey, time::Timestamp};
use vestibule_store::{
    AuditEntry, Result, VerificationStore,
    verifications::{
        FAILURES_MAX, VERIFICATIONS_MAX, VERIFICATIONS_SHOWN_MAX, Verification, VerificationAdded,
        VerificationMethod, VerificationMove, VerificationOutcome, VerificationState,
    },
};

use crate::{SqliteStore, clients::tombstone, rows, versions};

pub(crate) const DUE: &str = "SELECT * FROM verifications WHERE state <> 'revoked' AND next_check_at <= ?1 \
                   ORDER BY next_check_at, id LIMIT ?2";
pub(crate) const OF_CLIENT: &str = "SELECT * FROM verifications WHERE client = ?1 \
                         ORDER BY created_at DESC, id LIMIT ?2";

#[async_trait]
impl VerificationStore for SqliteStore {
    async fn add_verification(
        &self,
        verification: Verification,
        audit: AuditEntry,
    ) -> Result<VerificationAdded> {
        self.writer
            .run(move |c| {
                let added = add(c, &verification)?;
                if added == VerificationAdded::Done {
                    versions::lists_moved(c)?;
                    rows::audit(c, &audit)?;
                }
                Ok(added)
            })
            .await
    }

    async fn find_verification(&self, id: &str) -> Result<Option<Verification>> {
        self.readers.read(|c| find(c, id))
    }

    async fn verifications_of(&self, client: &ClientKey) -> Result<Vec<Verification>> {
        self.readers.read(|c| {
            let most = rows::limit(VERIFICATIONS_SHOWN_MAX);
            c.prepare_cached(OF_CLIENT)?
                .query_map(params![client.as_bytes(), most], read)?
                .collect()
        })
    }

    async fn list_verifications(
        &self,
        before: Option<(Timestamp, String)>,
        rows_max: usize,
    ) -> Result<Vec<Verification>> {
        let (time, id) = before.map_or((i64::MAX, String::new()), |(time, id)| {
            (rows::seconds(time), id)
        });
        self.readers.read(|c| {
            c.prepare_cached(
                "SELECT * FROM verifications WHERE created_at < ?1 \
                 OR (created_at = ?1 AND id > ?2) ORDER BY created_at DESC, id LIMIT ?3",
            )?
            .query_map(params![time, id, rows::limit(rows_max)], read)?
            .collect()
        })
    }

    async fn due_verifications(
        &self,
        now: Timestamp,
        rows_max: usize,
    ) -> Result<Vec<Verification>> {
        self.readers.read(|c| {
            c.prepare_cached(DUE)?
                .query_map(params![rows::seconds(now), rows::limit(rows_max)], read)?
                .collect()
        })
    }

    async fn note_verification(
        &self,
        id: &str,
        outcome: VerificationOutcome,
        next_check_at: Timestamp,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<Option<VerificationMove>> {
        let id = id.to_owned();
        self.writer
            .run(move |c| {
                let Some(before) = find(c, &id)? else {
                    return Ok(None);
                };
                let from = before.state;
                if from == VerificationState::Revoked {
                    return Ok(Some(VerificationMove { from, to: from }));
                }
                let after = after(before, outcome, next_check_at, now);
                update(c, &after)?;
                let event = match after.state {
                    _ if after.state == from => None,
                    VerificationState::Failing => Some(Event::DomainVerificationFailing),
                    VerificationState::Pending => None,
                    VerificationState::Revoked => Some(Event::DomainVerificationLost),
                    VerificationState::Verified => Some(Event::DomainVerified),
                };
                if let Some(event) = event {
                    versions::lists_moved(c)?;
                    rows::audit(c, &AuditEntry { event, ..audit })?;
                }
                let to = after.state;
                Ok(Some(VerificationMove { from, to }))
            })
            .await
    }

    async fn revoke_verification(&self, id: &str, audit: AuditEntry) -> Result<bool> {
        let id = id.to_owned();
        self.writer
            .run(move |c| {
                let revoked = c
                    .prepare_cached(
                        "UPDATE verifications SET state = 'revoked' \
                         WHERE id = ?1 AND state <> 'revoked'",
                    )?
                    .execute([id])?;
                if revoked == 1 {
                    versions::lists_moved(c)?;
                    rows::audit(c, &audit)?;
                }
                Ok(revoked == 1)
            })
            .await
    }
}

/// End all of a client. Returns whether there was one to end.
pub(crate) fn revoke_all(c: &Connection, client: &ClientKey) -> rusqlite::Result<bool> {
    let revoked = c
        .prepare_cached(
            "UPDATE verifications SET state = 'revoked' WHERE client = ?1 AND state <> 'revoked'",
        )?
        .execute([client.as_bytes()])?;
    Ok(revoked > 0)
}

/// The table in the head of `vestibule_store::verifications`.
fn after(
    before: Verification,
    outcome: VerificationOutcome,
    next_check_at: Timestamp,
    now: Timestamp,
) -> Verification {
    let due = now >= before.next_check_at;
    match outcome {
        VerificationOutcome::Proved => Verification {
            state: VerificationState::Verified,
            checked_at: Some(now),
            verified_at: Some(now),
            next_check_at,
            failures: 0,
            last_error: None,
            ..before
        },
        VerificationOutcome::Failed(reason) if !due => Verification {
            checked_at: Some(now),
            last_error: Some(reason),
            ..before
        },
        VerificationOutcome::Failed(reason) => {
            let failures = before.failures.saturating_add(1);
            let state = match before.state {
                VerificationState::Failing if failures >= FAILURES_MAX => {
                    VerificationState::Revoked
                }
                VerificationState::Failing | VerificationState::Verified => {
                    VerificationState::Failing
                }
                state @ (VerificationState::Pending | VerificationState::Revoked) => state,
            };
            Verification {
                state,
                checked_at: Some(now),
                next_check_at,
                failures,
                last_error: Some(reason),
                ..before
            }
        }
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Verification> {
    Ok(Verification {
        id: row.get("id")?,
        client: rows::client_key(row, "client")?,
        client_id: row.get("client_id")?,
        domain: row.get("domain")?,
        method: VerificationMethod::parse(row.get_ref("method")?.as_str()?)
            .ok_or_else(|| rows::damaged("a verification's method"))?,
        token: row.get("token")?,
        state: VerificationState::parse(row.get_ref("state")?.as_str()?)
            .ok_or_else(|| rows::damaged("a verification's state"))?,
        created_at: rows::time(row, "created_at")?,
        checked_at: rows::time_if_any(row, "checked_at")?,
        verified_at: rows::time_if_any(row, "verified_at")?,
        next_check_at: rows::time(row, "next_check_at")?,
        failures: row.get("failures")?,
        last_error: row.get("last_error")?,
    })
}

fn find(c: &Connection, id: &str) -> rusqlite::Result<Option<Verification>> {
    c.prepare_cached("SELECT * FROM verifications WHERE id = ?1")?
        .query_row([id], read)
        .optional()
}

fn update(c: &Connection, to: &Verification) -> rusqlite::Result<()> {
    c.prepare_cached(
        "UPDATE verifications SET state = ?2, checked_at = ?3, verified_at = ?4, \
         next_check_at = ?5, failures = ?6, last_error = ?7 WHERE id = ?1",
    )?
    .execute(params![
        to.id,
        to.state.as_str(),
        to.checked_at.map(rows::seconds),
        to.verified_at.map(rows::seconds),
        rows::seconds(to.next_check_at),
        to.failures,
        to.last_error,
    ])
    .map(drop)
}

fn add(c: &Connection, new: &Verification) -> rusqlite::Result<VerificationAdded> {
    if tombstone(c, &new.client)?.is_some() {
        return Ok(VerificationAdded::ClientGone);
    }
    let taken: bool = c
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM verifications WHERE id = ?1) OR EXISTS \
             (SELECT 1 FROM verifications WHERE client = ?2 AND domain = ?3 AND method = ?4 \
              AND state <> 'revoked')",
        )?
        .query_row(
            params![
                new.id,
                new.client.as_bytes(),
                new.domain,
                new.method.as_str()
            ],
            |row| row.get(0),
        )?;
    if taken {
        return Ok(VerificationAdded::Taken);
    }
    let rows: i64 = c
        .prepare_cached("SELECT count(*) FROM verifications")?
        .query_row([], |row| row.get(0))?;
    if rows >= rows::limit(VERIFICATIONS_MAX) {
        let room = c
            .prepare_cached(
                "DELETE FROM verifications WHERE id = (SELECT id FROM verifications \
                 WHERE state = 'revoked' ORDER BY created_at LIMIT 1)",
            )?
            .execute([])?;
        if room == 0 {
            return Ok(VerificationAdded::Full);
        }
    }
    c.prepare_cached(
        "INSERT INTO verifications VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        new.id,
        new.client.as_bytes(),
        new.client_id,
        new.domain,
        new.method.as_str(),
        new.token,
        new.state.as_str(),
        rows::seconds(new.created_at),
        new.checked_at.map(rows::seconds),
        new.verified_at.map(rows::seconds),
        rows::seconds(new.next_check_at),
        new.failures,
        new.last_error,
    ])?;
    Ok(VerificationAdded::Done)
}
