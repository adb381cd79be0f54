//! Schema changes: numbered files, forward only, in one transaction that one node at a time runs,
//! each with its checksum, so that a file that was edited after it ran is noticed.

use std::time::Duration;

use tokio_postgres::{Client, GenericClient, error::SqlState};
use vestibule_store::{Result, StoreError};

use crate::{locks, rows::Failure};

/// In order; append only.
const MIGRATIONS: &[(i32, &str)] = &[(1, include_str!("../migrations/0001-first.sql"))];

/// The newest schema that this release knows.
const KNOWN: i32 = 1;

/// How long all of it may take: another node may be at it.
const PATIENCE: Duration = Duration::from_mins(15);

/// Bring the database up to date; nodes that start at once wait for each other.
pub(crate) async fn run(client: &mut Client) -> Result<()> {
    tokio::time::timeout(PATIENCE, run_all(client))
        .await
        .map_err(|_| {
            StoreError::Failed("another node changes the schema for too long".to_owned())
        })?
}

async fn run_all(client: &mut Client) -> Result<()> {
    let transaction = client.transaction().await.map_err(failed)?;
    // A change of the schema waits for those who read, and they for it: not for ever.
    transaction
        .batch_execute(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0",
        )
        .await
        .map_err(failed)?;
    transaction
        .execute(
            "SELECT pg_advisory_xact_lock($1, $2)",
            &[&locks::OURS, &locks::MIGRATIONS],
        )
        .await
        .map_err(failed)?;
    let done = done(&transaction).await?;
    if let Some((found, _)) = done.iter().find(|(number, _)| *number > KNOWN) {
        return Err(StoreError::TooNew {
            found: u32::try_from(*found).unwrap_or(u32::MAX),
            known: KNOWN.unsigned_abs(),
        });
    }
    for (number, text) in MIGRATIONS {
        let checksum = checksum(text);
        match done.iter().find(|(ran, _)| ran == number) {
            Some((_, ran)) if *ran == checksum => {}
            Some(_) => {
                return Err(StoreError::Damaged {
                    what: "schema",
                    detail: format!("migration {number} is not the one that ran"),
                });
            }
            None => {
                transaction.batch_execute(text).await.map_err(failed)?;
                transaction
                    .execute(
                        "INSERT INTO migrations (number, checksum) VALUES ($1, $2)",
                        &[number, &checksum],
                    )
                    .await
                    .map_err(failed)?;
                tracing::info!(number, "the database schema was brought up to date");
            }
        }
    }
    transaction.commit().await.map_err(failed)
}

/// What ran, with its checksum.
async fn done(client: &impl GenericClient) -> Result<Vec<(i32, String)>> {
    let there = client
        .query_one("SELECT to_regclass('migrations') IS NOT NULL", &[])
        .await
        .map_err(failed)?;
    // Looked for first: without rights to make tables an existing one is enough.
    if !there.try_get::<_, bool>(0).map_err(failed)? {
        client
            .batch_execute(
                "CREATE TABLE migrations (number integer PRIMARY KEY, checksum text NOT NULL)",
            )
            .await
            .map_err(failed)?;
    }
    let rows = client
        .query(
            "SELECT number, checksum FROM migrations ORDER BY number",
            &[],
        )
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(failed)
}

fn failed(failure: tokio_postgres::Error) -> StoreError {
    let said = failure.as_db_error().map_or("", |error| error.message());
    match failure.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => StoreError::Failed(format!(
            "the database user may not change the schema ({said}): \
             `ALTER DATABASE … OWNER TO` it, or `GRANT CREATE, USAGE ON SCHEMA public TO` it"
        )),
        Some(code) if *code == SqlState::INVALID_SCHEMA_NAME => StoreError::Failed(
            "the database user's search_path names no schema that is there".to_owned(),
        ),
        _ => Failure::Sql(failure).into(),
    }
}

/// FNV-1a over the text without its line ends: an accident guard, not a signature.
fn checksum(text: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes().filter(|byte| *byte != b'\r') {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_in_order() {
        assert_eq!(MIGRATIONS.last().unwrap().0, KNOWN);
        assert!(MIGRATIONS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
