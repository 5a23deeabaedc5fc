//! A temporary file, deleted on drop.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::super::Directory;
use super::{TEMP_PREFIX, TEMP_SUFFIX};
use crate::error::Result;

pub(super) struct Temp {
    pub(super) file: File,
    pub(super) directory: Directory,
    pub(super) path: PathBuf,
    /// The temporary name, until the rename.
    #[cfg(unix)]
    name: Option<PathBuf>,
    #[cfg(not(unix))]
    name: Option<tempfile::TempPath>,
}

#[cfg(unix)]
impl Temp {
    /// Creates one, readable by its owner alone.
    pub(super) fn new(directory: &Directory) -> io::Result<Self> {
        let name = PathBuf::from(format!("{TEMP_PREFIX}{}{TEMP_SUFFIX}", uuid::Uuid::new_v4().simple()));
        let file = directory.create(&name)?;
        Ok(Self { file, directory: directory.clone(), path: directory.path().join(&name), name: Some(name) })
    }

    /// Whether the temporary name still leads to this file.
    pub(super) fn is_there(&self) -> Result<bool> {
        self.name.as_ref().map_or(Ok(false), |name| self.directory.names_file(name, &self.file))
    }

    pub(super) fn rename(&mut self, to: &Path, overwrite: bool) -> io::Result<()> {
        if let Some(name) = &self.name {
            match overwrite {
                true => self.directory.rename(name, to)?,
                false => self.directory.rename_new(name, to)?,
            }
            self.name = None;
        }
        Ok(())
    }
}

#[cfg(unix)]
impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = self.directory.remove(name);
        }
    }
}

#[cfg(not(unix))]
impl Temp {
    pub(super) fn new(directory: &Directory) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMP_PREFIX).suffix(TEMP_SUFFIX).rand_bytes(12);
        let (file, name) = builder.tempfile_in(directory.path())?.into_parts();
        Ok(Self { file, directory: directory.clone(), path: name.to_path_buf(), name: Some(name) })
    }

    pub(super) fn is_there(&self) -> Result<bool> {
        Ok(self.path.exists())
    }

    pub(super) fn rename(&mut self, to: &Path, overwrite: bool) -> io::Result<()> {
        let Some(name) = self.name.take() else { return Ok(()) };
        let to = self.path.with_file_name(to.file_name().unwrap_or_default());
        let renamed = if overwrite { name.persist(to) } else { name.persist_noclobber(to) };
        renamed.map_err(|refused| refused.error)
    }
}
