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
//! | a savepoint cannot be kept                | every verb of the batch                      |
//! | `COMMIT` fails                            | every verb of the batch                      |
//! | another process writes for too long       | every verb of the batch, as busy             |
//!
//! A caller that goes away does not take its verb back.
//!
//! Not here: when the log is moved into the file ([`crate::checkpoint`]).

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::oneshot;
use vestibule_store::{Result, StoreError};

use crate::{checkpoint::Checkpoints, rows};

/// Most verbs in one commit.
const BATCH_MAX: usize = 64;
/// Nobody has come for so long: time for what can wait.
const IDLE: Duration = Duration::from_millis(200);
/// Most verbs that wait for a quiet moment.
const LATER_MAX: usize = 16;
/// So many commits in a row without a quiet moment, and one of those verbs runs all the same.
const PATIENCE: u32 = 64;

/// What a verb gives: its own answer, boxed until its caller takes it.
type Outcome = Result<Done>;
type Verb = Box<dyn FnOnce(&Connection) -> rusqlite::Result<Done> + Send>;

struct Done {
    answer: Box<dyn Any + Send>,
    /// More than hot rows may be another now (`Store::changes`).
    changed: bool,
}

struct Job {
    verb: Verb,
    answer: oneshot::Sender<Outcome>,
}

enum Message {
    Close(oneshot::Sender<()>),
    /// Something waits for a quiet moment.
    Look,
    Run(Job),
}

/// The way to the writer thread.
pub(crate) struct Writer {
    queue: SyncSender<Message>,
    later: SyncSender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
    changes: Arc<AtomicU64>,
}

impl Writer {
    /// Start the thread, on a connection of its own and one that moves the log.
    pub(crate) fn start(
        mut connection: Connection,
        mover: Connection,
        queue_max: usize,
    ) -> Result<Self> {
        let (queue, waiting) = sync_channel(queue_max);
        let (later, patient) = sync_channel(LATER_MAX);
        let checkpoints = Checkpoints::start(&mut connection, mover)?;
        let changes = Arc::new(AtomicU64::new(0));
        let mut work = Work {
            changes: Arc::clone(&changes),
            connection,
            checkpoints,
            waiting,
            patient,
            commits_since_quiet: 0,
        };
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || {
                let closing = work.until_closed();
                let Work {
                    connection,
                    checkpoints,
                    ..
                } = work;
                checkpoints.finish(&connection);
                drop(connection);
                if let Some(done) = closing {
                    // Nobody has to wait for it.
                    let _ = done.send(());
                }
            })
            .map_err(|failure| StoreError::Failed(failure.to_string()))?;
        Ok(Self {
            queue,
            later,
            thread: Mutex::new(Some(thread)),
            changes,
        })
    }

    /// How many commits changed more than hot rows.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Run a verb; its answer comes after the commit.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run_hot(verb, |_| true).await
    }

    /// The same for a verb that mostly changes hot rows alone; `changed` says of its answer whether
    /// it was more this time.
    pub(crate) async fn run_hot<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        changed: impl FnOnce(&T) -> bool + Send + 'static,
    ) -> Result<T> {
        let (job, answered) = job(verb, changed);
        self.queue
            .try_send(Message::Run(job))
            .map_err(|full| match full {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => gone(),
            })?;
        unpack(answered).await
    }

    /// For work that can wait until nothing else does, and that changes what nobody sees.
    pub(crate) async fn run_when_idle<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (job, answered) = job(verb, |_| false);
        self.later.try_send(job).map_err(|full| match full {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => gone(),
        })?;
        // With a full queue the thread is awake anyway.
        let _ = self.queue.try_send(Message::Look);
        unpack(answered).await
    }

    /// Answer what waits, then end.
    pub(crate) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        let mut message = Message::Close(done);
        // The queue moves on, so that room comes soon.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            message = back;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // An error means that the thread is gone already.
        let _ = ended.await;
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

fn job<T: Send + 'static>(
    verb: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    changed: impl FnOnce(&T) -> bool + Send + 'static,
) -> (Job, oneshot::Receiver<Outcome>) {
    let (answer, answered) = oneshot::channel();
    let verb: Verb = Box::new(move |connection| {
        verb(connection).map(|value| Done {
            changed: changed(&value),
            answer: Box::new(value),
        })
    });
    (Job { verb, answer }, answered)
}

async fn unpack<T: 'static>(answered: oneshot::Receiver<Outcome>) -> Result<T> {
    let outcome = answered.await.map_err(|_| gone())??;
    let answer = outcome.answer.downcast();
    answer.map(|value| *value).map_err(|_| gone())
}

fn gone() -> StoreError {
    StoreError::Failed("the writer has ended".to_owned())
}

