//! Moving the write-ahead log into the file, beside the writer and not inside its commits
//! (`design-details.md`, D.16): the automatic checkpoint would make one verb in a thousand wait.
//!
//! A thread with a connection of its own moves pages when nobody has written for a while, and each
//! time the log has grown by [`GROWTH`]. Under a load that never pauses it can move all but the
//! newest pages, and the log starts over only when all of them were moved; so beyond [`LONG`] the
//! writer waits for the thread and takes the few that are left itself, between two commits.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;
use vestibule_store::{Result, StoreError};

use crate::rows;

/// Pages after which the log is moved: 4 MB.
const GROWTH: i32 = 1_024;
/// Pages after which the writer helps: 32 MB.
const LONG: i32 = 8_192;

/// The thread, and what the writer knows of the log.
pub(crate) struct Checkpoints {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    /// Held while pages are moved: `PASSIVE` gives up when somebody else is at it.
    moving: Arc<Mutex<()>>,
    /// Length of the log in pages after the last commit.
    pages: Arc<AtomicI32>,
    /// Its length when the thread was woken.
    woken_at: i32,
    dirty: bool,
}

impl Checkpoints {
    /// Listen to the writer's commits, and start the thread.
    pub(crate) fn start(writer: &mut Connection, mover: Connection) -> Result<Self> {
        let pages = Arc::new(AtomicI32::new(0));
        let heard = pages.clone();
        writer
            .wal_hook(Some(move |_: &mut _, now| {
                heard.store(now, Ordering::Relaxed);
                Ok(())
            }))
            .map_err(rows::failed)?;
        let (wake, woken) = sync_channel(1);
        let moving = Arc::new(Mutex::new(()));
        let at_work = moving.clone();
        let thread = std::thread::Builder::new()
            .name("sqlite-checkpoint".to_owned())
            .spawn(move || {
                while woken.recv().is_ok() {
                    let _turn = at_work.lock().unwrap_or_else(PoisonError::into_inner);
                    checkpoint(&mover, "PASSIVE");
                }
            })
            .map_err(|failure| StoreError::Failed(failure.to_string()))?;
        Ok(Self {
            wake,
            thread,
            moving,
            pages,
            woken_at: 0,
            dirty: false,
        })
    }

    /// After each commit.
    pub(crate) fn after_commit(&mut self, writer: &Connection) {
        self.dirty = true;
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.woken_at {
            // The log has started over.
            self.woken_at = 0;
        }
        if pages - self.woken_at < GROWTH {
            return;
        }
        self.woken_at = pages;
        if pages > LONG {
            let _turn = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
            checkpoint(writer, "PASSIVE");
        } else {
            // When it is at work already it comes again by the growth that follows.
            let _ = self.wake.try_send(());
        }
    }

    /// When nobody has come for a while.
    pub(crate) fn when_idle(&mut self) {
        if std::mem::take(&mut self.dirty) {
            let _ = self.wake.try_send(());
        }
    }

    /// End the thread and leave an empty log.
    pub(crate) fn finish(self, writer: &Connection) {
        drop(self.wake);
        // It cannot panic, and if it did the log is moved by whoever opens the file next.
        let _ = self.thread.join();
        checkpoint(writer, "TRUNCATE");
    }
}

fn checkpoint(connection: &Connection, mode: &str) {
    let statement = format!("PRAGMA wal_checkpoint({mode})");
    if let Err(failure) = connection.query_row(&statement, [], |_| Ok(())) {
        tracing::warn!(%failure, "the write-ahead log could not be moved");
    }
}
