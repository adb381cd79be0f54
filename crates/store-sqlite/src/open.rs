//! Opening a database file, and what belongs to the store as a whole.

use std::{
    fs::OpenOptions,
    path::Path,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, config::DbConfig, params};
use vestibule_protocol::time::Timestamp;
use vestibule_store::{
    Result, Store, StoreError, audit::AUDIT_KEPT, decisions::DECISIONS_KEPT, reports::REPORTS_KEPT,
};

use crate::{migrations, place, readers::Readers, rows, settings, writer::Writer};

/// How long a verb waits for another process that writes (`design-details.md`, D.16).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon the switch to the write-ahead log is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// Verbs that may wait; one more is refused as busy.
    pub queue_max: usize,
    /// Read-only connections.
    pub readers: usize,
    /// Pages that the file may have at most; `None` for no limit. For tests of a full disk.
    pub pages_max: Option<u32>,
    /// How long a verb waits for another process.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            queue_max: 4_096,
            readers: 4,
            pages_max: None,
            busy_timeout: BUSY_TIMEOUT,
        }
    }
}

/// A store in one SQLite file.
pub struct SqliteStore {
    pub(crate) writer: Writer,
    pub(crate) readers: Readers,
}

impl SqliteStore {
    /// Open the file, or make it (mode 0600), and bring its schema up to date.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self> {
        make_private(path)?;
        place::check(path)?;
        let mut connection = connect(path, &options)?;
        migrations::run(&mut connection)?;
        let readers = Readers::open(path, &options)?;
        let mover = connect(path, &options)?;
        let writer = Writer::start(connection, mover, options.queue_max)?;
        Ok(Self { writer, readers })
    }
}

/// The issuer that the data of a file belongs to; none without a file or before the first start.
/// Reads only: a file of an older release is not brought up to date by looking at it.
pub fn peek_issuer(path: &Path) -> Result<Option<String>> {
    if !path.is_file() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(rows::failed)?;
    connection
        .busy_timeout(BUSY_TIMEOUT)
        .map_err(rows::failed)?;
    let has_heads = connection
        .table_exists(None, "heads")
        .map_err(rows::failed)?;
    if !has_heads {
        return Ok(None);
    }
    settings::read_issuer(&connection).map_err(rows::failed)
}

/// Make the file before SQLite does, so that nobody else can ever read it.
fn make_private(path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map(drop)
        .map_err(|failure| StoreError::Failed(format!("{}: {failure}", path.display())))
}

fn connect(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(rows::failed)?;
    connection
        .busy_timeout(options.busy_timeout)
        .map_err(rows::failed)?;
    connection.set_prepared_statement_cache_capacity(128);
    keep_plans(&connection).map_err(rows::failed)?;
    let pragma = |name: &str, value: &str| {
        connection
            .pragma_update(None, name, value)
            .map_err(rows::failed)
    };
    pragma("page_size", "4096")?;
    wait_for_wal(&connection, options.busy_timeout)?;
    // A commit that was answered survives a power cut (threats T9).
    pragma("synchronous", "FULL")?;
    pragma("fullfsync", "ON")?;
    // The writer moves the log by itself, when nobody waits (D.16).
    pragma("wal_autocheckpoint", "0")?;
    pragma("temp_store", "MEMORY")?;
    pragma("foreign_keys", "OFF")?;
    pragma("trusted_schema", "OFF")?;
    if let Some(pages) = options.pages_max {
        pragma("max_page_count", &pages.to_string())?;
    }
    Ok(connection)
}

/// A plan does not depend on the values that are bound. Without this SQLite, as it is built here,
/// parses some statements again at each use, which was a sixth of the work of a refresh.
pub(crate) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

/// Switch to the write-ahead log. Where two that open a new file would wait for each other, SQLite
/// answers busy at once and does not ask the busy timeout, so the waiting is done here.
fn wait_for_wal(connection: &Connection, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let switched = connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(rows::failed);
        match switched {
            Err(StoreError::Busy) if Instant::now() < deadline => std::thread::sleep(RETRY),
            outcome => return outcome,
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn ping(&self) -> Result<()> {
        self.readers.read(|connection| {
            connection.query_row("SELECT seq FROM heads WHERE name = 'settings'", [], |_| {
                Ok(())
            })
        })?;
        self.writer.run_hot(|_| Ok(()), |()| false).await
    }

    fn changes(&self) -> u64 {
        self.writer.changes()
    }

    async fn sweep(&self, now: Timestamp, rows_max: usize) -> Result<usize> {
        /// What has expired, and by which column. A row here decides no answer any more.
        const EXPIRED: [(&str, &str, &str); 14] = [
            ("codes", "hash", "expires_at"),
            ("sessions", "hash", "expires_at"),
            ("assertions", "rowkey", "expires_at"),
            ("tickets", "id", "until"),
            ("revoked_tokens", "jti_hash", "expires_at"),
            ("tombstones", "key", "until"),
            ("consents", "rowkey", "until"),
            ("families", "n", "absolute_until"),
            ("grants", "id", "absolute_until"),
            ("approvals", "id", "until"),
            ("standings", "n", "until"),
            ("reports", "n", "at"),
            ("decisions", "seq", "at"),
            ("audit", "seq", "at"),
        ];
        let since = |kept: Duration| rows::seconds(now.minus(kept));
        let (reports, decisions, trail) = (
            since(REPORTS_KEPT),
            since(DECISIONS_KEPT),
            since(AUDIT_KEPT),
        );
        let now = rows::seconds(now);
        // Codes, families and grants stay a while longer, so that a replay is still seen as one
        // and not as something that never was (T1).
        let kept = |table: &str| match table {
            "codes" => now - 3_600,
            "families" | "grants" => now - 30 * 86_400,
            "reports" => reports,
            "decisions" => decisions,
            "audit" => trail,
            _ => now,
        };
        let mut left = rows_max;
        let mut total = 0;
        for (table, key, column) in EXPIRED {
            if left == 0 {
                break;
            }
            let before = kept(table);
            let limit = rows::limit(left);
            let statement = match key {
                // Composite keys: delete by the whole key.
                "rowkey" if table == "assertions" => {
                    "DELETE FROM assertions WHERE (client, jti_hash) IN (SELECT client, jti_hash \
                     FROM assertions WHERE expires_at <= ?1 LIMIT ?2)"
                        .to_owned()
                }
                "rowkey" => "DELETE FROM consents WHERE (user, client, resource) IN (SELECT user, \
                             client, resource FROM consents WHERE until <= ?1 LIMIT ?2)"
                    .to_owned(),
                _ => format!(
                    "DELETE FROM {table} WHERE {key} IN \
                     (SELECT {key} FROM {table} WHERE {column} <= ?1 LIMIT ?2)"
                ),
            };
            let deleted = self
                .writer
                .run_when_idle(move |connection| {
                    connection
                        .prepare_cached(&statement)?
                        .execute(params![before, limit])
                })
                .await?;
            left = left.saturating_sub(deleted);
            total += deleted;
        }
        Ok(total)
    }

    async fn outside_version(&self) -> Result<u64> {
        let read = |connection: &Connection| {
            let version: i64 = connection.query_row("PRAGMA data_version", [], |r| r.get(0))?;
            Ok(u64::try_from(version).unwrap_or_default())
        };
        self.writer.run_hot(read, |_| false).await
    }

    /// Moves the write-ahead log into the file, too.
    async fn close(&self) {
        self.writer.close().await;
    }
}
