//! Connections, statements and transactions, each with an end: nobody waits for ever.
//!
//! | What takes too long         | Bound                            | Answer    |
//! |-----------------------------|----------------------------------|-----------|
//! | a free connection           | [`PostgresOptions::wait`]        | busy      |
//! | a new connection            | [`PostgresOptions::connect`]     | failed    |
//! | a lock that another holds   | `lock_timeout`, at the server    | busy      |
//! | a statement                 | `statement_timeout`, likewise    | busy      |
//! | an answer that never comes  | [`Patience`], here               | failed, and the connection goes |
//!
//! A transaction that was undone because two stood in each other's way runs again, a few times, with
//! the same arguments; its verb has had no effect. Nothing else is tried again: what failed on the
//! way to the answer may have been done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{Object, Pool, PoolError, TimeoutType};
use tokio_postgres::{Row, types::ToSql};
use vestibule_store::{AuditEntry, Result, StoreError};

use crate::{
    PostgresStore,
    rows::{self, Failure, Line, Outcome},
};

/// How often a transaction runs at most.
const ATTEMPTS: u32 = 5;
/// How long the way back of a transaction that nobody waits for may take.
const ROLLBACK: Duration = Duration::from_secs(5);

/// Parameters of a statement.
pub(crate) type Parameters<'a> = [&'a (dyn ToSql + Sync)];

/// How long a verb may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Patience {
    /// Somebody waits for the answer.
    Short,
    /// An admin ends all that a client or a person has: however much that is, it must happen.
    Long,
}

impl Patience {
    /// Longer than the server's own bounds, so that the server speaks first.
    pub(crate) const fn deadline(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(12),
            Self::Long => Duration::from_mins(11),
        }
    }

    /// `lock_timeout` and `statement_timeout`.
    const fn begin(self) -> &'static str {
        match self {
            Self::Short => "BEGIN",
            Self::Long => {
                "BEGIN; SET LOCAL statement_timeout = '600s'; SET LOCAL lock_timeout = '60s'"
            }
        }
    }
}

/// What each session is told when it opens.
pub(crate) const SESSION: &str = "-c lock_timeout=5000 -c statement_timeout=10000 \
     -c idle_in_transaction_session_timeout=30000 \
     -c default_transaction_isolation=read\\ committed";

impl PostgresStore {
    async fn lend(&self) -> Result<Object> {
        lend(&self.pool).await
    }

    /// One statement, by itself. One that writes counts as a change (`Store::changes`).
    pub(crate) async fn rows(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let _counted = (!statement.starts_with("SELECT")).then(|| Counted(&self.changes));
        self.hot_rows(statement, parameters).await
    }

