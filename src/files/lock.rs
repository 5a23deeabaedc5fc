//! Locks between processes and threads, on files that exist for nothing else.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::live::no_follow;
use super::{LiveFiles, open_own};
use crate::connection::RETRY;
use crate::error::{Error, Result};
use crate::progress::Watch;

/// An OS lock on a lock file, held until dropped. The file stays: deleting it would let two holders in.
pub struct DirectoryLock {
    file: File,
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing would not do: a process that was forked meanwhile has the same open file, and would go on holding the lock.
        let _ = self.file.unlock();
    }
}

impl DirectoryLock {
    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    ///
    /// A lock file that cannot be made.
    pub fn take_if_free(path: &Path, live: &LiveFiles) -> Result<Option<Self>> {
        let file = open(path, live)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", path, &error)),
        }
    }

    /// Takes the lock, waiting for other holders up to `patience`.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` when the wait was in vain, `SQLITE_INTERRUPT`, or a lock file that cannot be made.
    pub fn take(path: &Path, live: &LiveFiles, patience: Duration, watch: &mut Watch<'_>) -> Result<Self> {
        let file = open(path, live)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", path, &error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(Error::busy(format!(
                        "another process works on the backup catalog (it holds '{}'); try again later",
                        path.display()
                    )));
                }
                Err(TryLockError::WouldBlock) => watch.pause(RETRY)?,
            }
        }
    }
}

fn open(path: &Path, live: &LiveFiles) -> Result<File> {
    match open_own(path, live)? {
        Some(file) => Ok(file),
        None => no_follow(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(path)
            .map_err(|error| Error::io("make the lock file", path, &error)),
    }
}
