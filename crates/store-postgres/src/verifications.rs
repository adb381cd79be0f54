//! Domain proofs.

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::{audit::Event, client_id::ClientKey, time::Timestamp};
use vestibule_store::{
    AuditEntry, Result, VerificationStore,
    verifications::{
        FAILURES_MAX, VERIFICATIONS_MAX, VERIFICATIONS_SHOWN_MAX, Verification, VerificationAdded,
        VerificationMethod, VerificationMove, VerificationOutcome, VerificationState,
    },
};

use crate::{
    PostgresStore,
    clients::is_gone,
    locks::{self, Whole},
    pool::{Work, transact},
    rows::{self, Failure, Outcome},
    versions,
};

macro_rules! columns {
    () => {
        "id, client, client_id, domain, method, token, state, created_at, checked_at, verified_at, \
         next_check_at, failures, last_error"
    };
}

#[async_trait]
impl VerificationStore for PostgresStore {
    async fn add_verification(
        &self,
        verification: Verification,
        audit: AuditEntry,
    ) -> Result<VerificationAdded> {
        transact!(self, |w| {
            let added = add(w, &verification).await?;
            if added == VerificationAdded::Done {
                w.audit(&audit).await?;
                versions::lists_moved(w).await?;
            }
            Ok(added)
        })
    }

    async fn find_verification(&self, id: &str) -> Result<Option<Verification>> {
        self.read(
            concat!("SELECT ", columns!(), " FROM verifications WHERE id = $1"),
            &[&rows::text(id)],
            read,
        )
        .await
    }

    async fn verifications_of(&self, client: &ClientKey) -> Result<Vec<Verification>> {
        self.read_all(
            concat!(
                "SELECT ",
                columns!(),
                " FROM verifications WHERE client = $1 ORDER BY created_at DESC, id LIMIT $2"
            ),
            &[
                &client.as_bytes().as_slice(),
                &rows::limit(VERIFICATIONS_SHOWN_MAX),
            ],
            read,
        )
        .await
    }

    async fn list_verifications(
        &self,
        before: Option<(Timestamp, String)>,
        rows_max: usize,
    ) -> Result<Vec<Verification>> {
        let (time, id) = before.map_or((i64::MAX, String::new()), |(time, id)| {
            (rows::seconds(time), rows::text(&id))
        });
        self.read_all(
            concat!(
                "SELECT ",
                columns!(),
                " FROM verifications WHERE created_at <= $1 AND (created_at < $1 OR id > $2) \
                 ORDER BY created_at DESC, id LIMIT $3"
            ),
            &[&time, &id, &rows::limit(rows_max)],
            read,
        )
        .await
    }

    async fn due_verifications(
        &self,
        now: Timestamp,
        rows_max: usize,
    ) -> Result<Vec<Verification>> {
        self.read_all(
            concat!(
                "SELECT ",
                columns!(),
                " FROM verifications WHERE state <> 'revoked' AND next_check_at <= $1 \
                 ORDER BY next_check_at, id LIMIT $2"
            ),
            &[&rows::seconds(now), &rows::limit(rows_max)],
            read,
        )
        .await
    }

