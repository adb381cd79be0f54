//! The promises of the store, on PostgreSQL.

use std::sync::Arc;

use vestibule_store::{Store, store_conformance_suite};
use vestibule_store_postgres::throw_away::{self, Database};

async fn make_store() -> (Arc<dyn Store>, Database) {
    let database = throw_away::shared().database().await;
    (Arc::new(database.open().await), database)
}

store_conformance_suite!(make_store);
