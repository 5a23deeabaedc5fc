//! Resolves a backup's `path` argument to a directory and perhaps a file name.
//!
//! # Promise
//!
//! - No path: the default directory, i.e. the setting `backup_dir`, else `backups/` beside the database.
//! - An existing directory, or any path with a trailing separator (created with its missing parents): the
//!   artifact's name is generated, `queue_backup_[NAME_]YYYYMMDD_HHMMSS.db` in UTC (`.delta.db` for an
//!   incremental, then `.gz` or `.zst`), with `_2`, `_3` … if it is taken.
//! - Anything else: a file, whose directory must exist. An existing one is replaced only with `overwrite`.
//! - A target that is a live database, one of its files or its journal's name, or a file of the catalog is
//!   refused before anything is created.

use std::fs;
use std::path::{Path, PathBuf};

use super::names::{check_beside, taken};
use crate::backup::find::directory::{absolute, check_text, default_directory};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles};
use crate::progress::Watch;

/// Where one backup goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Absolute.
    pub directory: PathBuf,
    /// `None` for a generated name.
    pub file_name: Option<String>,
    pub may_make_directory: bool,
    /// The path for errors: the file if it is named, else the directory.
    pub shown: PathBuf,
}

impl Target {
    /// Resolves the caller's `path` argument.
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

    /// Refuses harmful targets before anything is created.
    pub fn check(&self, live: &LiveFiles, overwrite: bool) -> Result<()> {
        let found = fs::metadata(&self.directory);
        if let Err(error) = &found {
            let told = Error::io("look at", &self.directory, error);
            // After an I/O error it is unknown whether it is a directory.
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
