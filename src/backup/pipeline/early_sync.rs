//! Syncs a file in the background while it is still growing.
//!
//! # Promise
//!
//! If [`EarlySync::finish`] succeeds, nothing written before the last background sync was lost. It does not
//! replace the final sync, but leaves it little to do; without a thread, all of it.
//!
//! # How
//!
//! The kernel keeps written data in memory until a sync, and then everybody waits for the disk. So a thread
//! syncs now and then while pages are still being read. A failed write is reported to only one sync, so the
//! error is kept for the end.
//!
//! A sync cannot be cancelled, and may have gigabytes to write. So when the work is cancelled, the file is
//! truncated: then the disk has almost nothing left to do, and an interrupt is fast on a slow disk, too.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::backup::pipeline::threads;
use crate::error::Result;

/// Bytes between two syncs. Each costs a commit of the file system's journal; with a quarter as many, 1 GB
/// took a twelfth longer, since the disk starts later and has more left at the end.
const EVERY: u64 = 16 << 20;

pub struct EarlySync {
    file: Arc<File>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    unsynced: u64,
}

impl EarlySync {
    pub fn start(file: Arc<File>) -> Result<Self> {
        let (ask, asked) = sync_channel::<()>(1);
        let synced = Arc::clone(&file);
        let thread = threads::spawn("queuekeeper-sync", move || asked.iter().try_for_each(|()| synced.sync_data()))?;
        Ok(Self { file, ask: Some(ask), thread, unsynced: 0 })
    }

    /// Records `bytes` written and requests a sync every 16 MiB.
    pub fn record(&mut self, bytes: u64) {
        self.unsynced += bytes;
        if self.unsynced < EVERY {
            return;
        }
        self.unsynced = 0;
        if let Some(ask) = &self.ask {
            // Full: a sync is requested already. Disconnected: `finish` has the error.
            let _ = ask.try_send(());
        }
    }

    /// Waits for the requested syncs. Fails if any sync failed.
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

/// Truncates a file that is not needed any more, so that no sync of it takes long.
pub fn give_up(file: &File) {
    // Best effort: else the sync takes longer.
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
        sync.record(EVERY);
        sync.finish().unwrap();
        drop(sync);
        assert_eq!(file.metadata().unwrap().len(), 4096);
        let (mut sync, file) = early();
        sync.record(EVERY);
        drop(sync);
        assert_eq!(file.metadata().unwrap().len(), 0);
    }
}
