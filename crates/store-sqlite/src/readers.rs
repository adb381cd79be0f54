//! Read-only connections. A point read takes microseconds, so it runs where it is asked for,
//! without a hop to another thread; a reader never waits for the writer (WAL).

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use rusqlite::{Connection, OpenFlags};
use vestibule_store::Result;

use crate::{open::SqliteOptions, rows};

/// A few connections behind locks that are held for one read.
pub(crate) struct Readers {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    pub(crate) fn open(path: &Path, options: &SqliteOptions) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(options.busy_timeout)?;
            connection.set_prepared_statement_cache_capacity(64);
            connection.pragma_update(None, "query_only", "ON")?;
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            Ok(Mutex::new(connection))
        };
        let connections = (0..options.readers.max(1))
            .map(|_| open())
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(rows::failed)?;
        Ok(Self {
            connections,
            next: AtomicUsize::new(0),
        })
    }

    /// Run one read on a connection that is free, or on the next in turn.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let free = self
            .connections
            .iter()
            .find_map(|connection| connection.try_lock().ok());
        let connection = match free {
            Some(connection) => connection,
            None => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
                let Some(connection) = self.connections.get(turn) else {
                    return Err(vestibule_store::StoreError::Busy);
                };
                connection.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        read(&connection).map_err(rows::failed)
    }
}
