//! [`Directory`] by descriptor.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, linkat, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::{Directory, name};
use crate::error::{Error, Result};
use crate::files::{Found, Identity};
use crate::memory;

impl Directory {
    pub(in crate::files) fn open_path(path: &Path) -> io::Result<Self> {
        Self::opened(CWD, path, path, OFlags::empty())
    }

    /// Opens a subdirectory, or a link to one.
    pub(in crate::files) fn open_subdirectory(&self, path: &Path) -> io::Result<Self> {
        Self::opened(&*self.descriptor, last(path), path, OFlags::empty())
    }

    fn opened(base: impl AsFd, name: &Path, path: &Path, flags: OFlags) -> io::Result<Self> {
        // `DIRECTORY`: opening and closing a live database would drop this process's locks on it.
        let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let (opened, is_readable) = match openat(&base, name, flags | OFlags::RDONLY, Mode::empty()) {
            // Without read permission, names in it can still be looked up.
            #[cfg(target_os = "linux")]
            Err(Errno::ACCESS) => (openat(&base, name, flags | OFlags::PATH, Mode::empty()), false),
            opened => (opened, true),
        };
        Ok(Self { descriptor: Arc::new(File::from(opened?)), is_readable, path: path.to_path_buf() })
    }

    /// Syncs it, which makes its names durable.
    pub fn sync(&self) -> Result<()> {
        let synced = if self.is_readable { self.descriptor.sync_all() } else { Err(Errno::ACCESS.into()) };
        synced.map_err(|error| Error::io("write to disk the directory", &self.path, &error))
    }

    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        // Their number is up to whoever may write here.
        for entry in Dir::read_from(&*self.descriptor)? {
            let entry = entry?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => memory::push(&mut names, OsStr::from_bytes(name).to_owned())
                    .map_err(|_| io::ErrorKind::OutOfMemory)?,
            }
        }
        Ok(names)
    }

    pub(super) fn found(&self, path: &Path) -> io::Result<Found> {
        Ok(Found(statat(&*self.descriptor, name(path), AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// The identity of a file; links are followed.
    pub(in crate::files) fn identity_behind(&self, path: &Path) -> Option<Identity> {
        statat(&*self.descriptor, name(path), AtFlags::empty()).ok().and_then(|found| Found(found).identity())
    }

    pub(in crate::files) fn identity(&self) -> Option<Identity> {
        self.metadata().ok().map(|found| (found.dev(), found.ino()))
    }

    pub(in crate::files) fn metadata(&self) -> io::Result<Metadata> {
        self.descriptor.metadata()
    }

    pub(in crate::files) fn descriptor(&self) -> &File {
        &self.descriptor
    }

    /// Opens a file for reading; fails on a link.
    pub(in crate::files) fn open_file(&self, path: &Path) -> io::Result<File> {
        // NONBLOCK: a FIFO that took the file's place must not hang the host.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(openat(&*self.descriptor, name(path), flags, Mode::empty())?))
    }

    /// Creates an empty file that can be made durable; fails if the name exists.
    pub(in crate::files) fn create(&self, path: &Path) -> io::Result<File> {
        if !self.is_readable {
            return Err(rustix::io::Errno::ACCESS.into());
        }
        self.make(path, 0o600)
    }

    /// Creates an empty file with these mode bits, less the umask; fails if the name exists.
    pub(in crate::files) fn make(&self, path: &Path, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&*self.descriptor, name(path), flags, Mode::from_bits_truncate(mode as _))?))
    }

    /// Creates a subdirectory with these mode bits, less the umask, and opens whatever directory has the name
    /// then.
    pub(in crate::files) fn create_subdirectory(&self, path: &Path, mode: u32) -> io::Result<Self> {
        mkdirat(&*self.descriptor, last(path), Mode::from_bits_truncate(mode as _))?;
        Self::opened(&*self.descriptor, last(path), path, OFlags::NOFOLLOW)
    }

    /// Removes a file or link, not a directory.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        Ok(unlinkat(&*self.descriptor, name(path), AtFlags::empty())?)
    }

    /// Removes an empty subdirectory.
    pub(in crate::files) fn remove_below(&self, path: &Path) -> io::Result<()> {
        Ok(unlinkat(&*self.descriptor, name(path), AtFlags::REMOVEDIR)?)
    }

    /// Renames a file, replacing any file of the new name.
    pub(in crate::files) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat(&*self.descriptor, name(from), &*self.descriptor, name(to))?)
    }

    /// Whether `path` names this very file (device and inode).
    pub fn names_file(&self, path: &Path, file: &File) -> Result<bool> {
        let own = file.metadata().map_err(|error| Error::io("look at", path, &error))?;
        Ok(self.metadata_of(path)?.and_then(|found| found.identity()) == Some((own.dev(), own.ino())))
    }

    /// `None` if the system or the file system does not support it.
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    pub(super) fn exclusive_rename(&self, from: &Path, to: &Path) -> Option<io::Result<()>> {
        use rustix::fs::{RenameFlags, renameat_with};
        match renameat_with(&*self.descriptor, name(from), &*self.descriptor, name(to), RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => None,
            outcome => Some(outcome.map_err(io::Error::from)),
        }
    }

    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    pub(super) fn exclusive_rename(&self, _from: &Path, _to: &Path) -> Option<io::Result<()>> {
        None
    }

    pub(super) fn link_and_remove(&self, from: &Path, to: &Path) -> io::Result<()> {
        match linkat(&*self.descriptor, name(from), &*self.descriptor, name(to), AtFlags::empty()) {
            Ok(()) => self.remove(from).inspect_err(|_| {
                // Drop the second name again.
                let _ = self.remove(to);
            }),
            Err(error @ (Errno::EXIST | Errno::NOENT)) => Err(error.into()),
            Err(error) => match self.is_free(to) {
                Ok(true) => self.rename(from, to),
                Ok(false) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => Err(error.into()),
            },
        }
    }
}

/// The last component, which may be `..` in a directory's path.
fn last(path: &Path) -> &Path {
    path.components().next_back().map_or(path, |last| Path::new(last.as_os_str()))
}
