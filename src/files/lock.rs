//! Locks between processes and threads, on files that exist for nothing else.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Directory, Likeness, LiveFiles, open_own};
use crate::error::{Error, Result};

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
    /// Takes a lock in a directory if nobody holds it. A lock file that is made belongs to whom `like` says.
    ///
    /// # Errors
    ///
    /// A lock file that cannot be made.
    pub fn take_if_free(
        directory: &Directory,
        path: &Path,
        live: &LiveFiles,
        like: Option<&Likeness>,
    ) -> Result<Option<Self>> {
        let file = open(directory, path, live, like)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", path, &error)),
        }
    }

    /// Notes in the lock file that it was taken now. What the file system refuses is nobody's harm.
    pub fn set_time(&self, path: &Path) {
        #[cfg(unix)]
        {
            use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
            // Of a file that belongs to somebody else, only both times can be set, and only to the present.
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            let _ = path;
            let _ = futimens(&self.file, &Timestamps { last_access: now, last_modification: now });
        }
        #[cfg(not(unix))]
        // The lock's own handle may be for reading, and the lock keeps nobody from the time.
        if let Ok(file) = std::fs::OpenOptions::new().write(true).open(path) {
            let _ = file.set_modified(std::time::SystemTime::now());
        }
    }

    /// Takes a lock in a directory, waiting for other holders up to `patience`, with a `pause` between two attempts.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` when the wait was in vain, what `pause` says, or a lock file that cannot be made.
    pub fn take(
        directory: &Directory,
        path: &Path,
        live: &LiveFiles,
        like: Option<&Likeness>,
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

fn open(directory: &Directory, path: &Path, live: &LiveFiles, like: Option<&Likeness>) -> Result<File> {
    // Somebody else may make it, or delete it, between the two.
    for _ in 0..16 {
        if let Some(file) = open_own(directory, path, live)? {
            return Ok(file);
        }
        match Likeness::make_lock(like, directory, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map_err(|error| Error::io("make the lock file", path, &error)),
        }
    }
    Err(Error::busy(format!("the lock file '{}' disappears as soon as it is made", path.display())))
}
