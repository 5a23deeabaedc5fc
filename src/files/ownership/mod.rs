//! Owner and permissions of the files that are made for a database.
//!
//! # Promise
//!
//! - A file gets the database's read and write bits, never set-user-ID or execute bits. A directory also gets
//!   the execute bit wherever it is readable.
//! - **Root gives its files to the database's owner**, as SQLite does with `-wal`; else a backup by root
//!   would leave a catalog that the owner's jobs cannot change. It does so only in a directory where the
//!   owner may write, so backups that root keeps in a directory of its own stay root's. In a directory with
//!   the sticky bit only the directory's owner qualifies.
//! - A lock file or directory is closed to others only if it belongs to the database's owner. Else it keeps
//!   the umask's bits, so nobody who may use the database is locked out.
//! - Only what this process has just made is given away, by descriptor; links are not followed. On a file
//!   system without owners the file stays root's, without an error.
//!
//! # How
//!
//! Only root changes owners. In a set-group-ID directory the group is the directory's, as if the owner had
//! made the file. A new directory is made with mode 0700 in an open directory. What is then opened by its
//! name must belong to this user, be empty and be just as young, so a directory that somebody put in its
//! place is not given away.

#[cfg(unix)]
mod unix;

use std::fs::Metadata;
#[cfg(not(unix))]
use std::fs::{self, File};
#[cfg(not(unix))]
use std::io;
use std::path::Path;

use super::{Directory, Found};

/// The owner and permissions to copy.
#[derive(Debug, Clone)]
pub struct Ownership {
    #[cfg(unix)]
    mode: u32,
    #[cfg(unix)]
    owner: u32,
    #[cfg(unix)]
    group: u32,
    /// Give the file to the owner in any directory.
    #[cfg(unix)]
    anywhere: bool,
    #[cfg(not(unix))]
    permissions: fs::Permissions,
}

/// The bits that a file may get: no execute, no set-user-ID.
#[cfg(unix)]
const READ_AND_WRITE: u32 = 0o666;

impl Ownership {
    fn of_metadata(found: &Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Self { mode: found.mode() & READ_AND_WRITE, owner: found.uid(), group: found.gid(), anywhere: false }
        }
        #[cfg(not(unix))]
        {
            Self { permissions: found.permissions() }
        }
    }

    /// Of the database at `path`, by `stat` alone.
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of_metadata)
    }

    fn of_found(found: &Found) -> Self {
        #[cfg(unix)]
        return Self {
            mode: found.mode() & READ_AND_WRITE,
            owner: found.0.st_uid,
            group: found.0.st_gid,
            anywhere: false,
        };
        #[cfg(not(unix))]
        Self::of_metadata(&found.0)
    }

    /// Of a file that is to be replaced or gets a companion: its owner may have the new one in any directory.
    pub fn of_replaced(directory: &Directory, path: &Path) -> Option<Self> {
        let found = directory.metadata_of(path).ok().flatten().filter(Found::is_file)?;
        #[cfg(unix)]
        return Some(Self { anywhere: true, ..Self::of_found(&found) });
        #[cfg(not(unix))]
        Some(Self::of_found(&found))
    }

    /// For a database that is restored where there was none. Never writable by all: file systems without
    /// permissions show every bit set.
    pub fn of_backup(found: &Found) -> Self {
        let like = Self::of_found(found);
        #[cfg(unix)]
        return Self { mode: like.mode & !0o002, ..like };
        #[cfg(not(unix))]
        like
    }

    /// For a file that all who may write a directory share.
    pub fn of_writers(directory: &Directory) -> Option<Self> {
        #[cfg(unix)]
        {
            let like = Self::of_metadata(&directory.metadata().ok()?);
            let writable = like.mode & 0o222;
            Some(Self { mode: writable | writable << 1, ..like })
        }
        #[cfg(not(unix))]
        {
            let _ = directory;
            None
        }
    }
}

#[cfg(not(unix))]
impl Ownership {
    pub(super) fn give(&self, file: &File, _directory: &Directory) -> io::Result<()> {
        file.set_permissions(self.permissions.clone())
    }

    /// Creates a lock file; fails if the name exists.
    pub(super) fn make_lock(_like: Option<&Self>, directory: &Directory, path: &Path) -> io::Result<File> {
        directory.make(path)
    }

    pub(super) fn make_directory(_like: Option<&Self>, around: &Directory, path: &Path) -> io::Result<Directory> {
        around.make_below(path)
    }
}
