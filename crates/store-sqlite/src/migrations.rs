//! Schema changes: numbered files, forward only, each in one exclusive transaction, each with its
//! checksum, so that a file that was edited after it ran is noticed.

use rusqlite::{Connection, TransactionBehavior, params};
use vestibule_store::{Result, StoreError};

use crate::rows;

/// In order; append only.
const MIGRATIONS: &[(u32, &str)] = &[
    (1, include_str!("../migrations/0001-first.sql")),
    (2, include_str!("../migrations/0002-admission.sql")),
];

/// The newest schema that this release knows.
pub(crate) const KNOWN: u32 = 2;

/// Bring the file up to date; two processes that start at once wait for each other.
pub(crate) fn run(connection: &mut Connection) -> Result<()> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Exclusive)
        .map_err(rows::failed)?;
    transaction
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS migrations \
             (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT",
        )
        .map_err(rows::failed)?;
    let done: Vec<(u32, String)> = {
        let mut statement = transaction
            .prepare("SELECT number, checksum FROM migrations ORDER BY number")
            .map_err(rows::failed)?;
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        found.and_then(Iterator::collect).map_err(rows::failed)?
    };
    if let Some((found, _)) = done.iter().find(|(number, _)| *number > KNOWN) {
        return Err(StoreError::TooNew {
            found: *found,
            known: KNOWN,
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
                transaction.execute_batch(text).map_err(rows::failed)?;
                transaction
                    .execute(
                        "INSERT INTO migrations VALUES (?1, ?2)",
                        params![number, checksum],
                    )
                    .map_err(rows::failed)?;
                tracing::info!(number, "the database schema was brought up to date");
            }
        }
    }
    transaction.commit().map_err(rows::failed)
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
    fn migrations_run_once_and_in_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        run(&mut connection).unwrap();
        let count: u32 = connection
            .query_row("SELECT count(*) FROM migrations", [], |row| row.get(0))
            .unwrap();
        assert_eq!(usize::try_from(count).unwrap(), MIGRATIONS.len());
        assert_eq!(MIGRATIONS.last().unwrap().0, KNOWN);
        assert!(MIGRATIONS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_database_of_a_newer_release_is_not_touched() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        connection
            .execute("INSERT INTO migrations VALUES (999, 'x')", [])
            .unwrap();
        assert!(matches!(
            run(&mut connection),
            Err(StoreError::TooNew { found: 999, .. })
        ));
    }

    #[test]
    fn an_edited_migration_is_noticed() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        connection
            .execute("UPDATE migrations SET checksum = 'x'", [])
            .unwrap();
        assert!(matches!(
            run(&mut connection),
            Err(StoreError::Damaged { .. })
        ));
    }
}
