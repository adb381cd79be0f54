//! Read-only connections. A point read takes microseconds, so it runs where it is asked for,
//! without a hop to another thread; a reader never waits for the writer (WAL).

use std::{
    path::Path,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use vestibule_store::{Result, StoreError};

use crate::{
    open::{SqliteOptions, keep_plans},
    rows,
};

/// Longest wait for a connection. All being away for so long means that something is wrong, and
/// the caller's thread has other work.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A few connections, each lent for one read.
pub(crate) struct Readers {
    free: Mutex<Vec<Connection>>,
    returned: Condvar,
}

/// Brings a connection back, also from a read that panics.
struct Lent<'a> {
    pool: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut free = self
            .pool
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        free.extend(self.connection.take());
        drop(free);
        self.pool.returned.notify_one();
    }
}

impl Readers {
    pub(crate) fn open(path: &Path, options: &SqliteOptions) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(options.busy_timeout)?;
            connection.set_prepared_statement_cache_capacity(64);
            keep_plans(&connection)?;
            connection.pragma_update(None, "query_only", "ON")?;
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            Ok(connection)
        };
        let connections = (0..options.readers.max(1))
            .map(|_| open())
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(rows::failed)?;
        Ok(Self {
            free: Mutex::new(connections),
            returned: Condvar::new(),
        })
    }

    /// Run one read on a connection that is free, or becomes so soon.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut free, _) = self
            .returned
            .wait_timeout_while(free, WAIT_MAX, |free| free.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let lent = Lent {
            pool: self,
            connection: free.pop(),
        };
        drop(free);
        let connection = lent.connection.as_ref().ok_or(StoreError::Busy)?;
        read(connection).map_err(rows::failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn readers(folder: &Path) -> Readers {
        let path = folder.join("r.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (n)").unwrap();
        let options = SqliteOptions {
            readers: 1,
            ..SqliteOptions::default()
        };
        Readers::open(&path, &options).unwrap()
    }

    #[test]
    fn a_read_that_panics_gives_its_connection_back() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(folder.path());
        std::thread::scope(|scope| {
            let defect =
                scope.spawn(|| readers.read(|_| -> rusqlite::Result<()> { panic!("defect") }));
            assert!(defect.join().is_err());
        });
        let count: i64 = readers
            .read(|c| c.query_row("SELECT count(*) FROM t", [], |row| row.get(0)))
            .unwrap();
        assert_eq!(count, 0);
    }

    #[test]
    fn a_reader_waits_for_its_turn_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(folder.path());
        for (held_for, is_busy) in [(Duration::from_millis(100), false), (WAIT_MAX * 2, true)] {
            let (holding, held) = channel();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    readers.read(|_| {
                        holding.send(()).unwrap();
                        std::thread::sleep(held_for);
                        Ok(())
                    })
                });
                held.recv().unwrap();
                let second = readers.read(|_| Ok(()));
                assert_eq!(matches!(second, Err(StoreError::Busy)), is_busy);
            });
        }
    }

    #[test]
    fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let written = readers(folder.path()).read(|c| c.execute("INSERT INTO t VALUES (1)", []));
        assert!(written.is_err());
    }
}
