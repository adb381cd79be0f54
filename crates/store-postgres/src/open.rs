//! Opening a database, and what belongs to the store as a whole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::sync::Semaphore;
use vestibule_protocol::time::Timestamp;
use vestibule_store::{
    Result, Store, StoreError, audit::AUDIT_KEPT, decisions::DECISIONS_KEPT, reports::REPORTS_KEPT,
};

use crate::{connect, connect::PostgresUrl, migrations, rows};

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct PostgresOptions {
    /// Connections of this node at most.
    pub connections: usize,
    /// How long a verb waits for a free one before it is refused as busy.
    pub wait: Duration,
    /// How long a new connection may take.
    pub connect: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            connections: 16,
            wait: Duration::from_secs(2),
            connect: Duration::from_secs(3),
        }
    }
}

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    pub(crate) pool: Pool,
    /// Work that nobody waits for has one connection and never more.
    pub(crate) later: Semaphore,
    wait: Duration,
    /// [`Store::changes`].
    pub(crate) changes: Arc<AtomicU64>,
}

impl PostgresStore {
    /// Connect and bring the schema up to date. Fails with a sentence about what is wrong: no such
    /// server, password, database; encoding, version, rights.
    pub async fn open(url: &PostgresUrl, options: PostgresOptions) -> Result<Self> {
        let tls = url.tls()?;
        let mut first = connect::first(url, tls.clone(), options.connect).await?;
        migrations::run(&mut first).await?;
        let manager = Manager::from_config(
            url.config(options.connect),
            tls,
            ManagerConfig {
                // A connection that broke while it was idle is known to be broken.
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(options.connections.max(1))
            .wait_timeout(Some(options.wait))
            .create_timeout(Some(options.connect * 2))
            .recycle_timeout(Some(options.connect))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|failure| StoreError::Failed(failure.to_string()))?;
        Ok(Self {
            pool,
            later: Semaphore::new(1),
            wait: options.wait,
            changes: Arc::default(),
        })
    }

    /// A turn for work that nobody waits for; busy if there is none soon.
    pub(crate) async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        tokio::time::timeout(self.wait, self.later.acquire())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(StoreError::Busy)
    }
}

/// The issuer that the data of a database belongs to; none before the first start. Reads only: a
/// database of an older release is not brought up to date by looking at it.
pub async fn peek_issuer(url: &PostgresUrl) -> Result<Option<String>> {
    let connect = PostgresOptions::default().connect;
    let client = connect::first(url, url.tls()?, connect).await?;
    let failed = |failure| StoreError::from(rows::Failure::Sql(failure));
    let there = client
        .query_one("SELECT to_regclass('heads') IS NOT NULL", &[])
        .await
        .map_err(failed)?;
    if !there.try_get::<_, bool>(0).map_err(failed)? {
        return Ok(None);
    }
    let kept = client
        .query_opt("SELECT document FROM heads WHERE name = 'issuer'", &[])
        .await
        .map_err(failed)?;
    kept.map(|row| row.try_get(0)).transpose().map_err(failed)
}

/// What has expired, and by which column. A row here decides no answer any more.
const EXPIRED: [(&str, &str); 14] = [
    ("codes", "expires_at"),
    ("sessions", "expires_at"),
    ("assertions", "expires_at"),
    ("tickets", "until"),
    ("revoked_tokens", "expires_at"),
    ("tombstones", "until"),
    ("consents", "until"),
    ("families", "absolute_until"),
    ("grants", "absolute_until"),
    ("approvals", "until"),
    ("standings", "until"),
    ("reports", "at"),
    ("decisions", "at"),
    ("audit", "at"),
];

#[async_trait]
impl Store for PostgresStore {
    /// A database that was opened read-only, or became a standby, refuses the update.
    async fn ping(&self) -> Result<()> {
        self.hot_rows(
            "UPDATE heads SET seq = seq WHERE name = 'settings' AND pg_is_in_recovery() \
             RETURNING 1",
            &[],
        )
        .await
        .map(drop)
    }

    async fn sweep(&self, now: Timestamp, rows_max: usize) -> Result<usize> {
        let _turn = self.turn().await?;
        let since = |kept: Duration| rows::seconds(now.minus(kept));
        // Codes, families and grants stay a while longer, so that a replay is still seen as one
        // and not as something that never was (T1).
        let kept = |table: &str| match table {
            "codes" => since(Duration::from_hours(1)),
            "families" | "grants" => since(Duration::from_hours(30 * 24)),
            "reports" => since(REPORTS_KEPT),
            "decisions" => since(DECISIONS_KEPT),
            "audit" => since(AUDIT_KEPT),
            _ => rows::seconds(now),
        };
        let mut left = rows_max;
        for (table, column) in EXPIRED {
            if left == 0 {
                break;
            }
            // Rows that somebody works on stay for the next time: a sweep waits for nobody, and two
            // nodes that sweep do not meet.
            let statement = format!(
                "WITH gone AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY(\
                     SELECT ctid FROM {table} WHERE {column} <= $1 LIMIT $2 \
                     FOR UPDATE SKIP LOCKED)) AND {column} <= $1 RETURNING 1) \
                 SELECT count(*) AS gone FROM gone"
            );
            let gone = self
                .hot_row(&statement, &[&kept(table), &rows::limit(left)])
                .await?;
            let gone = gone.map(|row| rows::unsigned(&row, "gone")).transpose()?;
            let gone = usize::try_from(gone.unwrap_or(0)).unwrap_or(usize::MAX);
            left = left.saturating_sub(gone);
        }
        Ok(rows_max - left)
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The heads, together. Nothing else that a node keeps in memory for longer than a second can be
    /// changed by another node: what decides an answer (clients, people, sessions, grants, token ids)
    /// counts for the second in which it was read, and what is kept longer moves a head with its
    /// change. So no verb of a request has to write a number that all others wait for.
    async fn outside_version(&self) -> Result<u64> {
        let version = self
            .read("SELECT sum(seq)::bigint AS seq FROM heads", &[], |row| {
                rows::unsigned(row, "seq")
            })
            .await?;
        Ok(version.unwrap_or(0))
    }

    async fn close(&self) {
        self.pool.close();
    }
}
