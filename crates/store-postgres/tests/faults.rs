//! A database that is restarted, locked, slow or full of others, and callers who go away.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use vestibule_protocol::{
    audit::{Actor, Event},
    ids::UserId,
    time::Timestamp,
};
use vestibule_store::{
    AuditEntry, AuditLog as _, Result, SettingsStore as _, Store, StoreError, UserStore as _,
    VersionStore as _, users::User, versions::Document,
};
use vestibule_store_postgres::{
    PostgresOptions, PostgresStore, PostgresUrl,
    throw_away::{self, Cluster, Setup},
};

fn audit() -> AuditEntry {
    AuditEntry {
        at: Timestamp::from_seconds(1_800_000_000),
        event: Event::UserMade,
        actor: Actor::System,
        client: None,
        grant: None,
        source: None,
        detail: String::new(),
    }
}

fn user(n: usize) -> User {
    User {
        id: UserId::new(format!("u_{n}")),
        name: format!("user{n}"),
        display_name: None,
        email: None,
        admin: false,
        password_hash: "x".to_owned(),
        disabled: false,
        created_at: Timestamp::from_seconds(1_800_000_000),
    }
}

async fn open(url: &str, connections: usize) -> PostgresStore {
    let options = PostgresOptions {
        connections,
        wait: Duration::from_secs(1),
        ..PostgresOptions::default()
    };
    PostgresStore::open(&PostgresUrl::parse(url).unwrap(), options)
        .await
        .unwrap()
}

/// What the engine answers with 503 (threats P11).
fn is_unavailable<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(StoreError::Busy | StoreError::Failed(_)))
}

/// Under load: what was answered is there afterwards, the rest failed as unavailable, and nobody has
/// to do anything for it to work again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restarted_database_is_found_again() {
    let mut cluster = Cluster::start(&Setup {
        // Here what was answered must survive.
        lines: vec!["fsync = on\nsynchronous_commit = on".to_owned()],
        ..Setup::default()
    })
    .unwrap();
    let store = Arc::new(open(&cluster.url("postgres"), 4).await);
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut answered, mut failed, mut since_failure) = (Vec::new(), 0, 0);
            for n in 0.. {
                match store.add_user(user(n), audit()).await {
                    Ok(added) => {
                        assert!(added);
                        answered.push(n);
                        since_failure += 1;
                    }
                    outcome => {
                        assert!(is_unavailable(&outcome), "{outcome:?}");
                        (failed, since_failure) = (failed + 1, 0);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                if failed > 0 && since_failure > 50 {
                    break;
                }
            }
            answered
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.stop().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        cluster.launch().unwrap();
        cluster
    });
    let cluster = cluster.await.unwrap();
    let answered = writer.await.unwrap();
    store.ping().await.unwrap();
    for n in &answered {
        let found = store.find_user(&user(*n).id).await.unwrap();
        assert!(found.is_some(), "user {n} was answered and is gone");
    }
    // A user and a line of the trail, or neither.
    let users = store.count_users().await.unwrap();
    let lines = store.audit_rows(None, 1_000_000).await.unwrap().len();
    assert_eq!(usize::try_from(users).unwrap(), lines);
    drop(cluster);
}

/// Another session (a migration, a careless admin) holds the row: busy after a while, not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_lock_too_long_is_busy() {
    let database = throw_away::shared().database().await;
    let store = open(database.url(), 2).await;
    let held = database
        .hold("LOCK TABLE heads IN ACCESS EXCLUSIVE MODE")
        .await;
    let started = Instant::now();
    let saved = store.save_settings(0, "{}", audit()).await;
    assert!(matches!(saved, Err(StoreError::Busy)), "{saved:?}");
    assert!(started.elapsed() < Duration::from_secs(9));
    drop(held);
    assert_eq!(
        store.save_settings(0, "{}", audit()).await.unwrap(),
        Some(1)
    );
}

/// No connection is free: busy, and free again afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_connection_is_busy() {
    let database = throw_away::shared().database().await;
    let store = Arc::new(open(database.url(), 1).await);
    let held = database
        .hold("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        .await;
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.count_users().await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let refused = store.heads().await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    drop(held);
    assert_eq!(waiting.await.unwrap().unwrap(), 0);
    store.heads().await.unwrap();
}

/// A caller who goes away in the middle leaves no open transaction, no lock and no lost connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_leaves_nothing_behind() {
    let database = throw_away::shared().database().await;
    let store = Arc::new(open(database.url(), 1).await);
    for n in 0..20 {
        // The line of the trail cannot be written: the verb stops between its two changes.
        let held = database
            .hold("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
            .await;
        let cancelled = {
            let store = store.clone();
            tokio::spawn(async move { store.add_user(user(n), audit()).await })
        };
        tokio::time::sleep(Duration::from_millis(30)).await;
        cancelled.abort();
        drop(held);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while store.count_users().await.is_err() {
        assert!(Instant::now() < deadline, "the connection never came back");
    }
    // Whether a verb was done before its caller went is open; that it was half done is not.
    let users = store.count_users().await.unwrap();
    let lines = store.audit_rows(None, 100).await.unwrap().len();
    assert_eq!(usize::try_from(users).unwrap(), lines);
    assert!(store.add_user(user(99), audit()).await.unwrap());
}

/// A database that became read-only (a standby, a full disk's emergency switch) is not ready.
#[tokio::test]
async fn a_read_only_database_does_not_answer_the_ping() {
    let database = throw_away::shared().database().await;
    let url = format!(
        "{}&options=-c%20default_transaction_read_only=on",
        database.url()
    );
    let store = open(database.url(), 1).await;
    store.ping().await.unwrap();
    let store = open(&url, 1).await;
    assert!(is_unavailable(&store.ping().await));
}

/// Numbers that nodes follow have the order of commits: whoever sees a number has everything up to
/// it, however many write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_sees_a_number_sees_what_it_counts() {
    let database = throw_away::shared().database().await;
    let (one, two) = (
        Arc::new(open(database.url(), 8).await),
        Arc::new(open(database.url(), 4).await),
    );
    let writers: Vec<_> = (0..6)
        .map(|_| {
            let store = one.clone();
            tokio::spawn(async move {
                let mut saved = 0;
                while saved < 30 {
                    let seq = store.heads().await.unwrap().policy;
                    let text = (seq + 1).to_string();
                    let outcome = store.save_document(Document::Policy, seq, &text, audit());
                    saved += usize::from(outcome.await.unwrap().is_some());
                }
            })
        })
        .collect();
    let mut last = 0;
    while last < 180 {
        let seq = two.heads().await.unwrap().policy;
        assert!(seq >= last);
        last = seq;
        let document = two.load_document(Document::Policy).await.unwrap();
        assert!(document.seq >= seq);
        if document.seq > 0 {
            assert_eq!(document.text, document.seq.to_string());
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}
