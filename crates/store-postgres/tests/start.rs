//! Starting: several nodes at once, schemas of other releases, and what is wrong in plain words.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{net::TcpListener, time::Duration};

use vestibule_store::{Result, Store, StoreError};
use vestibule_store_postgres::{
    PostgresOptions, PostgresStore, PostgresUrl,
    throw_away::{self, Cluster, Setup},
};

async fn open(url: &str) -> Result<PostgresStore> {
    let options = PostgresOptions {
        connect: Duration::from_secs(10),
        ..PostgresOptions::default()
    };
    PostgresStore::open(&PostgresUrl::parse(url).unwrap(), options).await
}

async fn refusal(url: &str) -> String {
    match open(url).await {
        Ok(_) => unreachable!("{url} opens"),
        Err(failure) => {
            let shown = format!("{failure} {failure:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
            failure.to_string()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_at_once_make_one_schema() {
    let database = throw_away::shared().make("").await;
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let url = database.url().to_owned();
            tokio::spawn(async move { open(&url).await })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap().ping().await.unwrap();
    }
}

async fn change(database: &throw_away::Database, statement: &str) {
    open(database.url()).await.unwrap().close().await;
    database.run(statement).await;
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_not_touched() {
    let database = throw_away::shared().database().await;
    change(&database, "INSERT INTO migrations VALUES (999, 'x')").await;
    let refused = open(database.url()).await;
    assert!(matches!(
        refused,
        Err(StoreError::TooNew { found: 999, .. })
    ));
}

#[tokio::test]
async fn an_edited_migration_is_noticed() {
    let database = throw_away::shared().database().await;
    change(&database, "UPDATE migrations SET checksum = 'x'").await;
    let refused = open(database.url()).await;
    assert!(matches!(refused, Err(StoreError::Damaged { .. })));
}

/// Each mistake has a sentence that names what to change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_in_plain_words() {
    let setup = Setup {
        tcp: true,
        ..Setup::default()
    };
    let cluster = Cluster::start(&setup).unwrap();
    cluster
        .run(
            "postgres",
            "CREATE ROLE hub LOGIN PASSWORD 's3cret'; CREATE DATABASE hub OWNER hub; \
             CREATE DATABASE others; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             CREATE DATABASE odd OWNER hub ENCODING SQL_ASCII TEMPLATE template0",
        )
        .await;
    let at = |user: &str, password: &str, database: &str| {
        let port = cluster.port();
        format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}")
    };
    open(&at("hub", "s3cret", "hub")).await.unwrap();
    #[rustfmt::skip]
    let cases = [
        (at("hub", "s3cret2", "hub"),     "password"),
        (at("nobody", "s3cret", "hub"),   "password"),
        (at("hub", "s3cret", "missing"),  "there is no database `missing`; `createdb missing`"),
        (at("hub", "s3cret", "odd"),      "encoding SQL_ASCII; UTF8 is needed"),
        (at("hub", "s3cret", "others"),   "may not change the schema"),
    ];
    for (url, says) in cases {
        let said = refusal(&url).await;
        assert!(said.contains(says), "{said}");
    }
    // Where the schema is there, no right to make tables is needed.
    cluster
        .run(
            "hub",
            "CREATE ROLE small LOGIN PASSWORD 's3cret'; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO small; \
             REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        )
        .await;
    let store = open(&at("small", "s3cret", "hub")).await.unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn who_does_not_answer_is_named_and_not_waited_for() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let at = |port| format!("postgres://hub:s3cret@127.0.0.1:{port}/hub");
    let options = PostgresOptions {
        connect: Duration::from_millis(300),
        ..PostgresOptions::default()
    };
    let url = PostgresUrl::parse(&at(port)).unwrap();
    let Err(failure) = PostgresStore::open(&url, options).await else {
        unreachable!("nobody is there")
    };
    let said = failure.to_string();
    assert!(
        said.contains("hub@127.0.0.1") && said.contains("does not answer"),
        "{said}"
    );
    drop(silent);
    let said = refusal(&at(port)).await;
    assert!(said.contains("cannot be reached"), "{said}");
    let said = refusal("postgres://hub:s3cret@/hub?host=/no/such/folder").await;
    assert!(said.contains("cannot be reached"), "{said}");
}
