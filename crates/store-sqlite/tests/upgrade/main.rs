//! A database file of each schema that was ever released opens, and all of it reads back.
//!
//! `tests/data/schema-N.db` was written by the release that brought schema N, by the `fill`s as they
//! were then: [`first`] writes what schema 1 has, [`admission`] what schema 2 brought. A new schema
//! adds a file; none is ever made again. The test of this release leaves its file as
//! `this-schema.db` in cargo's folder for tests (`target/tmp`).

#![expect(clippy::unwrap_used, reason = "tests")]

mod admission;
mod first;

use std::path::Path;

use vestibule_store::{Store, StoreError};
use vestibule_store_sqlite::{SqliteOptions, SqliteStore};

/// The newest one.
const THIS_SCHEMA: u32 = 2;

/// All of a database that was filled when `schema` was new, then what was open.
async fn check_and_go_on(store: &dyn Store, schema: u32) {
    first::check(store, schema).await;
    let lists = if schema > 1 {
        first::check_trail(store, first::LINES + admission::LINES).await;
        first::LISTS
    } else {
        first::check_trail(store, first::LINES).await;
        admission::check_empty(store).await;
        // It takes what came later.
        admission::fill(store).await;
        0
    };
    admission::check(store, lists).await;
    first::go_on(store).await;
    admission::go_on(store).await;
}

/// A release never loses what an earlier one wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_each_earlier_schema_reads_back_and_goes_on() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for schema in 1..=THIS_SCHEMA {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("vestibule.db");
        std::fs::copy(data.join(format!("schema-{schema}.db")), &copy).unwrap();
        let store = SqliteStore::open(&copy, SqliteOptions::default()).unwrap();
        check_and_go_on(&store, schema).await;
        store.close().await;
    }
}

/// The same for what this release writes, so that the two can be told apart when one breaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_this_release_reads_back_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    first::fill(&store).await;
    admission::fill(&store).await;
    store.close().await;
    let left = Path::new(env!("CARGO_TARGET_TMPDIR")).join("this-schema.db");
    std::fs::copy(&path, left).unwrap();
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    check_and_go_on(&store, THIS_SCHEMA).await;
}

/// A file of a later release is refused before anything is touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_later_release_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    store.close().await;
    drop(store);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let later =
        "INSERT INTO migrations VALUES (99, 'later'); ALTER TABLE users ADD COLUMN new TEXT";
    connection.execute_batch(later).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteStore::open(&path, SqliteOptions::default()).err();
    assert!(
        matches!(refused, Some(StoreError::TooNew { found: 99, .. })),
        "{refused:?}"
    );
    assert!(std::fs::read(&path).unwrap() == before);
}
