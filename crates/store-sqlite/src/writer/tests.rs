//! The rules of D.14, with faults put in.

use std::{path::Path, sync::Arc};

use super::*;

fn open(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("w.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY);
             CREATE TABLE IF NOT EXISTS strict_t (n INTEGER UNIQUE ON CONFLICT ROLLBACK);",
        )
        .unwrap();
    connection
}

fn start(folder: &Path, queue_max: usize) -> Writer {
    Writer::start(open(folder), open(folder), queue_max).unwrap()
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

/// Hold the thread inside a batch of its own, so that what is queued meanwhile is one batch.
fn hold(writer: &Writer) -> std::sync::mpsc::Sender<()> {
    let (entered, has_entered) = std::sync::mpsc::channel::<()>();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (job, _) = job(
        move |_| {
            entered.send(()).ok();
            released.recv().ok();
            Ok(())
        },
        |()| false,
    );
    assert!(writer.queue.try_send(Message::Run(job)).is_ok());
    has_entered.recv().unwrap();
    release
}

/// An error takes back its own verb only, and so does a panic.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_verb_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Arc::new(start(folder.path(), 128));
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

/// Inside one batch for sure: the neighbours on both sides stand.
#[tokio::test]
async fn neighbours_of_a_failing_verb_are_committed() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path(), 128);
    let release = hold(&writer);
    let defect = writer.run(|c| -> rusqlite::Result<()> {
        c.execute("INSERT INTO t VALUES (10)", [])?;
        panic!("a defect")
    });
    let error = writer.run(|c| {
        c.execute("INSERT INTO t VALUES (11)", [])?;
        c.execute("INSERT INTO t VALUES (1)", [])
    });
    let (first, defect, middle, error, last, _) = tokio::join!(
        insert(&writer, 1),
        defect,
        insert(&writer, 2),
        error,
        insert(&writer, 3),
        async { release.send(()) }
    );
    assert!(first.is_ok() && middle.is_ok() && last.is_ok());
    assert!(defect.is_err() && error.is_err());
    assert_eq!(count(&writer).await, 3);
}

/// When SQLite ends the transaction, nobody of the batch is answered as if it stood, and those
/// after it do not run outside of one.
#[tokio::test]
async fn a_transaction_that_sqlite_ended_fails_every_verb_of_the_batch() {
    for ending in ["ROLLBACK", "INSERT INTO strict_t VALUES (1), (1)", "COMMIT"] {
        let folder = tempfile::tempdir().unwrap();
        let writer = start(folder.path(), 128);
        let release = hold(&writer);
        let (first, end, last, _) = tokio::join!(
            insert(&writer, 1),
            writer.run(move |c| c.execute_batch(ending)),
            insert(&writer, 2),
            async { release.send(()) }
        );
        for outcome in [first.map(drop), end, last.map(drop)] {
            assert!(matches!(outcome, Err(StoreError::Failed(_))), "{ending}");
        }
        let standing = i64::from(ending == "COMMIT");
        assert_eq!(count(&writer).await, standing, "{ending}");
        insert(&writer, 3).await.unwrap();
        assert_eq!(count(&writer).await, standing + 1);
    }
}

/// A commit that fails fails every verb: here the deferred constraint that we otherwise forbid.
#[tokio::test]
async fn a_commit_that_fails_fails_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(folder.path());
    connection
        .execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE child (n REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED);",
        )
        .unwrap();
    let writer = Writer::start(connection, open(folder.path()), 128).unwrap();
    let release = hold(&writer);
    let (first, orphan, last, _) = tokio::join!(
        insert(&writer, 1),
        writer.run(|c| c.execute("INSERT INTO child VALUES (99)", [])),
        insert(&writer, 2),
        async { release.send(()) }
    );
    assert!(first.is_err() && orphan.is_err() && last.is_err());
    assert_eq!(count(&writer).await, 0);
    insert(&writer, 3).await.unwrap();
}

/// A bounded queue says so at once.
#[tokio::test]
async fn a_full_queue_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path(), 4);
    let release = hold(&writer);
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let (job, answered) = job(|_| Ok(1), |_| false);
        assert!(writer.queue.try_send(Message::Run(job)).is_ok());
        waiting.push(answered);
    }
    for _ in 0..100 {
        assert!(matches!(insert(&writer, 1).await, Err(StoreError::Busy)));
    }
    release.send(()).unwrap();
    for answered in waiting {
        assert_eq!(unpack::<i32>(answered).await.unwrap(), 1);
    }
    insert(&writer, 1).await.unwrap();
}

/// A caller that goes away does not take its verb back.
#[tokio::test]
async fn a_dropped_call_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path(), 128);
    let release = hold(&writer);
    let impatient = tokio::time::timeout(Duration::from_millis(20), insert(&writer, 1));
    assert!(impatient.await.is_err());
    release.send(()).unwrap();
    assert_eq!(count(&writer).await, 1);
}

/// What waits when the store closes is answered, and what comes later is told.
#[tokio::test]
async fn closing_answers_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path(), 8);
    let release = hold(&writer);
    let (one, two, (), _) = tokio::join!(
        insert(&writer, 1),
        insert(&writer, 2),
        writer.close(),
        async { release.send(()) }
    );
    assert!(one.is_ok() && two.is_ok());
    assert!(insert(&writer, 3).await.is_err());
    writer.close().await;
    // The log was moved: the file alone holds everything.
    let log = folder.path().join("w.db-wal");
    assert!(std::fs::metadata(log).map_or(0, |log| log.len()) == 0);
    let connection = open(folder.path());
    let count: i64 = connection
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 2);
}

/// Clean-up comes last, and comes all the same when there is never a quiet moment.
#[tokio::test]
async fn what_can_wait_runs_after_the_others_and_is_not_starved() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Arc::new(start(folder.path(), 128));
    let release = hold(&writer);
    let seen = |writer: &Arc<Writer>, patient: bool| {
        let writer = writer.clone();
        async move {
            let look = |c: &Connection| {
                c.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
            };
            if patient {
                writer.run_when_idle(look).await
            } else {
                writer.run(look).await
            }
        }
    };
    let (patient, one, two, _) = tokio::join!(
        seen(&writer, true),
        insert(&writer, 1),
        insert(&writer, 2),
        async { release.send(()) }
    );
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(patient.unwrap(), 2);
    // A load without a pause.
    let patient = tokio::spawn(seen(&writer, true));
    let mut n = 100;
    while !patient.is_finished() {
        insert(&writer, n).await.unwrap();
        n += 1;
        assert!(n < 5_000, "starved");
    }
}

/// Under a load without a pause the log starts over instead of growing for ever.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_short_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Arc::new(start(folder.path(), 4_096));
    let blob = "x".repeat(8_000);
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (writer, blob) = (writer.clone(), blob.clone());
            tokio::spawn(async move {
                for _ in 0..1_000 {
                    let blob = blob.clone();
                    let written = writer.run(move |c| {
                        c.execute("CREATE TABLE IF NOT EXISTS big (b)", [])?;
                        c.execute("INSERT INTO big VALUES (?1)", [blob])
                    });
                    written.await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    // 256 MB were written; the bound is twice the length at which the writer helps.
    let log = std::fs::metadata(folder.path().join("w.db-wal")).unwrap();
    assert!(log.len() < 64 << 20, "{}", log.len());
}
