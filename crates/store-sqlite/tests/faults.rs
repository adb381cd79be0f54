//! What a disk, a neighbour or a power cut does to the file, and what the store makes of it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tempfile::TempDir;
use vestibule_protocol::{
    audit::{Actor, Event},
    ids::{SessionHash, UserId},
    time::Timestamp,
};
use vestibule_store::{
    AuditEntry, AuditLog as _, SessionStore as _, SettingsStore as _, Store as _, StoreError,
    UserStore as _, sessions::Session, users::User,
};
use vestibule_store_sqlite::{SqliteOptions, SqliteStore};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.db");
    (folder, path)
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).unwrap()
}

fn entry(detail: &str) -> AuditEntry {
    AuditEntry {
        at: NOW,
        event: Event::UserMade,
        actor: Actor::System,
        client: None,
        grant: None,
        source: None,
        detail: detail.to_owned(),
    }
}

fn user(n: usize) -> User {
    User {
        id: UserId::new(format!("u_{n}")),
        name: format!("person-{n}"),
        display_name: Some("x".repeat(500)),
        email: None,
        admin: false,
        password_hash: "$argon2id$none".to_owned(),
        disabled: false,
        created_at: NOW,
    }
}

/// Hold the lock of another process for so long.
fn hold_the_lock(path: &Path, held_for: Duration) -> std::thread::JoinHandle<()> {
    let path = path.to_owned();
    let (holding, held) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let other = Connection::open(path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        holding.send(()).unwrap();
        std::thread::sleep(held_for);
        other.execute_batch("ROLLBACK").unwrap();
    });
    held.recv().unwrap();
    thread
}

/// P11: another process that writes for three seconds is waited for, and reads go on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_held_for_three_seconds_is_waited_for() {
    let (_folder, path) = folder();
    let store = open(&path);
    let holder = hold_the_lock(&path, Duration::from_secs(3));
    let started = Instant::now();
    let write = store.add_user(user(1), entry(""));
    let read = async {
        let seen = store.count_users().await.unwrap();
        (seen, started.elapsed())
    };
    let (written, (seen, read_after)) = tokio::join!(write, read);
    assert!(written.unwrap());
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert_eq!(seen, 0);
    assert!(read_after < Duration::from_secs(2), "{read_after:?}");
    holder.join().unwrap();
}

/// P11: and a longer one is answered as busy, after which everything goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_held_for_longer_is_busy() {
    let (_folder, path) = folder();
    let store = open(&path);
    let holder = hold_the_lock(&path, Duration::from_secs(7));
    let started = Instant::now();
    let written = store.add_user(user(1), entry("")).await;
    assert!(matches!(written, Err(StoreError::Busy)), "{written:?}");
    assert!(started.elapsed() >= Duration::from_secs(4));
    holder.join().unwrap();
    assert!(store.add_user(user(1), entry("")).await.unwrap());
    assert_eq!(store.count_users().await.unwrap(), 1);
}

/// T9: a full disk is said clearly; whoever was answered is there, and whoever failed is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_and_loses_nothing_in_silence() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(
        &path,
        SqliteOptions {
            pages_max: Some(120),
            ..SqliteOptions::default()
        },
    );
    let store = Arc::new(store.unwrap());
    let tasks: Vec<_> = (0..1_000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { (n, store.add_user(user(n), entry(&n.to_string())).await) })
        })
        .collect();
    let (mut done, mut refused) = (Vec::new(), 0);
    for task in tasks {
        match task.await.unwrap() {
            (n, Ok(added)) => {
                assert!(added);
                done.push(n);
            }
            (_, Err(StoreError::Failed(text))) => {
                assert!(text.contains("full"), "{text}");
                refused += 1;
            }
            (_, Err(other)) => unreachable!("{other:?}"),
        }
    }
    assert!(!done.is_empty() && refused > 0, "{} {refused}", done.len());
    let people = store.list_users(10_000).await.unwrap();
    assert_eq!(people.len(), done.len());
    for n in &done {
        let found = store.find_user(&user(*n).id).await.unwrap();
        assert!(found.is_some(), "{n} was answered and is not there");
    }
    // The trail has a line for each of them and for nobody else.
    let trail = store.audit_rows(None, 10_000).await.unwrap();
    assert_eq!(trail.len(), done.len());
    // With room again the same file goes on.
    store.close().await;
    let store = open(&path);
    assert!(store.add_user(user(5_000), entry("")).await.unwrap());
}

/// Where a database file's log lies.
fn log_path(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

/// The bytes of a database and of its log, while `people` additions are in the log only.
async fn file_and_log(people: usize) -> (Vec<u8>, Vec<u8>) {
    let (_folder, path) = folder();
    let store = open(&path);
    for n in 0..people {
        let added = store.add_user(user(n), entry(&n.to_string()));
        assert!(added.await.unwrap());
    }
    (
        std::fs::read(&path).unwrap(),
        std::fs::read(log_path(&path)).unwrap(),
    )
}

/// T9: a power cut leaves a log that ends anywhere. The file opens, the pages are sound, a change
/// and its line in the trail are both there or both not, and nothing is missing in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_cut_anywhere_opens_with_whole_transactions() {
    let (file, log) = file_and_log(40).await;
    assert!(log.len() > 100_000);
    let mut most = 0;
    // Whole pages, torn pages, and a log of nothing.
    let step = log.len() / 60;
    let cuts = (0..60)
        .map(|n| n * step)
        .chain([1, 31, 32, 33, log.len() - 1, log.len()]);
    for cut in cuts {
        let copies = tempfile::tempdir().unwrap();
        let copy = copies.path().join("vestibule.db");
        std::fs::write(&copy, &file).unwrap();
        std::fs::write(log_path(&copy), &log[..cut]).unwrap();
        let store = open(&copy);
        let people = store.list_users(10_000).await.unwrap();
        let trail = store.audit_rows(None, 10_000).await.unwrap();
        assert_eq!(people.len(), trail.len(), "cut at {cut}");
        for n in 0..people.len() {
            let found = store.find_user(&user(n).id).await.unwrap();
            assert!(found.is_some(), "cut at {cut}: {n} of {}", people.len());
        }
        most = most.max(people.len());
        assert!(store.add_user(user(1_000), entry("")).await.unwrap());
        store.close().await;
        let sound: String = Connection::open(&copy)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok", "cut at {cut}");
    }
    assert_eq!(most, 40);
}