    async fn note_verification(
        &self,
        id: &str,
        outcome: VerificationOutcome,
        next_check_at: Timestamp,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<Option<VerificationMove>> {
        transact!(self, |w| {
            let before = w
                .read(
                    concat!(
                        "SELECT ",
                        columns!(),
                        " FROM verifications WHERE id = $1 FOR UPDATE"
                    ),
                    &[&rows::text(id)],
                    read,
                )
                .await?;
            let Some(before) = before else {
                return Ok(None);
            };
            let from = before.state;
            if from == VerificationState::Revoked {
                return Ok(Some(VerificationMove { from, to: from }));
            }
            let after = after(before, outcome.clone(), next_check_at, now);
            update(w, &after).await?;
            let event = match after.state {
                _ if after.state == from => None,
                VerificationState::Failing => Some(Event::DomainVerificationFailing),
                VerificationState::Pending => None,
                VerificationState::Revoked => Some(Event::DomainVerificationLost),
                VerificationState::Verified => Some(Event::DomainVerified),
            };
            if let Some(event) = event {
                w.audit(&AuditEntry {
                    event,
                    ..audit.clone()
                })
                .await?;
                versions::lists_moved(w).await?;
            }
            let to = after.state;
            Ok(Some(VerificationMove { from, to }))
        })
    }

    async fn revoke_verification(&self, id: &str, audit: AuditEntry) -> Result<bool> {
        transact!(self, |w| {
            let revoked = w
                .change(
                    "UPDATE verifications SET state = 'revoked' \
                     WHERE id = $1 AND state <> 'revoked'",
                    &[&rows::text(id)],
                )
                .await?;
            if revoked == 1 {
                w.audit(&audit).await?;
                versions::lists_moved(w).await?;
            }
            Ok(revoked == 1)
        })
    }
}

/// End all of a client. Returns whether there was one to end.
pub(crate) async fn revoke_all(w: &Work, client: &ClientKey) -> Outcome<bool> {
    let revoked = w
        .change(
            "UPDATE verifications SET state = 'revoked' WHERE client = $1 AND state <> 'revoked'",
            &[&client.as_bytes().as_slice()],
        )
        .await?;
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

fn read(row: &Row) -> Outcome<Verification> {
    Ok(Verification {
        id: rows::get(row, "id")?,
        client: rows::client_key(row, "client")?,
        client_id: rows::get(row, "client_id")?,
        domain: rows::get(row, "domain")?,
        method: rows::word(
            row,
            "method",
            VerificationMethod::parse,
            "a verification's method",
        )?,
        token: rows::get(row, "token")?,
        state: rows::word(
            row,
            "state",
            VerificationState::parse,
            "a verification's state",
        )?,
        created_at: rows::time(row, "created_at")?,
        checked_at: rows::time_if_any(row, "checked_at")?,
        verified_at: rows::time_if_any(row, "verified_at")?,
        next_check_at: rows::time(row, "next_check_at")?,
        failures: u32::try_from(rows::unsigned(row, "failures")?)
            .map_err(|_| Failure::Damaged("a verification's failures"))?,
        last_error: rows::get(row, "last_error")?,
    })
}

async fn update(w: &Work, to: &Verification) -> Outcome<()> {
    w.change(
        "UPDATE verifications SET state = $2, checked_at = $3, verified_at = $4, \
         next_check_at = $5, failures = $6, last_error = $7 WHERE id = $1",
        &[
            &to.id,
            &to.state.as_str(),
            &to.checked_at.map(rows::seconds),
            &to.verified_at.map(rows::seconds),
            &rows::seconds(to.next_check_at),
            &i64::from(to.failures),
            &to.last_error.as_deref().map(rows::text),
        ],
    )
    .await
    .map(drop)
}

async fn add(w: &Work, new: &Verification) -> Outcome<VerificationAdded> {
    // Alone with the client, which may be on its way out, and with the count of rows.
    locks::change(w, new.client.as_bytes()).await?;
    locks::take(w, Whole::Verifications).await?;
    if is_gone(w, &new.client).await? {
        return Ok(VerificationAdded::ClientGone);
    }
    let client = new.client.as_bytes().as_slice();
    let taken = w
        .row(
            "SELECT 1 FROM verifications WHERE id = $1 \
             OR (client = $2 AND domain = $3 AND method = $4 AND state <> 'revoked') LIMIT 1",
            &[&new.id, &client, &new.domain, &new.method.as_str()],
        )
        .await?;
    if taken.is_some() {
        return Ok(VerificationAdded::Taken);
    }
    let count = w
        .read("SELECT count(*) AS count FROM verifications", &[], |row| {
            rows::get::<i64>(row, "count")
        })
        .await?;
    if count.unwrap_or(0) >= rows::limit(VERIFICATIONS_MAX) {
        let room = w
            .change(
                "DELETE FROM verifications WHERE id = (SELECT id FROM verifications \
                 WHERE state = 'revoked' ORDER BY created_at LIMIT 1)",
                &[],
            )
            .await?;
        if room == 0 {
            return Ok(VerificationAdded::Full);
        }
    }
    insert(w, new).await?;
    Ok(VerificationAdded::Done)
}

async fn insert(w: &Work, new: &Verification) -> Outcome<()> {
    w.change(
        concat!(
            "INSERT INTO verifications (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        ),
        &[
            &new.id,
            &new.client.as_bytes().as_slice(),
            &new.client_id,
            &new.domain,
            &new.method.as_str(),
            &new.token,
            &new.state.as_str(),
            &rows::seconds(new.created_at),
            &new.checked_at.map(rows::seconds),
            &new.verified_at.map(rows::seconds),
            &rows::seconds(new.next_check_at),
            &i64::from(new.failures),
            &new.last_error.as_deref().map(rows::text),
        ],
    )
    .await
    .map(drop)
}
