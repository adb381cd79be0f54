//! The writer: one thread, one connection, many verbs per commit (`design-details.md`, D).
//!
//! A verb is a closure over the connection. The thread takes what waits, opens one transaction,
//! runs each verb in a savepoint of its own, commits, and only then answers. What can go wrong:
//!
//! | What happens                              | Who fails                                    |
//! |-------------------------------------------|----------------------------------------------|
//! | a verb returns an error                   | it; its savepoint is rolled back             |
//! | a verb panics                             | it; the thread goes on                       |
//! | SQLite ends the whole transaction (disk   | every verb of the batch: earlier ones were   |
//! | full, I/O error, `ON CONFLICT ROLLBACK`)  | silently undone, and must not be answered    |
//! | `COMMIT` fails                            | every verb of the batch                      |
//!
//! A caller that goes away does not take its verb back.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::oneshot;
use vestibule_store::{Result, StoreError};

use crate::rows;

/// Most verbs in one commit.
const BATCH_MAX: usize = 64;
/// The log is moved into the file when nobody has come for so long, or when it is this large.
const IDLE: Duration = Duration::from_millis(200);
const WAL_PAGES_MAX: i64 = 1_024;

/// What a verb gives: its own answer, boxed until its caller takes it.
type Outcome = Result<Box<dyn Any + Send>>;
type Verb = Box<dyn FnOnce(&Connection) -> rusqlite::Result<Box<dyn Any + Send>> + Send>;

struct Job {
    verb: Verb,
    answer: oneshot::Sender<Outcome>,
}

enum Message {
    Close(oneshot::Sender<()>),
    Run(Job),
}

/// The way to the writer thread.
pub(crate) struct Writer {
    queue: SyncSender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Start the thread.
    pub(crate) fn start(connection: Connection, queue_max: usize) -> Result<Self> {
        let (queue, waiting) = sync_channel(queue_max);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || work(&connection, &waiting))
            .map_err(|failure| StoreError::Failed(failure.to_string()))?;
        Ok(Self {
            queue,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Run a verb; its answer comes after the commit.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let verb: Verb = Box::new(move |connection| {
            verb(connection).map(|value| Box::new(value) as Box<dyn Any + Send>)
        });
        self.queue
            .try_send(Message::Run(Job { verb, answer }))
            .map_err(|full| match full {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => gone(),
            })?;
        let outcome = answered.await.map_err(|_| gone())??;
        outcome.downcast().map(|value| *value).map_err(|_| gone())
    }

    /// The same for work that can wait: refused while others do.
    pub(crate) async fn run_when_idle<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        // Give way to whoever is about to queue.
        tokio::task::yield_now().await;
        self.run(verb).await
    }

    /// Answer what waits, then end.
    pub(crate) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.queue.try_send(Message::Close(done)).is_ok() {
            // An error means that the thread is gone already.
            let _ = ended.await;
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The thread caught its panics; there is nothing to learn from joining.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn gone() -> StoreError {
    StoreError::Failed("the writer has ended".to_owned())
}

fn work(connection: &Connection, waiting: &Receiver<Message>) {
    let mut dirty = false;
    loop {
        let first = match waiting.recv_timeout(IDLE) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                if std::mem::take(&mut dirty) {
                    checkpoint(connection, "PASSIVE");
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut closing = None;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Run(job) => batch.push(job),
                Message::Close(done) => closing = Some(done),
            }
            next = if batch.len() < BATCH_MAX && closing.is_none() {
                waiting.try_recv().ok()
            } else {
                None
            };
        }
        if !batch.is_empty() {
            commit(connection, batch);
            dirty = true;
        }
        if let Some(done) = closing {
            checkpoint(connection, "TRUNCATE");
            // Nobody has to wait for it.
            let _ = done.send(());
            break;
        }
        if wal_pages(connection) > WAL_PAGES_MAX {
            checkpoint(connection, "PASSIVE");
        }
    }
}

/// One transaction for all of them.
fn commit(connection: &Connection, batch: Vec<Job>) {
    if let Err(failure) = connection.execute_batch("BEGIN IMMEDIATE") {
        let failure = rows::failed(failure);
        for job in batch {
            answer(job.answer, Err(copy(&failure)));
        }
        return;
    }
    let mut done = Vec::with_capacity(batch.len());
    let mut failed_batch = None;
    for Job { verb, answer } in batch {
        if failed_batch.is_some() {
            done.push((answer, Err(StoreError::Busy)));
            continue;
        }
        let outcome = run_in_savepoint(connection, verb);
        // SQLite may have ended everything, this verb and those before it (D.14).
        if connection.is_autocommit() {
            let text = match &outcome {
                Err(failure) => failure.to_string(),
                Ok(_) => "the transaction was ended".to_owned(),
            };
            failed_batch = Some(StoreError::Failed(text));
        }
        done.push((answer, outcome));
    }
    if failed_batch.is_none()
        && let Err(failure) = connection.execute_batch("COMMIT")
    {
        failed_batch = Some(rows::failed(failure));
        if !connection.is_autocommit()
            && let Err(failure) = connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%failure, "a transaction could not be rolled back");
        }
    }
    for (sender, outcome) in done {
        match &failed_batch {
            Some(failure) => answer(sender, Err(copy(failure))),
            None => answer(sender, outcome),
        }
    }
}

