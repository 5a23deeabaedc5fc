//! Writing to disk early: while a file is still growing.
//!
//! # Promise
//!
//! After [`EarlySync::finish`] without an error, nothing was lost of what had been written before the last time that the disk
//! was busy with it. It does not replace the sync at the end, but leaves it little to do.
//!
//! # How
//!
//! The kernel keeps what is written in memory until somebody asks for it to be durable, and then everybody waits for the disk. So
//! another thread asks every now and then, while pages are still being read. A failed write is reported to one sync only, so the
//! error is kept for the end.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::belt;
use crate::error::Result;

/// Bytes between two syncs. Each costs the file system a commit of its journal.
const EVERY: u64 = 64 << 20;

/// The thread that syncs.
pub struct EarlySync {
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    unsynced: u64,
}

impl EarlySync {
    /// For this file, a handle of which it keeps.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(file: File) -> Result<Self> {
        let (ask, asked) = sync_channel::<()>(1);
        let thread = belt::spawn("queuekeeper-sync", move || asked.iter().try_for_each(|()| file.sync_data()))?;
        Ok(Self { ask: Some(ask), thread: Some(thread), unsynced: 0 })
    }

    /// Hears that so much more was written.
    pub fn wrote(&mut self, bytes: u64) {
        self.unsynced += bytes;
        if self.unsynced < EVERY {
            return;
        }
        self.unsynced = 0;
        if let Some(ask) = &self.ask {
            // When it is still busy, it has been asked already; when it is gone, `finish` says why.
            let _ = ask.try_send(());
        }
    }

    /// Waits until the disk has done what it was asked for.
    ///
    /// # Errors
    ///
    /// What the disk said at any time.
    pub fn finish(&mut self) -> io::Result<()> {
        self.ask = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(synced)) => synced,
            Some(Err(_)) => Err(io::Error::other("the thread that syncs the backup panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for EarlySync {
    fn drop(&mut self) {
        // The work was given up.
        let _ = self.finish();
    }
}
