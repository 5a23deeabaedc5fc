//! [`Directory`] by path, for systems without descriptor-relative calls.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{Directory, name};
use crate::error::Result;
use crate::files::Found;
use crate::memory;

impl Directory {
    pub(in crate::files) fn open_path(path: &Path) -> io::Result<Self> {
        match fs::metadata(path)?.is_dir() {
            true => Ok(Self { path: path.to_path_buf() }),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.path.join(name(path))
    }

    /// Opens a subdirectory, or a link to one.
    pub(in crate::files) fn open_subdirectory(&self, path: &Path) -> io::Result<Self> {
        Self::at(path)
    }

    /// Does nothing: Windows has no such call, and makes names durable with the file.
    pub fn sync(&self) -> Result<()> {
        Ok(())
    }

    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            memory::push(&mut names, entry?.file_name()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        }
        Ok(names)
    }

    pub(super) fn found(&self, path: &Path) -> io::Result<Found> {
        fs::symlink_metadata(self.place(path)).map(Found)
    }

    pub(in crate::files) fn open_file(&self, path: &Path) -> io::Result<File> {
        File::open(self.place(path))
    }

    /// Creates an empty file; fails if the name exists.
    pub(in crate::files) fn make(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.place(path))
    }

    /// Creates and opens a subdirectory.
    pub(in crate::files) fn create_subdirectory(&self, path: &Path) -> io::Result<Self> {
        fs::create_dir(path)?;
        Self::at(path)
    }

    /// Removes a file or link, not a directory.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.place(path))
    }

    /// Removes an empty subdirectory.
    pub(in crate::files) fn remove_below(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(self.place(path))
    }

    /// Cannot be known here, so `true`.
    pub fn names_file(&self, _path: &Path, _file: &File) -> Result<bool> {
        Ok(true)
    }

    pub(super) fn exclusive_rename(&self, _from: &Path, _to: &Path) -> Option<io::Result<()>> {
        None
    }

    pub(super) fn link_and_remove(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (old, new) = (self.place(from), self.place(to));
        match fs::hard_link(&old, &new) {
            Ok(()) => fs::remove_file(&old).inspect_err(|_| {
                // Drop the second name again.
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
