//! By the path of the directory.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{Directory, name};
use crate::error::Result;
use crate::files::Found;
use crate::memory;

impl Directory {
    pub(in crate::files) fn at(path: &Path) -> io::Result<Self> {
        match fs::metadata(path)?.is_dir() {
            true => Ok(Self { path: path.to_path_buf() }),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.path.join(name(path))
    }

    /// A directory that has this name in it, or a link to one.
    pub(in crate::files) fn below(&self, path: &Path) -> io::Result<Self> {
        Self::at(path)
    }

    /// Makes its names durable: Windows does with the file, and has no such call for directories.
    pub fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// All names in it.
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

    /// Opens a file for reading.
    pub(in crate::files) fn open_file(&self, path: &Path) -> io::Result<File> {
        File::open(self.place(path))
    }

    /// Makes an empty file; nothing must have that name.
    pub(in crate::files) fn make(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.place(path))
    }

    /// Makes a directory in it, and opens it.
    pub(in crate::files) fn make_below(&self, path: &Path) -> io::Result<Self> {
        fs::create_dir(path)?;
        Self::at(path)
    }

    /// Deletes a name in it, but no directory.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.place(path))
    }

    /// Deletes a directory in it, if that is empty.
    pub(in crate::files) fn remove_below(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(self.place(path))
    }

    /// Whether this very file has that name in it, as far as that can be known.
    pub fn holds(&self, _path: &Path, _file: &File) -> Result<bool> {
        Ok(true)
    }

    pub(super) fn exclusive_rename(&self, _from: &Path, _to: &Path) -> Option<io::Result<()>> {
        None
    }

    pub(super) fn link_and_remove(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (old, new) = (self.place(from), self.place(to));
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
