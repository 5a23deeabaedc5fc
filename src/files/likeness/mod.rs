//! Whose the files are that are made for a database, and who may read and write them.
//!
//! # Promise
//!
//! - A file gets the permission bits of its database (read and write alone, never set-user-ID or the like), a directory those and
//!   the right to enter where there is one to read.
//! - **Root gives what it makes to the database's owner**, as SQLite does with `-wal`: else a backup by root leaves a catalog that
//!   the owner's own jobs cannot change. A directory decides: only to whom may write there anyway does a file go, so that
//!   backups which root keeps in a directory of its own stay root's. In a directory with the sticky bit that is its owner alone.
//! - A lock or a directory is closed to others only where it does belong to the owner; else it stays as the umask had it, and
//!   nobody is locked out who may use the database.
//! - Only what this process has just made is given away, by its descriptor, and no link is followed. That a file system knows no
//!   owners is no error: the file stays root's there.
//!
//! # How
//!
//! A process that is not root gives nothing away. In a directory with the set-group-ID bit the group is the directory's, as it
//! would be if the owner had made the file. A directory is made for its maker alone, in one that is open, and what is opened there by its
//! name must be its maker's, empty and as young, so that none that somebody put in its place is given away.

#[cfg(unix)]
mod unix;

use std::fs::Metadata;
#[cfg(not(unix))]
use std::fs::{self, File};
#[cfg(not(unix))]
use std::io;
use std::path::Path;

use super::{Directory, Found};

/// What files that are made for a database have in common with it.
#[derive(Debug, Clone)]
pub struct Likeness {
    #[cfg(unix)]
    mode: u32,
    #[cfg(unix)]
    owner: u32,
    #[cfg(unix)]
    group: u32,
    /// The owner gets the file whatever directory it lies in.
    #[cfg(unix)]
    anywhere: bool,
    #[cfg(not(unix))]
    permissions: fs::Permissions,
}

/// The permission bits that a file may have: more would make a program of it, or let it run as another user.
#[cfg(unix)]
const READ_AND_WRITE: u32 = 0o666;

impl Likeness {
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

    /// That of the database at `path`, which is only looked at.
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

    /// That of a file which is about to be replaced, or which another one belongs beside: whose it is in that directory may have it.
    pub fn of_replaced(directory: &Directory, path: &Path) -> Option<Self> {
        let found = directory.look(path).ok().flatten().filter(Found::is_file)?;
        #[cfg(unix)]
        return Some(Self { anywhere: true, ..Self::of_found(&found) });
        #[cfg(not(unix))]
        Some(Self::of_found(&found))
    }

    /// The same for a database that is restored without one to go by. Not every file system knows permissions, and shows all for none.
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
impl Likeness {
    pub(super) fn give(&self, file: &File, _directory: &Directory) -> io::Result<()> {
        file.set_permissions(self.permissions.clone())
    }

    /// Makes a lock file, where there is nothing of that name.
    pub(super) fn make_lock(_like: Option<&Self>, directory: &Directory, path: &Path) -> io::Result<File> {
        directory.make(path)
    }

    /// Makes a directory in one that is there.
    pub(super) fn make_directory(_like: Option<&Self>, around: &Directory, path: &Path) -> io::Result<Directory> {
        around.make_below(path)
    }
}