fn run_in_savepoint(connection: &Connection, verb: Verb) -> Outcome {
    connection
        .execute_batch("SAVEPOINT verb")
        .map_err(rows::failed)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| verb(connection)));
    let outcome = match outcome {
        Ok(outcome) => outcome.map_err(rows::failed),
        Err(_) => {
            tracing::error!("a verb of the store panicked");
            Err(StoreError::Failed("a verb failed".to_owned()))
        }
    };
    let end = match outcome {
        Ok(_) => "RELEASE verb",
        Err(_) => "ROLLBACK TO verb; RELEASE verb",
    };
    if !connection.is_autocommit() {
        connection.execute_batch(end).map_err(rows::failed)?;
    }
    outcome
}

fn answer(sender: oneshot::Sender<Outcome>, outcome: Outcome) {
    // The caller may be gone; the verb stands.
    let _ = sender.send(outcome);
}

fn copy(failure: &StoreError) -> StoreError {
    match failure {
        StoreError::Busy => StoreError::Busy,
        other => StoreError::Failed(other.to_string()),
    }
}

fn wal_pages(connection: &Connection) -> i64 {
    connection
        .path()
        .and_then(|path| std::fs::metadata(format!("{path}-wal")).ok())
        .map_or(0, |file| i64::try_from(file.len() / 4_096).unwrap_or(0))
}

fn checkpoint(connection: &Connection, mode: &str) {
    let statement = format!("PRAGMA wal_checkpoint({mode})");
    if let Err(failure) = connection.query_row(&statement, [], |_| Ok(())) {
        tracing::warn!(%failure, "the write-ahead log could not be moved");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn writer(folder: &std::path::Path) -> Writer {
        let connection = Connection::open(folder.join("w.db")).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t (n INTEGER PRIMARY KEY)")
            .unwrap();
        Writer::start(connection, 128).unwrap()
    }

    async fn insert(writer: &Writer, n: i64) -> Result<usize> {
        writer
            .run(move |c| c.execute("INSERT INTO t VALUES (?1)", [n]))
            .await
    }

    async fn count(writer: &Writer) -> i64 {
        writer
            .run(|c| c.query_row("SELECT count(*) FROM t", [], |r| r.get(0)))
            .await
            .unwrap()
    }

    /// D.14: an error takes back its own verb only.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_failing_verb_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Arc::new(writer(folder.path()));
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let writer = writer.clone();
                tokio::spawn(async move {
                    if n % 10 == 3 {
                        let half = writer.run(move |c| {
                            c.execute("INSERT INTO t VALUES (?1)", [10_000 + n])?;
                            c.execute("INSERT INTO nowhere VALUES (1)", [])
                        });
                        assert!(half.await.is_err());
                    } else if n % 10 == 7 {
                        let panicking = writer.run(move |c| -> rusqlite::Result<()> {
                            c.execute("INSERT INTO t VALUES (?1)", [20_000 + n])?;
                            panic!("a defect");
                        });
                        assert!(panicking.await.is_err());
                    } else {
                        while let Err(StoreError::Busy) = insert(&writer, n).await {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(count(&writer).await, 160);
    }

    /// D.14: when SQLite ends the transaction, nobody of the batch is answered as if it stood.
    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_fails_every_verb_of_the_batch() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path());
        // Hold the thread, so that the next three are one batch.
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let holding = writer.run(move |_| {
            held.recv().ok();
            Ok(())
        });
        let first = insert(&writer, 1);
        let ending = writer.run(|c| c.execute_batch("ROLLBACK"));
        let last = insert(&writer, 2);
        let (holding, first, ending, last, _) =
            tokio::join!(holding, first, ending, last, async { hold.send(()) });
        holding.unwrap();
        assert!(first.is_err() && ending.is_err() && last.is_err());
        assert_eq!(count(&writer).await, 0);
        insert(&writer, 3).await.unwrap();
        assert_eq!(count(&writer).await, 1);
    }

    /// D.14: a bounded queue says so at once.
    #[tokio::test]
    async fn a_full_queue_is_busy() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("w.db")).unwrap();
        let writer = Writer::start(connection, 1).unwrap();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let holding = writer.run(move |_| {
            held.recv().ok();
            Ok(())
        });
        let flood = async {
            let mut busy = 0;
            for _ in 0..100 {
                let quick = writer.run(|_| Ok(()));
                let refused = tokio::time::timeout(Duration::from_millis(5), quick).await;
                busy += usize::from(matches!(refused, Ok(Err(StoreError::Busy))));
            }
            hold.send(()).unwrap();
            busy
        };
        let (held, busy) = tokio::join!(holding, flood);
        held.unwrap();
        assert!(busy > 90, "{busy}");
    }
}
