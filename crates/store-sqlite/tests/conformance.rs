//! The promises of the store, on SQLite.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use tempfile::TempDir;
use vestibule_store::{Store, store_conformance_suite};
use vestibule_store_sqlite::{SqliteOptions, SqliteStore};

async fn make_store() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    (Arc::new(store), folder)
}

store_conformance_suite!(make_store);
