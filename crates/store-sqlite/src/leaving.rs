//! Reading everything, for a move to another backend ([`vestibule_store::moving`]).

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, types::ValueRef};
use vestibule_store::{
    Result, StoreError,
    moving::{Cell, Row, Table},
};

use crate::{migrations, rows};

/// Whoever else has the file open keeps it open: there is no use in waiting long.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);
/// A batch has so many rows at most,
const BATCH_ROWS: usize = 2_000;
/// and so many octets, but for its last row.
const BATCH_OCTETS: usize = 1024 * 1024;

/// A file that nobody else has open, and nobody else opens until this is dropped.
pub struct Leaving {
    connection: Connection,
    tables: Vec<Table>,
}

impl Leaving {
    /// Take the file and bring its schema up to date. [`StoreError::Busy`] if somebody has it open.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(rows::failed)?;
        connection
            .busy_timeout(BUSY_TIMEOUT)
            .map_err(rows::failed)?;
        // Before anything is read: then the first lock keeps everybody else out, readers too.
        connection
            .pragma_update(None, "locking_mode", "EXCLUSIVE")
            .map_err(rows::failed)?;
        migrations::run(&mut connection)?;
        let tables = tables(&connection).map_err(rows::failed)?;
        Ok(Self { connection, tables })
    }

    /// What there is.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// All rows of a table, batch by batch.
    pub fn rows(&self, table: &Table, mut take: impl FnMut(Vec<Row>) -> Result<()>) -> Result<()> {
        let statement = format!("SELECT {} FROM {}", quoted(&table.columns), table.name);
        let mut statement = self.connection.prepare(&statement).map_err(rows::failed)?;
        let mut found = statement.query([]).map_err(rows::failed)?;
        let (mut batch, mut octets) = (Vec::new(), 0);
        while let Some(row) = found.next().map_err(rows::failed)? {
            let mut cells = Vec::with_capacity(table.columns.len());
            for n in 0..table.columns.len() {
                let (cell, size) = cell(row.get_ref(n).map_err(rows::failed)?)?;
                cells.push(cell);
                octets += size;
            }
            batch.push(cells);
            if batch.len() >= BATCH_ROWS || octets >= BATCH_OCTETS {
                take(std::mem::take(&mut batch))?;
                octets = 0;
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        take(batch)
    }
}

fn cell(value: ValueRef<'_>) -> Result<(Cell, usize)> {
    let damaged = |detail: &str| StoreError::Damaged {
        what: "row",
        detail: detail.to_owned(),
    };
    Ok(match value {
        ValueRef::Null => (Cell::Null, 1),
        ValueRef::Integer(number) => (Cell::Integer(number), 8),
        ValueRef::Real(_) => return Err(damaged("a number is not whole")),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|_| damaged("a text is not UTF-8"))?;
            (Cell::Text(text.to_owned()), text.len())
        }
        ValueRef::Blob(bytes) => (Cell::Bytes(bytes.to_vec()), bytes.len()),
    })
}

fn quoted(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ")
}

/// All but what SQLite and the migrations keep for themselves.
fn tables(c: &Connection) -> rusqlite::Result<Vec<Table>> {
    let names: Vec<String> = c
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' \
             AND name NOT LIKE 'sqlite_%' AND name <> 'migrations' ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    names.into_iter().map(|name| describe(c, name)).collect()
}

fn describe(c: &Connection, name: String) -> rusqlite::Result<Table> {
    let columns = c
        .prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?
        .query_map([&name], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let rows: i64 = c.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| {
        row.get(0)
    })?;
    let last_number = c
        .prepare("SELECT seq FROM sqlite_sequence WHERE name = ?1")?
        .query_map([&name], |row| row.get(0))?
        .next()
        .transpose()?;
    Ok(Table {
        name,
        columns,
        rows: u64::try_from(rows).unwrap_or(0),
        last_number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteOptions, SqliteStore};
    use vestibule_store::Store as _;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_open_file_is_not_taken_and_a_taken_one_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.db");
        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        assert!(matches!(Leaving::open(&path), Err(StoreError::Busy)));
        store.ping().await.unwrap();
        store.close().await;
        drop(store);

        let leaving = Leaving::open(&path).unwrap();
        let options = SqliteOptions {
            busy_timeout: Duration::from_millis(100),
            ..SqliteOptions::default()
        };
        assert!(matches!(
            SqliteStore::open(&path, options),
            Err(StoreError::Busy)
        ));
        drop(leaving);
        SqliteStore::open(&path, options).unwrap();
    }

    #[test]
    fn rows_come_in_batches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.db");
        drop(SqliteStore::open(&path, SqliteOptions::default()).unwrap());
        let other = Connection::open(&path).unwrap();
        other
            .execute_batch(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4500) \
                 INSERT INTO reports (user, client, reason, at) \
                 SELECT 'u' || i, x'00', 'other', i FROM n",
            )
            .unwrap();
        drop(other);
        let leaving = Leaving::open(&path).unwrap();
        let reports = leaving
            .tables()
            .iter()
            .find(|table| table.name == "reports");
        let reports = reports.unwrap();
        assert_eq!(reports.rows, 4_500);
        let mut sizes = Vec::new();
        let taken = leaving.rows(reports, |batch| {
            sizes.push(batch.len());
            Ok(())
        });
        taken.unwrap();
        assert_eq!(sizes, [2_000, 2_000, 500]);
    }
}
