//! Where a backup goes: the caller's words made into a directory and perhaps a file name.
//!
//! # Promise
//!
//! - No path at all: the default directory, which is the setting `backup_dir`, else `backups/` beside the database.
//! - A directory that exists, or any path with a trailing separator (made if missing, with what is missing above it):
//!   the artifact gets a name of its own, `queue_backup_[NAME_]YYYYMMDD_HHMMSS.db` in UTC (`.delta.db` for an incremental,
//!   and `.gz` or `.zst` behind it), with `_2`, `_3` … in it when the second is taken.
//! - Anything else: a file, whose directory must exist. It is never overwritten unless that was asked for.
//! - A target that is a live database, belongs to one, would get one's journal, or is one of the catalog's own files
//!   is refused before anything is made.

use std::fs;
use std::path::{Path, PathBuf};

use super::names::{check_beside, taken};
use crate::backup::find::directory::{absolute, check_text, default_directory};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles};
use crate::progress::Watch;

/// A place for one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The directory, absolute.
    pub directory: PathBuf,
    /// The file's name, if the caller gave one.
    pub file_name: Option<String>,
    /// Whether the directory may be made.
    pub may_make_directory: bool,
    /// What errors call it: the file if it has a name, else the directory.
    pub shown: PathBuf,
}

impl Target {
    /// Reads the caller's `path` argument.
    ///
    /// # Errors
    ///
    /// An argument that cannot be a path.
    pub fn resolve(caller: &Caller, argument: Option<&str>, watch: &mut Watch<'_>) -> Result<Self> {
        let Some(text) = argument else {
            return Ok(Self::in_directory(default_directory(caller, watch)?, true));
        };
        check_text(text, "path")?;
        let path = absolute(Path::new(text))?;
        if text.ends_with(std::path::is_separator) {
            return Ok(Self::in_directory(path, true));
        }
        if files::is_directory(&path)? {
            return Ok(Self::in_directory(path, false));
        }
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(Error::usage(format!("'{text}' names no file; pass a file or a directory")));
        };
        Ok(Self {
            directory: files::parent_of(&path).to_path_buf(),
            file_name: Some(name),
            may_make_directory: false,
            shown: path,
        })
    }

    fn in_directory(directory: PathBuf, may_make_directory: bool) -> Self {
        Self { shown: directory.clone(), directory, file_name: None, may_make_directory }
    }

    /// Refuses targets that could do harm, before anything is made.
    pub fn check(&self, live: &LiveFiles, overwrite: bool) -> Result<()> {
        let found = fs::metadata(&self.directory);
        if let Err(error) = &found {
            let told = Error::io("look at", &self.directory, error);
            // Of a directory that a disk cannot show nobody knows whether it is one.
            if told.primary_code() == rusqlite::ffi::SQLITE_IOERR {
                return Err(told);
            }
        }
        let is_directory = found.as_ref().is_ok_and(fs::Metadata::is_dir);
        if found.is_ok() && !is_directory {
            return Err(not_a_directory(&self.directory));
        }
        if !is_directory && !self.may_make_directory {
            return Err(Error::new(
                rusqlite::ffi::SQLITE_CANTOPEN,
                format!(
                    "the directory '{}' does not exist; create it, or pass a directory with a trailing '/' to have \
                     it made",
                    self.directory.display()
                ),
            ));
        }
        if self.file_name.is_none() {
            return Ok(());
        }
        live.refuse(&self.shown)?;
        check_beside(&self.shown)?;
        check_existing(&self.shown, overwrite)
    }
}

fn not_a_directory(path: &Path) -> Error {
    Error::new(
        rusqlite::ffi::SQLITE_CANTOPEN,
        format!("'{}' is not a directory; pass a directory, or a file in one", path.display()),
    )
}

fn check_existing(path: &Path, overwrite: bool) -> Result<()> {
    let Some(found) = files::look(path)? else { return Ok(()) };
    if !overwrite {
        return Err(taken(path));
    }
    if !found.is_file() {
        return Err(Error::usage(format!(
            "'{}' is not a regular file and won't be overwritten; choose another name",
            path.display()
        )));
    }
    Ok(())
}
