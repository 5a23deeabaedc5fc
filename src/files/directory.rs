//! A directory that is open.
//!
//! # Promise
//!
//! What is made, renamed and deleted in it happens in this very directory, though somebody else moves it away meanwhile and puts a link
//! to another one in its place. Names are single components; none is followed as a link. A new name never replaces another one
//! ([`rename_new`](Directory::rename_new)).
//!
//! # How
//!
//! By its descriptor, where the system has such calls, else by its path. `RENAME_NOREPLACE` (Linux) or `RENAME_EXCL` (macOS); where a
//! file system has neither, a hard link and the removal of the old name. Where it has no links either, the name is looked up before it
//! is given.

#[cfg(not(unix))]
use std::fs;
use std::fs::File;
#[cfg(unix)]
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::Arc;

#[cfg(unix)]
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, linkat, openat, renameat, statat, unlinkat};
#[cfg(unix)]
use rustix::io::Errno;

use super::Identity;
use crate::error::{Error, Result};

/// A directory that is open.
#[derive(Clone)]
pub struct Directory {
    #[cfg(unix)]
    descriptor: Arc<File>,
    path: PathBuf,
}

impl Directory {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn open(path: &Path) -> Result<Self> {
        // Whatever else is there must not even be opened: closing a live database would drop this process's locks on it.
        #[cfg(unix)]
        let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        Ok(Self {
            #[cfg(unix)]
            descriptor: Arc::new(File::from(
                opened.map_err(|error| Error::io("open the directory", path, &error.into()))?,
            )),
            path: path.to_path_buf(),
        })
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes its names durable. Windows makes names durable with the file, and has no such call for directories.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn sync(&self) -> Result<()> {
        #[cfg(unix)]
        let synced = self.descriptor.sync_all();
        #[cfg(not(unix))]
        let synced: io::Result<()> = Ok(());
        synced.map_err(|error| Error::io("write to disk the directory", &self.path, &error))
    }

    /// Deletes a name in it, but no directory.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn remove(&self, name: &Path) -> io::Result<()> {
        // By another path, the descriptor would count for nothing.
        if name.components().count() != 1 || name.file_name().is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        #[cfg(unix)]
        return Ok(unlinkat(&*self.descriptor, name, AtFlags::empty())?);
        #[cfg(not(unix))]
        fs::remove_file(self.path.join(name))
    }

    /// Gives a file another name, which must be free.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, or what the file system says.
    pub fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.exclusive_rename(from, to) {
            Some(outcome) => outcome,
            None => self.link_and_remove(from, to),
        }
    }

    /// Whether this very file has that name in it, or, without one, nothing has.
    ///
    /// # Errors
    ///
    /// When that cannot be said.
    pub fn agrees(&self, name: &Path, file: Option<&File>) -> Result<bool> {
        file.map_or_else(|| self.lacks(name), |file| self.holds(name, file))
    }

    fn unseen(&self, name: &Path, error: impl Into<io::Error>) -> Error {
        Error::io("look at", &self.path.join(name), &error.into())
    }

    /// What the directory itself is.
    #[cfg(unix)]
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.descriptor.metadata()
    }
}

