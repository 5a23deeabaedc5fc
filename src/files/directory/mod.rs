//! An open directory.
//!
//! # Promise
//!
//! All operations act in the directory that was opened, even if somebody moves it and puts a link to another
//! one in its place. Of each path only the last component is used, and it is never followed as a link.
//! [`rename_new`](Directory::rename_new) never replaces a name.
//!
//! # How
//!
//! By descriptor where the system has such calls, else by path. Renames use `RENAME_NOREPLACE` (Linux) or
//! `RENAME_EXCL` (macOS); without either, a hard link followed by the removal of the old name; without hard
//! links, a lookup before the rename.

#[cfg(not(unix))]
mod by_path;
#[cfg(unix)]
mod unix;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::Arc;

use super::{Found, trust};
use crate::error::{Error, Result};
use crate::memory;

#[derive(Clone)]
pub struct Directory {
    #[cfg(unix)]
    descriptor: Arc<File>,
    /// Whether it is readable, which `fsync` requires.
    #[cfg(unix)]
    is_readable: bool,
    path: PathBuf,
}

impl Directory {
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_path(path).map_err(|error| Error::io("open the directory", path, &error))
    }

    /// Opens it; `None` if it does not exist.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        memory::check()?;
        match Self::open_path(path) {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(Error::io("open the directory", path, &error)),
        }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The current path, with links resolved, if known.
    pub(super) fn real_path(&self) -> Option<PathBuf> {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            let own = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
            if let Ok(real) = std::fs::read_link(own) {
                return Some(real);
            }
        }
        std::fs::canonicalize(&self.path).ok()
    }

    /// Renames a file. Fails with `AlreadyExists` if the new name is taken.
    pub fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.exclusive_rename(from, to) {
            Some(outcome) => outcome,
            None => self.link_and_remove(from, to),
        }
    }

    /// Metadata of a name; links are not followed. An I/O error is never reported as absence.
    pub fn metadata_of(&self, path: &Path) -> Result<Option<Found>> {
        memory::check()?;
        match self.found(path) {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(Error::io("look at", &self.path.join(name(path)), &error)),
        }
    }

    /// All names in it; none if it is not readable.
    pub fn readable_names(&self) -> Result<Vec<OsString>> {
        match self.names() {
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                Err(Error::io("list the directory", &self.path, &error))
            }
            names => Ok(names.unwrap_or_default()),
        }
    }

    pub fn is_free(&self, path: &Path) -> Result<bool> {
        Ok(self.metadata_of(path)?.is_none())
    }

    /// Removes `path` if it still names `file`, else fails.
    pub fn remove_file(&self, path: &Path, file: &File) -> Result<()> {
        if !trust::is_named(file, self, path)? {
            return Err(trust::swapped(path));
        }
        self.remove_backup(path)
    }

    /// Removes a backup's file or link, if it exists.
    pub fn remove_backup(&self, path: &Path) -> Result<()> {
        match self.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("delete the backup", path, &error))
            }
            _ => Ok(()),
        }
    }
}

/// The last component of a path.
fn name(path: &Path) -> &Path {
    Path::new(path.file_name().unwrap_or_default())
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_way_replaces_a_name() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        let (from, to) = (Path::new("from"), Path::new("to"));
        for rename in [Directory::rename_new, Directory::link_and_remove] {
            let text = |name: &Path| std::fs::read_to_string(place.path().join(name)).unwrap();
            std::fs::write(place.path().join(from), "from").unwrap();
            std::fs::write(place.path().join(to), "to").unwrap();
            assert_eq!(rename(&directory, from, to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!((text(from), text(to)), ("from".into(), "to".into()));
            directory.remove(to).unwrap();
            rename(&directory, from, to).unwrap();
            assert_eq!(text(to), "from");
            assert!(directory.is_free(from).unwrap());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_was_swapped_is_not_left() {
        let place = tempfile::tempdir().unwrap();
        let (own, moved, other) = (place.path().join("own"), place.path().join("moved"), place.path().join("other"));
        std::fs::create_dir(&own).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("b"), "theirs").unwrap();
        let directory = Directory::open(&own).unwrap();
        std::fs::rename(&own, &moved).unwrap();
        std::os::unix::fs::symlink(&other, &own).unwrap();
        let (a, b) = (Path::new("a"), Path::new("b"));
        let file = directory.create(a).unwrap();
        assert!(moved.join(a).exists() && directory.names_file(a, &file).unwrap() && directory.is_free(b).unwrap());
        directory.rename_new(a, b).unwrap();
        assert!(directory.names_file(b, &file).unwrap());
        directory.remove(b).unwrap();
        assert!(directory.identity() != Directory::open(&own).unwrap().identity());
        assert!(directory.identity() == Directory::open(&moved).unwrap().identity());
        assert_eq!(std::fs::read_to_string(other.join(b)).unwrap(), "theirs");
        assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
    }
}
