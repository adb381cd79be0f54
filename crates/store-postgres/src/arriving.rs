//! Taking everything, in a move from another backend ([`vestibule_store::moving`]): one transaction,
//! read back and compared before it is committed, so that a database holds all of it or nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _};
use tokio_postgres::Client;
use vestibule_store::{
    Result, StoreError,
    moving::{Cell, Row, Table},
};

use crate::{PostgresOptions, PostgresUrl, connect, migrations, rows};

/// Columns that have another name here, since theirs is a word of SQL.
const RENAMED: [(&str, &str); 2] = [("only", "one"), ("user", "user_id")];

/// Columns that say only where the other backend keeps a row; nothing else names them.
const LEFT: [(&str, &str); 1] = [("families", "n")];

/// What a column is called here, if it has a place.
fn here<'a>(table: &str, column: &'a str) -> Option<&'a str> {
    if LEFT.contains(&(table, column)) {
        return None;
    }
    let renamed = RENAMED.iter().find(|(theirs, _)| *theirs == column);
    Some(renamed.map_or(column, |(_, ours)| ours))
}

/// The columns of a table that have a place.
fn columns(table: &Table) -> Vec<&str> {
    let names = table.columns.iter();
    names.filter_map(|name| here(&table.name, name)).collect()
}

/// What was seen of a table's rows: as many, and the same in whatever order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Seen {
    rows: u64,
    sum: u64,
}