/// T9: damage inside the log ends the log there; nothing after it is believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_believed_up_to_the_damage() {
    let (file, log) = file_and_log(20).await;
    for part in 1..10 {
        let copies = tempfile::tempdir().unwrap();
        let copy = copies.path().join("vestibule.db");
        let mut damaged = log.clone();
        damaged[log.len() * part / 10] ^= 0xff;
        std::fs::write(&copy, &file).unwrap();
        std::fs::write(log_path(&copy), damaged).unwrap();
        let store = open(&copy);
        let people = store.list_users(10_000).await.unwrap().len();
        let trail = store.audit_rows(None, 10_000).await.unwrap().len();
        assert_eq!(people, trail);
        assert!(people < 20);
    }
}

/// Several processes that start at once on an empty folder end with one schema.
#[tokio::test(flavor = "multi_thread")]
async fn many_that_open_an_empty_folder_at_once_all_succeed() {
    for _ in 0..50 {
        let (_folder, path) = folder();
        let threads: Vec<_> = (0..6)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || SqliteStore::open(&path, SqliteOptions::default()))
            })
            .collect();
        for (n, thread) in threads.into_iter().enumerate() {
            let store = thread.join().unwrap().unwrap();
            assert!(store.add_user(user(n), entry("")).await.unwrap());
        }
    }
}

/// Nobody else on the machine can read the file, its log or its index.
#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, path) = folder();
    let store = open(&path);
    assert!(store.add_user(user(1), entry("")).await.unwrap());
    let mut seen = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// D.16: `vestibule user add` beside a running hub is noticed, and the hub's own writes are not
/// taken for somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_another_process_moves_the_outside_version() {
    let (_folder, path) = folder();
    let store = open(&path);
    let first = store.outside_version().await.unwrap();
    for n in 0..50 {
        assert!(store.add_user(user(n), entry("")).await.unwrap());
    }
    // Long enough for the log to be moved meanwhile.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(store.add_user(user(50), entry("")).await.unwrap());
    assert_eq!(store.outside_version().await.unwrap(), first);
    let other = open(&path);
    assert!(other.add_user(user(51), entry("")).await.unwrap());
    assert_ne!(store.outside_version().await.unwrap(), first);
    assert!(store.find_user(&user(51).id).await.unwrap().is_some());
}

/// Design section 5: at most one write in ten seconds for each account, whatever the number.
#[tokio::test(flavor = "multi_thread")]
async fn failed_sign_ins_are_written_at_most_every_ten_seconds() {
    let (_folder, path) = folder();
    let store = Arc::new(open(&path));
    assert!(store.add_user(user(1), entry("")).await.unwrap());
    let failures = || -> i64 {
        Connection::open(&path)
            .unwrap()
            .query_row("SELECT failures FROM users", [], |row| row.get(0))
            .unwrap()
    };
    for (seconds, expected) in [(0, 1), (5, 1), (9, 1), (10, 2), (19, 2), (20, 3)] {
        let now = NOW.plus(Duration::from_secs(seconds));
        let tasks: Vec<_> = (0..30)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.note_failed_sign_in(&user(1).id, now).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(failures(), expected, "{seconds}");
    }
}

/// The writer's queue is bounded; what does not fit is told at once, and nothing else suffers.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_answered_as_busy_and_no_answer_lies() {
    let (_folder, path) = folder();
    let options = SqliteOptions {
        queue_max: 8,
        ..SqliteOptions::default()
    };
    let store = Arc::new(SqliteStore::open(&path, options).unwrap());
    let holder = hold_the_lock(&path, Duration::from_millis(500));
    let tasks: Vec<_> = (0..500)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.add_user(user(n), entry("")).await })
        })
        .collect();
    let (mut done, mut busy) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(true) => done += 1,
            Err(StoreError::Busy) => busy += 1,
            other => unreachable!("{other:?}"),
        }
    }
    holder.join().unwrap();
    assert!(busy > 0 && done > 0, "{busy} {done}");
    assert_eq!(store.count_users().await.unwrap(), done);
}

/// After `close` the file alone holds everything, and verbs are told that it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_leaves_one_whole_file() {
    let (_folder, path) = folder();
    let store = open(&path);
    let session = Session {
        hash: SessionHash::new([1; 32]),
        user: user(1).id,
        auth_time: NOW,
        expires_at: NOW.plus(Duration::from_secs(90)),
    };
    assert!(store.add_user(user(1), entry("")).await.unwrap());
    store.open_session(session.clone(), None).await.unwrap();
    store.close().await;
    assert!(store.ping().await.is_err());
    assert!(store.save_settings(0, "{}", entry("")).await.is_err());
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let store = open(&copy);
    store.ping().await.unwrap();
    let found = store.find_session(&session.hash, NOW).await.unwrap();
    assert!(found.is_some());
}