#[cfg(unix)]
impl Directory {
    /// Makes an empty file, for its owner alone; nothing must have that name.
    pub(super) fn create(&self, name: &Path) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&*self.descriptor, name, flags, Mode::RUSR | Mode::WUSR)?))
    }

    /// Gives a file another name, in place of what may have it.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat(&*self.descriptor, from, &*self.descriptor, to)?)
    }

    fn look(&self, name: &Path) -> Result<Option<Stat>> {
        match statat(&*self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok(Some(named)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.unseen(name, error)),
        }
    }

    /// What has that name in it: a regular file's identity.
    ///
    /// # Errors
    ///
    /// When that cannot be said.
    pub fn identity(&self, name: &Path) -> Result<Option<Identity>> {
        let named = self.look(name)?.filter(|named| FileType::from_raw_mode(named.st_mode) == FileType::RegularFile);
        // The types differ from system to system.
        #[allow(clippy::unnecessary_cast)]
        Ok(named.map(|named| (named.st_dev as u64, named.st_ino as u64)))
    }

    /// Whether this very file has that name in it.
    ///
    /// # Errors
    ///
    /// When that cannot be said.
    pub fn holds(&self, name: &Path, file: &File) -> Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let own = file.metadata().map_err(|error| self.unseen(name, error))?;
        Ok(self.identity(name)? == Some((own.dev(), own.ino())))
    }

    /// Whether nothing has that name in it.
    ///
    /// # Errors
    ///
    /// When that cannot be said.
    pub fn lacks(&self, name: &Path) -> Result<bool> {
        Ok(self.look(name)?.is_none())
    }

    /// Whether both are the same directory.
    ///
    /// # Errors
    ///
    /// When that cannot be said.
    pub fn is_same(&self, other: &Self) -> Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let id = |directory: &Self| -> Result<Identity> {
            let found = directory.metadata().map_err(|error| Error::io("look at", &directory.path, &error))?;
            Ok((found.dev(), found.ino()))
        };
        Ok(id(self)? == id(other)?)
    }

    /// `None` where the system or the file system cannot do that.
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    fn exclusive_rename(&self, from: &Path, to: &Path) -> Option<io::Result<()>> {
        use rustix::fs::{RenameFlags, renameat_with};
        match renameat_with(&*self.descriptor, from, &*self.descriptor, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => None,
            outcome => Some(outcome.map_err(io::Error::from)),
        }
    }

    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    fn exclusive_rename(&self, _from: &Path, _to: &Path) -> Option<io::Result<()>> {
        None
    }

    fn link_and_remove(&self, from: &Path, to: &Path) -> io::Result<()> {
        match linkat(&*self.descriptor, from, &*self.descriptor, to, AtFlags::empty()) {
            Ok(()) => self.remove(from).inspect_err(|_| {
                // The file keeps its old name alone.
                let _ = self.remove(to);
            }),
            Err(error @ (Errno::EXIST | Errno::NOENT)) => Err(error.into()),
            Err(error) => match self.lacks(to) {
                Ok(true) => self.rename(from, to),
                Ok(false) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => Err(error.into()),
            },
        }
    }
}

#[cfg(not(unix))]
impl Directory {
    /// What has that name in it, where that can be known.
    ///
    /// # Errors
    ///
    /// None here.
    pub fn identity(&self, _name: &Path) -> Result<Option<Identity>> {
        Ok(None)
    }

    /// Whether this very file has that name in it, as far as that can be known.
    ///
    /// # Errors
    ///
    /// None here.
    pub fn holds(&self, _name: &Path, _file: &File) -> Result<bool> {
        Ok(true)
    }

    /// Whether nothing has that name in it.
    ///
    /// # Errors
    ///
    /// When that cannot be said.
    pub fn lacks(&self, name: &Path) -> Result<bool> {
        match fs::symlink_metadata(self.path.join(name)) {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(self.unseen(name, error)),
        }
    }

    /// Whether both are the same directory.
    ///
    /// # Errors
    ///
    /// None here.
    pub fn is_same(&self, other: &Self) -> Result<bool> {
        Ok(self.path == other.path)
    }

    fn exclusive_rename(&self, _from: &Path, _to: &Path) -> Option<io::Result<()>> {
        None
    }

    fn link_and_remove(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (old, new) = (self.path.join(from), self.path.join(to));
        match fs::hard_link(&old, &new) {
            Ok(()) => fs::remove_file(&old).inspect_err(|_| {
                // The file keeps its old name alone.
                let _ = fs::remove_file(&new);
            }),
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                Err(error)
            }
            Err(error) => match self.lacks(to) {
                Ok(true) => fs::rename(old, new),
                Ok(false) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => Err(error),
            },
        }
    }
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
            assert!(directory.lacks(from).unwrap());
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
        assert!(moved.join(a).exists() && directory.holds(a, &file).unwrap() && directory.lacks(b).unwrap());
        directory.rename_new(a, b).unwrap();
        assert!(directory.holds(b, &file).unwrap());
        directory.remove(b).unwrap();
        assert!(!directory.is_same(&Directory::open(&own).unwrap()).unwrap());
        assert!(directory.is_same(&Directory::open(&moved).unwrap()).unwrap());
        assert_eq!(std::fs::read_to_string(other.join(b)).unwrap(), "theirs");
        assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
    }
}
