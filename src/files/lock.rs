//! Locks between processes and threads, on files made for that alone.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Directory, LiveFiles, Ownership, open_own};
use crate::error::{Error, Result};

/// An OS lock, held until dropped. The lock file stays: deleting it would let two holders in.
pub struct FileLock {
    file: File,
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing is not enough: a forked child shares the open file and would keep the lock.
        let _ = self.file.unlock();
    }
}

impl FileLock {
    /// Takes the lock if it is free. A new lock file gets the owner and bits of `like`.
    pub fn take_if_free(
        directory: &Directory,
        path: &Path,
        live: &LiveFiles,
        like: Option<&Ownership>,
    ) -> Result<Option<Self>> {
        let file = open(directory, path, live, like)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", path, &error)),
        }
    }

    /// Sets the lock file's modification time to now, if the file system allows it.
    pub fn set_time(&self, path: &Path) {
        #[cfg(unix)]
        {
            use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
            // On another user's file, only both times can be set, and only to the present.
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            let _ = path;
            let _ = futimens(&self.file, &Timestamps { last_access: now, last_modification: now });
        }
        #[cfg(not(unix))]
        // The lock's own handle may be read-only. The lock does not prevent setting times.
        if let Ok(file) = std::fs::OpenOptions::new().write(true).open(path) {
            let _ = file.set_modified(std::time::SystemTime::now());
        }
    }

    /// Takes the lock, calling `pause` between attempts. Fails with `SQLITE_BUSY` after `patience`.
    pub fn take(
        directory: &Directory,
        path: &Path,
        live: &LiveFiles,
        like: Option<&Ownership>,
        patience: Duration,
        pause: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Self> {
        let file = open(directory, path, live, like)?;
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
                Err(TryLockError::WouldBlock) => pause()?,
            }
        }
    }
}

fn open(directory: &Directory, path: &Path, live: &LiveFiles, like: Option<&Ownership>) -> Result<File> {
    // Others may create or delete the file between the two calls.
    for _ in 0..16 {
        if let Some(file) = open_own(directory, path, live)? {
            return Ok(file);
        }
        match Ownership::make_lock(like, directory, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map_err(|error| Error::io("make the lock file", path, &error)),
        }
    }
    Err(Error::busy(format!("the lock file '{}' disappears as soon as it is made", path.display())))
}
