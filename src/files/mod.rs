//! Everything that touches files, and everything that differs between platforms.
//!
//! # Promise
//!
//! - **Live databases are never opened here** (rule 2). On POSIX systems, closing any descriptor of a file drops all
//!   locks that the process holds on it, so each file that is to be opened, replaced or deleted is first compared
//!   with [`LiveFiles`]: every database attached to the caller and its `-wal`, `-shm` and `-journal`, by name and by
//!   device and inode, which also finds hard and symbolic links. Comparing takes `stat` only.
//! - **Nothing half-written is ever visible** (rule 4). A [`Staged`] file lives under a temporary name in its
//!   target's own directory; [`Staged::place`] makes it durable, gives it its name without ever replacing another
//!   file (unless told to), and makes that durable too.
//! - **What a crash leaves is swept**: temporary files that no living process has locked ([`sweep`]).
//!
//! # How
//!
//! Locks are `std`'s (`flock` on Unix, `LockFileEx` on Windows): they belong to the open file, so threads exclude each
//! other as processes do, and they do not interfere with SQLite's own (`fcntl`) locks. Temporary names, placing and
//! renaming are done in a [`Directory`] that is open.

mod aside;
mod directory;
mod found;
mod holders;
mod likeness;
mod live;
mod lock;
mod staged;
mod temporary;
mod text;
mod trust;
#[cfg(unix)]
mod way;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use aside::SetAside;
pub use directory::Directory;
pub use found::Found;
pub use holders::holder;
pub use likeness::Likeness;
pub use live::{COMPANIONS, Identity, LiveFiles, identity, open_in_this_process, open_own, same_file, same_name};
pub use lock::DirectoryLock;
pub use staged::{Placed, Staged, abandoned, sweep};
pub use temporary::{can_be_written, may_share_space, sqlite_directory};
pub use text::{paths_of_text, text_of};
pub use trust::{
    Heir, Users, heir, leaders, others_rename, refusal as refusal_of_stranger, refuse_led, refuse_to_pass, stranger,
    swapped,
};

use crate::bounds;
use crate::error::{Error, Result};
use crate::memory;

/// `path` with something behind its name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// A second handle to an open file; errors speak of `path`.
pub fn duplicate(file: &File, path: &Path) -> Result<File> {
    file.try_clone().map_err(|error| Error::io("duplicate the handle of", path, &error))
}

/// The directory of a file, `.` for a bare name.
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Bytes that this process may still write on the file system of `path`.
pub fn free_space(path: &Path) -> Result<u64> {
    fs4::available_space(path).map_err(|error| Error::io("ask for the free space at", path, &error))
}

/// What of it may be taken by a file of whose size nobody but itself says anything: all but a [margin](bounds::margin).
pub fn spare_space(path: &Path) -> Result<u64> {
    Ok(free_space(path)?.saturating_sub(margin_of(path)?))
}

/// The margin of the file system of `path`.
pub fn margin_of(path: &Path) -> Result<u64> {
    let total = fs4::total_space(path).map_err(|error| Error::io("ask for the size of the disk at", path, &error))?;
    Ok(bounds::margin(total))
}

/// Refuses a work (`what`) that needs more bytes than are free in `directory`.
///
/// # Errors
///
/// `SQLITE_FULL` with both numbers and the advice, or what the operating system says.
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

/// Whether there is something of this name; a link counts for what it leads to.
///
/// # Errors
///
/// When that cannot be said: what the disk does not tell is not absent.
pub fn exists(path: &Path) -> Result<bool> {
    Ok(found(path)?.is_some())
}

/// Whether there is a directory of this name, or a link to one.
pub fn is_directory(path: &Path) -> Result<bool> {
    Ok(found(path)?.is_some_and(|found| found.is_dir()))
}

fn found(path: &Path) -> Result<Option<fs::Metadata>> {
    told(path, fs::metadata(path))
}

/// What has this name, if anything; a link is what it is, whatever it leads to.
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

/// The length of a file that may be live (by `stat`), 0 if there is none.
///
/// # Errors
///
/// When that cannot be said: what the disk does not tell is not empty.
pub fn length(path: &Path) -> Result<u64> {
    Ok(found(path)?.map_or(0, |found| found.len()))
}

/// Directories that were made for a work and go again if it fails.
#[derive(Default)]
pub struct MadeDirectories {
    /// Each in the one around it.
    made: Vec<(Directory, PathBuf)>,
}

impl MadeDirectories {
    /// Makes `directory` and what is missing above it, for the owner of a database, if there is one.
    pub fn make(directory: &Path, like: Option<&Likeness>) -> Result<Self> {
        let failed = |path: &Path, error: io::Error| Error::io("create the directory", path, &error);
        let mut missing = Vec::new();
        let mut place = directory;
        let mut around = loop {
            match Directory::at(place) {
                Ok(found) => break found,
                // Thousands of directories would be made before that shows.
                Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Err(failed(directory, error)),
                // What lies below something else than a directory cannot be made.
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
            around = match Likeness::make_directory(like, &around, &path) {
                Ok(below) => {
                    made.made.push((around.clone(), path));
                    around.sync()?;
                    below
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    around.below(&path).map_err(|_| failed(&path, error))?
                }
                Err(error) => return Err(failed(&path, error)),
            };
        }
        Ok(made)
    }

    /// Keeps them: the work has succeeded.
    pub fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        for (around, path) in self.made.iter().rev() {
            // Only an empty directory goes; somebody may have put something there.
            let _ = around.remove_below(path);
        }
    }
}
