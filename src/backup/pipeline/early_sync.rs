//! Writing to disk early: while a file is still growing.
//!
//! # Promise
//!
//! After [`EarlySync::finish`] without an error, nothing was lost of what had been written before the last time that the disk
//! was busy with it. It does not replace the sync at the end, but leaves it little to do; where the system gives no thread, it leaves it
//! everything.
//!
//! # How
//!
//! The kernel keeps what is written in memory until somebody asks for it to be durable, and then everybody waits for the disk. So
//! another thread asks every now and then, while pages are still being read. A failed write is reported to one sync only, so the
//! error is kept for the end.
//!
//! A sync cannot be called off, and may have gigabytes to write. So when the work is given up, the file is emptied: then the disk has
//! next to nothing left to do, and an interrupt ends the work at once on a slow disk too.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::backup::pipeline::threads;
use crate::error::Result;

/// Bytes between two syncs. Each costs the file system a commit of its journal; with a quarter as many, 1 GB took a
/// twelfth longer, since the disk begins later and has more left at the end.
const EVERY: u64 = 16 << 20;

/// The thread that syncs.
pub struct EarlySync {
    file: Arc<File>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    unsynced: u64,
}

impl EarlySync {
    /// For this file.
    pub fn start(file: Arc<File>) -> Result<Self> {
        let (ask, asked) = sync_channel::<()>(1);
        let synced = Arc::clone(&file);
        let thread = threads::spawn("queuekeeper-sync", move || asked.iter().try_for_each(|()| synced.sync_data()))?;
        Ok(Self { file, ask: Some(ask), thread, unsynced: 0 })
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
        if self.thread.is_some() {
            give_up(&self.file);
            let _ = self.finish();
        }
    }
}

/// Empties a file that nobody is going to need, so that no sync of it takes long.
pub fn give_up(file: &File) {
    // Where that cannot be done, the sync takes its time.
    let _ = file.set_len(0);
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn early() -> (EarlySync, Arc<File>) {
        let file = Arc::new(tempfile::tempfile().unwrap());
        (&*file).write_all(&[1; 4096]).unwrap();
        (EarlySync::start(Arc::clone(&file)).unwrap(), file)
    }

    #[test]
    fn a_file_that_was_finished_keeps_its_content_and_one_that_was_given_up_is_emptied() {
        let (mut sync, file) = early();
        sync.wrote(EVERY);
        sync.finish().unwrap();
        drop(sync);
        assert_eq!(file.metadata().unwrap().len(), 4096);
        let (mut sync, file) = early();
        sync.wrote(EVERY);
        drop(sync);
        assert_eq!(file.metadata().unwrap().len(), 0);
    }
}