    /// The same for one that changes hot rows alone.
    pub(crate) async fn hot_rows(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let client = self.lend().await?;
            let ran = query(&client, statement, parameters);
            match tokio::time::timeout(Patience::Short.deadline(), ran).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(failure)) if failure.passes() && attempt < ATTEMPTS => {
                    drop(client);
                    pause(attempt).await;
                }
                Ok(Err(failure)) => return Err(failure.into()),
                Err(_) => {
                    drop(Object::take(client));
                    return Err(silent());
                }
            }
        }
    }

    /// One statement that returns a row at most.
    pub(crate) async fn row(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Option<Row>> {
        Ok(self.rows(statement, parameters).await?.into_iter().next())
    }

    /// The same for a statement that changes hot rows alone.
    pub(crate) async fn hot_row(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Option<Row>> {
        let rows = self.hot_rows(statement, parameters).await?;
        Ok(rows.into_iter().next())
    }

    /// The same, read.
    pub(crate) async fn read<T>(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
        read: impl Fn(&Row) -> Outcome<T>,
    ) -> Result<Option<T>> {
        let row = self.row(statement, parameters).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// All rows, read.
    pub(crate) async fn read_all<T>(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
        read: impl Fn(&Row) -> Outcome<T>,
    ) -> Result<Vec<T>> {
        let rows = self.rows(statement, parameters).await?;
        Ok(rows.iter().map(read).collect::<Outcome<_>>()?)
    }

    /// A statement made by [`rows::trailed`]. Returns whether it changed something.
    pub(crate) async fn trailed(
        &self,
        statement: &str,
        audit: &AuditEntry,
        parameters: &Parameters<'_>,
    ) -> Result<bool> {
        let line = Line::of(audit);
        let mut all = line.parameters().to_vec();
        all.extend_from_slice(parameters);
        Ok(!self.rows(statement, &all).await?.is_empty())
    }

    /// Open a transaction, for [`transact`].
    pub(crate) async fn begin(&self, patience: Patience, changes: bool) -> Result<Work> {
        let work = Work {
            client: Some(self.lend().await?),
            done: false,
            changes: Arc::clone(&self.changes),
            changed: AtomicBool::new(changes),
        };
        let began = tokio::time::timeout(Patience::Short.deadline(), async {
            work.client()?.batch_execute(patience.begin()).await?;
            Outcome::Ok(())
        });
        match began.await {
            Ok(began) => began?,
            Err(_) => return Err(work.silent()),
        }
        Ok(work)
    }
}

/// Run a verb of several statements: all of it or nothing. The block gives an [`Outcome`] and may
/// run several times. (A macro: a function that takes an `async` closure cannot say that its future
/// may move between threads.) With `hot` it counts as a change only if it says so ([`Work::changed`]).
macro_rules! transact {
    (hot $store:expr, |$work:ident| $verb:block) => {
        $crate::pool::transact!($store, $crate::pool::Patience::Short, false, |$work| $verb)
    };
    ($store:expr, |$work:ident| $verb:block) => {
        $crate::pool::transact!($store, $crate::pool::Patience::Short, true, |$work| $verb)
    };
    ($store:expr, $patience:expr, |$work:ident| $verb:block) => {
        $crate::pool::transact!($store, $patience, true, |$work| $verb)
    };
    ($store:expr, $patience:expr, $changes:literal, |$work:ident| $verb:block) => {{
        let mut attempt = 0;
        loop {
            attempt += 1;
            let work = $store.begin($patience, $changes).await?;
            let ran = {
                let $work = &work;
                let verb = $crate::pool::verb(async { $verb });
                tokio::time::timeout($patience.deadline(), verb).await
            };
            match work.end(ran, attempt).await {
                Ok($crate::pool::Ended::Again) => {}
                Ok($crate::pool::Ended::Done(value)) => break Ok(value),
                Err(failure) => break Err(failure),
            }
        }
    }};
}
pub(crate) use transact;

/// Says what a block of [`transact`] is.
pub(crate) fn verb<T, V: Future<Output = Outcome<T>>>(verb: V) -> V {
    verb
}

/// What became of an attempt.
pub(crate) enum Ended<T> {
    /// It was undone, and may run again.
    Again,
    /// It is committed.
    Done(T),
}

/// A connection that is free, or becomes so soon.
pub(crate) async fn lend(pool: &Pool) -> Result<Object> {
    pool.get().await.map_err(|failure| match failure {
        PoolError::Timeout(TimeoutType::Wait) => StoreError::Busy,
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
            StoreError::Failed("the database does not answer".to_owned())
        }
        PoolError::Backend(failure) => Failure::Sql(failure).into(),
        PoolError::Closed => StoreError::Failed("the store is closed".to_owned()),
        PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            StoreError::Failed("the pool of connections is broken".to_owned())
        }
    })
}

async fn query(client: &Object, statement: &str, parameters: &Parameters<'_>) -> Outcome<Vec<Row>> {
    let prepared = client.prepare_cached(statement).await?;
    Ok(client.query(&prepared, parameters).await?)
}

fn silent() -> StoreError {
    StoreError::Failed("the database does not answer".to_owned())
}

