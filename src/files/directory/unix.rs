//! By the descriptor of the directory.

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
    pub(in crate::files) fn at(path: &Path) -> io::Result<Self> {
        Self::opened(CWD, path, path, OFlags::empty())
    }

    /// A directory that has this name in it, or a link to one.
    pub(in crate::files) fn below(&self, path: &Path) -> io::Result<Self> {
        Self::opened(&*self.descriptor, last(path), path, OFlags::empty())
    }

    fn opened(base: impl AsFd, name: &Path, path: &Path, flags: OFlags) -> io::Result<Self> {
        // Whatever else is there must not even be opened: closing a live database would drop this process's locks on it.
        let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let (opened, is_readable) = match openat(&base, name, flags | OFlags::RDONLY, Mode::empty()) {
            // Names in it may be looked up nevertheless.
            #[cfg(target_os = "linux")]
            Err(Errno::ACCESS) => (openat(&base, name, flags | OFlags::PATH, Mode::empty()), false),
            opened => (opened, true),
        };
        Ok(Self { descriptor: Arc::new(File::from(opened?)), is_readable, path: path.to_path_buf() })
    }

    /// Makes its names durable.
    pub fn sync(&self) -> Result<()> {
        let synced = if self.is_readable { self.descriptor.sync_all() } else { Err(Errno::ACCESS.into()) };
        synced.map_err(|error| Error::io("write to disk the directory", &self.path, &error))
    }

    /// All names in it.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        // As many as whoever may write in it has made.
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

    /// The identity of what that name leads to; a link is followed.
    pub(in crate::files) fn identity_behind(&self, path: &Path) -> Option<Identity> {
        statat(&*self.descriptor, name(path), AtFlags::empty()).ok().and_then(|found| Found(found).identity())
    }

    pub(in crate::files) fn identity(&self) -> Option<Identity> {
        self.metadata().ok().map(|found| (found.dev(), found.ino()))
    }

    /// What the directory itself is.
    pub(in crate::files) fn metadata(&self) -> io::Result<Metadata> {
        self.descriptor.metadata()
    }

    /// Its own descriptor.
    pub(in crate::files) fn descriptor(&self) -> &File {
        &self.descriptor
    }

    /// Opens a file for reading, but no link.
    pub(in crate::files) fn open_file(&self, path: &Path) -> io::Result<File> {
        // NONBLOCK keeps a FIFO that took the file's place in the meantime from hanging the host.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(openat(&*self.descriptor, name(path), flags, Mode::empty())?))
    }

    /// Makes an empty file, which will be durable; nothing must have that name.
    pub(in crate::files) fn create(&self, path: &Path) -> io::Result<File> {
        if !self.is_readable {
            return Err(rustix::io::Errno::ACCESS.into());
        }
        self.make(path, 0o600)
    }

    /// Makes an empty file with these bits, as far as the umask allows; nothing must have that name.
    pub(in crate::files) fn make(&self, path: &Path, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&*self.descriptor, name(path), flags, Mode::from_bits_truncate(mode as _))?))
    }

    /// Makes a directory in it with these bits, as far as the umask allows, and opens what has the name then, if that is one.
    pub(in crate::files) fn make_below(&self, path: &Path, mode: u32) -> io::Result<Self> {
        mkdirat(&*self.descriptor, last(path), Mode::from_bits_truncate(mode as _))?;
        Self::opened(&*self.descriptor, last(path), path, OFlags::NOFOLLOW)
    }

    /// Deletes a name in it, but no directory.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        Ok(unlinkat(&*self.descriptor, name(path), AtFlags::empty())?)
    }

    /// Deletes a directory in it, if that is empty.
    pub(in crate::files) fn remove_below(&self, path: &Path) -> io::Result<()> {
        Ok(unlinkat(&*self.descriptor, name(path), AtFlags::REMOVEDIR)?)
    }

    /// Gives a file another name, in place of what may have it.
    pub(in crate::files) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat(&*self.descriptor, name(from), &*self.descriptor, name(to))?)
    }

    /// Whether this very file has that name in it.
    pub fn holds(&self, path: &Path, file: &File) -> Result<bool> {
        let own = file.metadata().map_err(|error| Error::io("look at", path, &error))?;
        Ok(self.look(path)?.and_then(|found| found.identity()) == Some((own.dev(), own.ino())))
    }

    /// `None` where the system or the file system cannot do that.
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

/// The last component, which of the path of a directory may be `..`.
fn last(path: &Path) -> &Path {
    path.components().next_back().map_or(path, |last| Path::new(last.as_os_str()))
}