impl Seen {
    fn line(&mut self, line: &[u8]) {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// An empty database that is being filled. Dropped before [`Self::finish`], it is empty again.
pub struct Arriving {
    client: Client,
    /// Columns of each table, and whether they say yes or no.
    places: BTreeMap<String, BTreeMap<String, bool>>,
    seen: BTreeMap<String, Seen>,
}

impl Arriving {
    /// Connect, make the schema, and see that there is nothing yet. No hub starts on the database
    /// until the end.
    pub async fn begin(url: &PostgresUrl) -> Result<Self> {
        let connect = PostgresOptions::default().connect;
        let mut client = connect::first(url, url.tls()?, connect).await?;
        migrations::run(&mut client).await?;
        client
            .batch_execute(
                "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; BEGIN; \
                 LOCK TABLE heads IN ACCESS EXCLUSIVE MODE",
            )
            .await
            .map_err(failed)?;
        let places = places(&client).await?;
        for table in places.keys() {
            let used = match table.as_str() {
                "heads" => "SELECT EXISTS (SELECT 1 FROM heads WHERE seq > 0)".to_owned(),
                table => format!("SELECT EXISTS (SELECT 1 FROM {table})"),
            };
            let row = client.query_one(&used, &[]).await.map_err(failed)?;
            if row.try_get(0).map_err(failed)? {
                return Err(StoreError::Failed(format!(
                    "{url} is not empty: there are rows in the table `{table}`"
                )));
            }
        }
        let cleared = client.batch_execute("DELETE FROM heads").await;
        cleared.map_err(failed)?;
        Ok(Self {
            client,
            places,
            seen: BTreeMap::new(),
        })
    }

    /// Is there a place for every column of these tables, and nothing beside them?
    pub fn fits(&self, tables: &[Table]) -> Result<()> {
        let theirs: BTreeMap<&str, BTreeSet<&str>> = tables
            .iter()
            .map(|table| (table.name.as_str(), columns(table).into_iter().collect()))
            .collect();
        let ours: BTreeMap<&str, BTreeSet<&str>> = self
            .places
            .iter()
            .map(|(table, columns)| (table.as_str(), columns.keys().map(String::as_str).collect()))
            .collect();
        let names: BTreeSet<&&str> = theirs.keys().chain(ours.keys()).collect();
        let odd = names
            .into_iter()
            .find(|name| theirs.get(**name) != ours.get(**name));
        match odd {
            None => Ok(()),
            Some(table) => Err(StoreError::Failed(format!(
                "the table `{table}` is not the same in both schemas"
            ))),
        }
    }

    /// Take some rows of a table.
    pub async fn put(&mut self, table: &Table, batch: &[Row]) -> Result<()> {
        let columns = columns(table);
        let place = self.places.get(&table.name);
        // For each cell: whether it has a place, and whether it says yes or no there.
        let kinds: Vec<Option<bool>> = table
            .columns
            .iter()
            .map(|column| {
                let column = here(&table.name, column)?;
                Some(place.and_then(|place| place.get(column)) == Some(&true))
            })
            .collect();
        let seen = self.seen.entry(table.name.clone()).or_default();
        let mut lines = Vec::new();
        for row in batch {
            let start = lines.len();
            for (cell, kind) in row.iter().zip(&kinds) {
                if let Some(yes_or_no) = kind {
                    write(&mut lines, cell, *yes_or_no);
                    lines.push(b'\t');
                }
            }
            // The last tab is one too many.
            lines.pop();
            seen.line(lines.get(start..).unwrap_or_default());
            lines.push(b'\n');
        }
        let copy = format!("COPY {} ({}) FROM STDIN", table.name, columns.join(", "));
        let sink = self.client.copy_in(copy.as_str()).await.map_err(failed)?;
        let mut sink = std::pin::pin!(sink);
        sink.send(Bytes::from(lines)).await.map_err(failed)?;
        sink.as_mut().finish().await.map(drop).map_err(failed)
    }

    /// Read everything back, compare it with what was given, and commit. Returns the number of rows.
    pub async fn finish(mut self, tables: &[Table]) -> Result<u64> {
        let mut total = 0;
        for table in tables {
            let given = self.seen.get(&table.name).copied().unwrap_or_default();
            let kept = self.read_back(table).await?;
            if given != kept || given.rows != table.rows {
                return Err(StoreError::Failed(format!(
                    "the table `{}` did not arrive as it left: {} rows of {}; nothing was kept",
                    table.name, kept.rows, table.rows
                )));
            }
            self.go_on_counting(table).await?;
            total += kept.rows;
        }
        let ended = self.client.batch_execute("COMMIT; ANALYZE").await;
        ended.map_err(failed)?;
        Ok(total)
    }

    async fn read_back(&mut self, table: &Table) -> Result<Seen> {
        let columns = columns(table);
        let copy = format!("COPY {} ({}) TO STDOUT", table.name, columns.join(", "));
        let stream = self.client.copy_out(copy.as_str()).await.map_err(failed)?;
        let mut stream = std::pin::pin!(stream);
        let mut seen = Seen::default();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(part) = stream.try_next().await.map_err(failed)? {
            rest.extend_from_slice(&part);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                seen.line(rest.get(..end).unwrap_or_default());
                rest.drain(..=end);
            }
        }
        Ok(seen)
    }

    /// Numbers that were given are not given again.
    async fn go_on_counting(&mut self, table: &Table) -> Result<()> {
        let counted = self
            .client
            .query_opt(
                "SELECT attname::text FROM pg_attribute \
                 WHERE attrelid = $1::text::regclass AND attidentity <> ''",
                &[&table.name],
            )
            .await
            .map_err(failed)?;
        let Some(row) = counted else {
            return Ok(());
        };
        let column: String = row.try_get(0).map_err(failed)?;
        let name = &table.name;
        self.client
            .execute(
                &format!(
                    "SELECT setval(pg_get_serial_sequence('{name}', '{column}'), last) \
                     FROM (SELECT greatest(max({column}), $1::bigint) AS last FROM {name}) AS n \
                     WHERE last > 0"
                ),
                &[&table.last_number],
            )
            .await
            .map(drop)
            .map_err(failed)
    }
}

async fn places(client: &Client) -> Result<BTreeMap<String, BTreeMap<String, bool>>> {
    let found = client
        .query(
            "SELECT c.relname::text, a.attname::text, a.atttypid = 'boolean'::regtype \
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace \
             AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'migrations'",
            &[],
        )
        .await
        .map_err(failed)?;
    let mut places: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for row in &found {
        let table: String = row.try_get(0).map_err(failed)?;
        let column = row.try_get(1).map_err(failed)?;
        let yes_or_no = row.try_get(2).map_err(failed)?;
        places.entry(table).or_default().insert(column, yes_or_no);
    }
    Ok(places)
}

/// As PostgreSQL itself writes a value in the text form of COPY: what is read back is the same.
fn write(line: &mut Vec<u8>, cell: &Cell, yes_or_no: bool) {
    match cell {
        Cell::Null => line.extend_from_slice(b"\\N"),
        Cell::Integer(number) if yes_or_no => line.push(if *number == 0 { b'f' } else { b't' }),
        Cell::Integer(number) => line.extend_from_slice(number.to_string().as_bytes()),
        Cell::Bytes(bytes) => {
            line.extend_from_slice(b"\\\\x");
            for byte in bytes {
                line.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
        }
        Cell::Text(text) => {
            for byte in rows::text(text).bytes() {
                let escaped: &[u8] = match byte {
                    b'\\' => b"\\\\",
                    0x08 => b"\\b",
                    b'\t' => b"\\t",
                    b'\n' => b"\\n",
                    0x0b => b"\\v",
                    0x0c => b"\\f",
                    b'\r' => b"\\r",
                    _ => {
                        line.push(byte);
                        continue;
                    }
                };
                line.extend_from_slice(escaped);
            }
        }
    }
}

fn failed(failure: tokio_postgres::Error) -> StoreError {
    rows::Failure::Sql(failure).into()
}
