//! Directories, locks, temporary names, owners of files, and how file systems differ between platforms.
//!
//! # Promise
//!
//! - **Live databases are never opened here.** On POSIX systems, closing any descriptor of a file
//!   drops all of the process's locks on it. So each file is compared with [`LiveFiles`] before it is opened,
//!   replaced or deleted: every attached database and its `-wal`, `-shm` and `-journal`, by name and by
//!   device and inode, which also catches links. Comparing takes `stat` only.
//! - **Nothing half-written is ever visible.** A [`Staged`] file has a temporary name in its
//!   target's directory. The caller syncs it ([`Staged::sync`]). [`Staged::place`] renames it without
//!   replacing another file (unless told to), and syncs the directory.
//! - **What a crash leaves is swept**: temporary files that no living process has locked ([`sweep`]).
//!
//! # How
//!
//! Locks are `std`'s (`flock` on Unix, `LockFileEx` on Windows). They belong to the open file, so threads
//! exclude each other as processes do, and they do not interfere with SQLite's `fcntl` locks. Temporary files
//! are created and renamed in an open [`Directory`].

mod aside;
mod directory;
mod holders;
mod live;
mod lock;
mod metadata;
mod ownership;
mod staged;
mod temporary;
mod text;
mod trust;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use aside::SetAside;
pub use directory::Directory;
pub use holders::holder;
pub use live::{COMPANIONS, Identity, LiveFiles, identity, open_in_this_process, open_own, same_file, same_name};
pub use lock::FileLock;
pub use metadata::Found;
pub use ownership::Ownership;
pub use staged::{Placed, Staged, abandoned, sweep};
pub use temporary::{can_be_written, may_share_space, sqlite_directory};
pub use text::{paths_of_text, text_of};
pub use trust::{
    Heir, Users, heir, leaders, others_rename, refusal as refusal_of_stranger, refuse_redirected, refuse_to_pass,
    stranger, swapped,
};

use crate::bounds;
use crate::error::{Error, Result};
use crate::memory;

/// Appends to the file name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Duplicates a handle; errors name `path`.
pub fn duplicate(file: &File, path: &Path) -> Result<File> {
    file.try_clone().map_err(|error| Error::io("duplicate the handle of", path, &error))
}

/// The directory of a file; `.` for a bare name.
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Bytes that this process may still write to the file system of `path`.
pub fn free_space(path: &Path) -> Result<u64> {
    fs4::available_space(path).map_err(|error| Error::io("ask for the free space at", path, &error))
}

/// The free space less a [margin](bounds::margin), for files that declare their own size.
pub fn spare_space(path: &Path) -> Result<u64> {
    Ok(free_space(path)?.saturating_sub(margin_of(path)?))
}

pub fn margin_of(path: &Path) -> Result<u64> {
    let total = fs4::total_space(path).map_err(|error| Error::io("ask for the size of the disk at", path, &error))?;
    Ok(bounds::margin(total))
}

/// Fails with `SQLITE_FULL` if `what` needs more bytes than are free in `directory`.
pub fn require_space(directory: &Path, needed: u64, what: &str, advice: &str) -> Result<()> {
    let free = free_space(directory)?;
    if free >= needed {
        return Ok(());
    }
    Err(Error::new(
        rusqlite::ffi::SQLITE_FULL,
        format!("the {what} needs {needed} bytes, but '{}' has {free} left; {advice}", directory.display()),
    ))
}

/// Whether the name exists; links are followed. An I/O error is never reported as absence.
pub fn exists(path: &Path) -> Result<bool> {
    Ok(found(path)?.is_some())
}

/// Whether the name is a directory; links are followed.
pub fn is_directory(path: &Path) -> Result<bool> {
    Ok(found(path)?.is_some_and(|found| found.is_dir()))
}

fn found(path: &Path) -> Result<Option<fs::Metadata>> {
    told(path, fs::metadata(path))
}

/// Metadata of a name, if it exists; links are not followed.
pub fn look(path: &Path) -> Result<Option<fs::Metadata>> {
    told(path, fs::symlink_metadata(path))
}

fn told(path: &Path, found: io::Result<fs::Metadata>) -> Result<Option<fs::Metadata>> {
    memory::check()?;
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io("look at", path, &error)),
    }
}

/// The length by `stat`, so of live files too; 0 if absent. An I/O error is never reported as 0.
pub fn length(path: &Path) -> Result<u64> {
    Ok(found(path)?.map_or(0, |found| found.len()))
}

/// Directories made for an operation, removed again unless it succeeds.
#[derive(Default)]
pub struct MadeDirectories {
    /// Each with its parent.
    made: Vec<(Directory, PathBuf)>,
}

impl MadeDirectories {
    /// Creates `directory` and its missing parents, for the owner of a database if there is one.
    pub fn make(directory: &Path, like: Option<&Ownership>) -> Result<Self> {
        let failed = |path: &Path, error: io::Error| Error::io("create the directory", path, &error);
        let mut missing = Vec::new();
        let mut place = directory;
        let mut around = loop {
            match Directory::open_path(place) {
                Ok(found) => break found,
                // Fail before thousands of directories are made.
                Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Err(failed(directory, error)),
                // Nothing can be made below a file.
                Err(error) if error.kind() == io::ErrorKind::NotADirectory && !missing.is_empty() => {
                    return Err(failed(directory, error));
                }
                Err(error) if place == parent_of(place) => return Err(failed(directory, error)),
                Err(_) => missing.push(place.to_path_buf()),
            }
            place = parent_of(place);
        };
        let mut made = Self::default();
        for path in missing.into_iter().rev() {
            around = match Ownership::make_directory(like, &around, &path) {
                Ok(below) => {
                    made.made.push((around.clone(), path));
                    around.sync()?;
                    below
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    around.open_subdirectory(&path).map_err(|_| failed(&path, error))?
                }
                Err(error) => return Err(failed(&path, error)),
            };
        }
        Ok(made)
    }

    /// Keeps them, after success.
    pub fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        for (around, path) in self.made.iter().rev() {
            // Removes only empty directories: somebody may have added files.
            let _ = around.remove_below(path);
        }
    }
}
