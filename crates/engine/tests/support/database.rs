//! Where a test hub keeps its data: a SQLite file, or, with `VESTIBULE_TEST_STORE=postgres`, a database
//! of its own on a throw-away cluster. The tests are the same.

use std::{path::PathBuf, sync::Arc};

use tempfile::TempDir;
use vestibule_store::Store;
use vestibule_store_postgres::throw_away;
use vestibule_store_sqlite::{SqliteOptions, SqliteStore};

/// The data of one hub, gone with this value.
pub enum TestDatabase {
    Postgres(throw_away::Database),
    Sqlite {
        folder: TempDir,
        store: Arc<SqliteStore>,
    },
}

impl TestDatabase {
    /// An empty one, of the kind that the environment names.
    pub async fn make() -> Self {
        match std::env::var("VESTIBULE_TEST_STORE").as_deref() {
            Ok("postgres") => Self::postgres().await,
            Ok("sqlite") | Err(_) => {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("hub.db");
                let store = SqliteStore::open(&file, SqliteOptions::default()).unwrap();
                let store = Arc::new(store);
                Self::Sqlite { folder, store }
            }
            Ok(other) => {
                unreachable!("VESTIBULE_TEST_STORE is `sqlite` or `postgres`, not `{other}`")
            }
        }
    }

    /// An empty one in PostgreSQL.
    pub async fn postgres() -> Self {
        Self::Postgres(throw_away::shared().database().await)
    }

    /// What a node opens: its own connections, where there are several.
    pub async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Postgres(database) => Arc::new(database.open().await),
            Self::Sqlite { store, .. } => store.clone(),
        }
    }

    /// Whatever has to be written fails from now on.
    pub async fn stop_writing(&self) {
        match self {
            Self::Postgres(database) => database.make_read_only().await,
            Self::Sqlite { store, .. } => store.close().await,
        }
    }

    /// Every byte that is on disk.
    pub async fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Postgres(database) => database.bytes().await,
            Self::Sqlite { folder, .. } => {
                let mut bytes = Vec::new();
                for entry in std::fs::read_dir(folder.path()).unwrap() {
                    bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
                }
                bytes
            }
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Postgres(_) => None,
            Self::Sqlite { folder, .. } => Some(folder.path().join("hub.db")),
        }
    }
}