/// Longer each time; who met does not meet again.
async fn pause(attempt: u32) {
    let spread = std::collections::hash_map::RandomState::new();
    let random = std::hash::BuildHasher::hash_one(&spread, attempt) % 20;
    tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 5 + random)).await;
}

/// Counts a change when it is over, however that came: whoever is gone before the answer cannot know
/// whether it was made.
struct Counted<'a>(&'a AtomicU64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// An open transaction.
pub(crate) struct Work {
    client: Option<Object>,
    done: bool,
    changes: Arc<AtomicU64>,
    /// More than hot rows.
    changed: AtomicBool,
}

impl Work {
    /// What is written here is more than hot rows.
    pub(crate) fn changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Commit what went well, undo the rest.
    pub(crate) async fn end<T>(
        mut self,
        ran: Result<Outcome<T>, tokio::time::error::Elapsed>,
        attempt: u32,
    ) -> Result<Ended<T>> {
        let Ok(outcome) = ran else {
            return Err(self.silent());
        };
        let last = match outcome {
            Ok(_) => "COMMIT",
            Err(_) => "ROLLBACK",
        };
        let ending = tokio::time::timeout(Patience::Short.deadline(), async {
            Outcome::Ok(self.client()?.batch_execute(last).await?)
        });
        let Ok(ended) = ending.await else {
            return Err(self.silent());
        };
        self.done = ended.is_ok();
        match outcome.and_then(|value| ended.map(|()| value)) {
            Ok(value) => Ok(Ended::Done(value)),
            Err(failure) if failure.passes() && attempt < ATTEMPTS => {
                drop(self);
                pause(attempt).await;
                Ok(Ended::Again)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Nothing comes back over this connection: it is closed.
    fn silent(mut self) -> StoreError {
        drop(self.client.take().map(Object::take));
        silent()
    }

    fn client(&self) -> Outcome<&Object> {
        self.client.as_ref().ok_or_else(|| Failure::Store(silent()))
    }

    pub(crate) async fn rows(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
    ) -> Outcome<Vec<Row>> {
        query(self.client()?, statement, parameters).await
    }

    pub(crate) async fn row(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
    ) -> Outcome<Option<Row>> {
        Ok(self.rows(statement, parameters).await?.into_iter().next())
    }

    pub(crate) async fn read<T>(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
        read: impl Fn(&Row) -> Outcome<T>,
    ) -> Outcome<Option<T>> {
        let row = self.row(statement, parameters).await?;
        row.as_ref().map(read).transpose()
    }

    /// How many rows the statement changed.
    pub(crate) async fn change(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
    ) -> Outcome<u64> {
        let client = self.client()?;
        let prepared = client.prepare_cached(statement).await?;
        Ok(client.execute(&prepared, parameters).await?)
    }

    /// Write a line of the trail.
    pub(crate) async fn audit(&self, entry: &AuditEntry) -> Outcome<()> {
        let line = Line::of(entry);
        self.change(
            "INSERT INTO audit (at, event, actor, client, grant_id, source, detail) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &line.parameters(),
        )
        .await
        .map(drop)
    }
}

/// Whoever waited is gone: the transaction ends, and only then the connection is another's.
impl Drop for Work {
    fn drop(&mut self) {
        if self.changed.load(Ordering::Relaxed) {
            self.changes.fetch_add(1, Ordering::Release);
        }
        let Some(client) = self.client.take().filter(|_| !self.done) else {
            return;
        };
        // A connection from which nothing comes back is closed, not lent again.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(client));
            return;
        };
        runtime.spawn(async move {
            let ended = tokio::time::timeout(ROLLBACK, client.batch_execute("ROLLBACK")).await;
            if !matches!(ended, Ok(Ok(()))) {
                let failure = "a transaction could not be ended; its connection is closed";
                tracing::debug!(failure);
                drop(Object::take(client));
            }
        });
    }
}

impl rows::Failure {
    /// A value that cannot be written.
    pub(crate) fn unwritable(what: &'static str) -> Self {
        Self::Store(StoreError::Failed(format!("{what} cannot be written")))
    }
}