/// What the thread has.
struct Work {
    changes: Arc<AtomicU64>,
    connection: Connection,
    checkpoints: Checkpoints,
    waiting: Receiver<Message>,
    patient: Receiver<Job>,
    commits_since_quiet: u32,
}

impl Work {
    /// Returns whom to tell, or `None` when the store was dropped.
    fn until_closed(&mut self) -> Option<oneshot::Sender<()>> {
        loop {
            let first = match self.waiting.recv_timeout(IDLE) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return None,
            };
            let quiet = first.is_none();
            let (batch, closing) = self.gather(first);
            if !batch.is_empty() {
                commit(&self.connection, batch, &self.changes);
                self.checkpoints.after_commit(&self.connection);
            } else if quiet {
                self.checkpoints.when_idle();
            }
            if closing.is_some() {
                return closing;
            }
        }
    }

    /// What waits now, and no more than that: nobody waits for company.
    fn gather(&mut self, first: Option<Message>) -> (Vec<Job>, Option<oneshot::Sender<()>>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut next = first;
        while let Some(message) = next {
            match message {
                Message::Close(done) => return (batch, Some(done)),
                Message::Look => {}
                Message::Run(job) => batch.push(job),
            }
            next = if batch.len() < BATCH_MAX {
                self.waiting.try_recv().ok()
            } else {
                None
            };
        }
        self.commits_since_quiet += 1;
        if batch.is_empty() || self.commits_since_quiet > PATIENCE {
            self.commits_since_quiet = 0;
            batch.extend(self.patient.try_recv());
        }
        (batch, None)
    }
}

/// One transaction for all of them.
fn commit(connection: &Connection, batch: Vec<Job>, changes: &AtomicU64) {
    if let Err(failure) = step(connection, "BEGIN IMMEDIATE") {
        for job in batch {
            answer(job.answer, Err(copy(&failure)));
        }
        return;
    }
    let mut done = Vec::with_capacity(batch.len());
    let mut broken = None;
    for Job { verb, answer } in batch {
        if broken.is_some() {
            // It does not run; the end of this function tells it why.
            done.push((answer, Err(gone())));
            continue;
        }
        let outcome = run_in_savepoint(connection, verb).unwrap_or_else(|failure| {
            let outcome = Err(copy(&failure));
            broken = Some(failure);
            outcome
        });
        done.push((answer, outcome));
    }
    if broken.is_none() {
        broken = step(connection, "COMMIT").err();
    }
    if broken.is_some()
        && !connection.is_autocommit()
        && let Err(failure) = step(connection, "ROLLBACK")
    {
        tracing::error!(%failure, "a transaction could not be rolled back");
    }
    // Between commit and answer: whoever hears the answer, or sees the count, reads the new rows.
    if done
        .iter()
        .flat_map(|(_, outcome)| outcome)
        .any(|done| done.changed)
    {
        changes.fetch_add(1, Ordering::Release);
    }
    for (sender, outcome) in done {
        match &broken {
            Some(failure) => answer(sender, Err(copy(failure))),
            None => answer(sender, outcome),
        }
    }
}

/// `Err` when nobody can tell what the transaction holds now; the verb's own failure is inside.
fn run_in_savepoint(connection: &Connection, verb: Verb) -> Result<Outcome> {
    step(connection, "SAVEPOINT verb")?;
    let outcome = catch_unwind(AssertUnwindSafe(|| verb(connection))).map_or_else(
        |_| {
            tracing::error!("a verb of the store panicked");
            Err(StoreError::Failed("a verb failed".to_owned()))
        },
        |outcome| outcome.map_err(rows::failed),
    );
    // SQLite may have ended everything, this verb and those before it (D.14).
    if connection.is_autocommit() {
        return Err(outcome
            .err()
            .unwrap_or_else(|| StoreError::Failed("the transaction was ended".to_owned())));
    }
    if outcome.is_err() {
        step(connection, "ROLLBACK TO verb")?;
    }
    step(connection, "RELEASE verb")?;
    Ok(outcome)
}

fn step(connection: &Connection, statement: &str) -> Result<()> {
    connection
        .prepare_cached(statement)
        .and_then(|mut prepared| prepared.execute([]))
        .map(drop)
        .map_err(rows::failed)
}

fn answer(sender: oneshot::Sender<Outcome>, outcome: Outcome) {
    // The caller may be gone; the verb stands.
    let _ = sender.send(outcome);
}

fn copy(failure: &StoreError) -> StoreError {
    match failure {
        StoreError::Busy => StoreError::Busy,
        StoreError::Failed(text) => StoreError::Failed(text.clone()),
        other => StoreError::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
