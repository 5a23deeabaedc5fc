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

use chrono::{DateTime, Utc};

use crate::backup::catalog::MANIFEST;
use crate::backup::find::source;
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles};
use crate::progress::Watch;
use crate::settings;

/// The longest series name, in bytes: file names of 255 bytes are allowed nearly everywhere.
const LONGEST_NAME: usize = 64;

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

/// The default directory of the caller's database.
///
/// # Errors
///
/// A database without a file has no default directory.
pub fn default_directory(caller: &Caller, watch: &mut Watch<'_>) -> Result<PathBuf> {
    let configured = source::settings(caller, watch)?.text(&settings::BACKUP_DIR)?;
    match (configured, caller.file()) {
        (Some(directory), Some(file)) => Ok(files::parent_of(&file).join(directory)),
        (Some(directory), None) => absolute(Path::new(&directory)),
        (None, Some(file)) => Ok(files::parent_of(&file).join("backups")),
        (None, None) => {
            Err(Error::usage("an in-memory or temporary database has no default backup directory; pass a path"))
        }
    }
}

/// The directory that an argument names, or the default one; it need not exist.
///
/// # Errors
///
/// An argument that cannot be a path, or one that names something other than a directory.
pub fn directory(caller: &Caller, argument: Option<&str>, watch: &mut Watch<'_>) -> Result<PathBuf> {
    let Some(text) = argument else {
        return default_directory(caller, watch);
    };
    check_text(text, "directory")?;
    let path = absolute(Path::new(text))?;
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err(Error::usage(format!(
            "'{}' is not a directory; pass the directory that holds the backups",
            path.display()
        ))),
        Err(error) => Err(Error::io("find the backup directory", &path, &error)),
    }
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
    ///
    /// # Errors
    ///
    /// An error that names the path and the reason.
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

/// Refuses the path of a new database that would be mistaken for something else, or that something would be replayed over.
fn check_beside(path: &Path) -> Result<()> {
    check_name(path)?;
    for companion in ["-wal", "-journal"] {
        let companion = files::with_suffix(path, companion);
        if files::look(&companion)?.is_some() {
            return Err(Error::usage(format!(
                "'{}' lies beside the target and would be replayed over it when it is opened; move it away or choose another \
                 name",
                companion.display()
            )));
        }
    }
    Ok(())
}

/// Reads an argument that names a file.
///
/// # Errors
///
/// A text that cannot be the path of a file.
pub fn file_path(text: &str, what: &str) -> Result<PathBuf> {
    check_text(text, what)?;
    let path = absolute(Path::new(text))?;
    if text.ends_with(std::path::is_separator) || path.file_name().is_none() || files::is_directory(&path)? {
        return Err(Error::usage(format!("the {what} '{text}' is a directory; pass a file")));
    }
    Ok(path)
}

/// Refuses the path of a database whose name means something to SQLite or to us.
///
/// # Errors
///
/// An error that names the path and the reason.
pub fn check_name(path: &Path) -> Result<()> {
    check_file_name(&path.file_name().unwrap_or_default().to_string_lossy(), path)
}

/// Checks the path of a database that is to be made.
///
/// # Errors
///
/// A directory that does not exist, or a name that would do harm.
pub fn check_new(path: &Path) -> Result<()> {
    let directory = files::parent_of(path);
    if !files::is_directory(directory)? {
        return Err(Error::new(
            rusqlite::ffi::SQLITE_CANTOPEN,
            format!("the directory '{}' does not exist; create it first", directory.display()),
        ));
    }
    check_beside(path)
}

/// The names to try, in this order, until one is free.
pub fn generated_names(series: Option<&str>, taken_at: DateTime<Utc>, ending: &str) -> impl Iterator<Item = String> {
    let series = series.map_or_else(String::new, |series| format!("{series}_"));
    let stem = format!("queue_backup_{series}{}", clock::file_stamp(taken_at));
    (1..=10_000u32).map(move |attempt| match attempt {
        1 => format!("{stem}{ending}"),
        _ => format!("{stem}_{attempt}{ending}"),
    })
}

fn not_a_directory(path: &Path) -> Error {
    Error::new(
        rusqlite::ffi::SQLITE_CANTOPEN,
        format!("'{}' is not a directory; pass a directory, or a file in one", path.display()),
    )
}

fn check_text(text: &str, what: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::usage(format!(
            "the {what} is an empty text; pass a {what}, or NULL for the default directory"
        )));
    }
    if text.contains('\0') {
        return Err(Error::usage(format!("the {what} contains a NUL character, which no path can")));
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io("resolve the path", path, &error))
}

fn check_file_name(name: &str, path: &Path) -> Result<()> {
    let refuse = |why: &str| Err(Error::usage(format!("'{}' cannot be used: {why}", path.display())));
    if name.starts_with(MANIFEST) {
        return refuse("this name belongs to the catalog of the directory");
    }
    if name.starts_with(".queuekeeper-") {
        return refuse("names that start like this are temporary files of queuekeeper and get swept");
    }
    if ["-wal", "-shm", "-journal"].iter().any(|suffix| name.ends_with(suffix)) {
        return refuse("SQLite would take a file of this name for the journal of another database");
    }
    if name.ends_with(".hashes") {
        return refuse("names that end like this are the hash files of backups");
    }
    Ok(())
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

/// What to say of a name that is taken.
pub fn taken(path: &Path) -> Error {
    Error::usage(format!("'{}' exists already; choose another name, or pass {{\"overwrite\": true}}", path.display()))
}

/// Whether a text can name a series, or a queue.
pub fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with('.') && name.chars().all(fine)
}

/// Checks the option `name`.
///
/// # Errors
///
/// A name that would not make a good part of a file name.
pub fn check_series(name: &str) -> Result<()> {
    if !is_name(name) {
        return Err(Error::usage(format!(
            "the option name is '{name}'; a name has 1 to {LONGEST_NAME} bytes of letters, digits, '-', '_' and '.', \
             and does not start with '.'",
            name = name.escape_debug()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_count_up() {
        let time = clock::parse_rfc3339("2026-11-05T14:30:22Z").unwrap();
        let names = |series, ending| generated_names(series, time, ending).take(3).collect::<Vec<_>>();
        assert_eq!(
            names(Some("daily"), ".db"),
            [
                "queue_backup_daily_20261105_143022.db",
                "queue_backup_daily_20261105_143022_2.db",
                "queue_backup_daily_20261105_143022_3.db"
            ]
        );
        assert_eq!(names(None, ".delta.db.zst")[0], "queue_backup_20261105_143022.delta.db.zst");
    }

    #[test]
    fn series_names_are_parts_of_file_names() {
        for good in ["daily", "before_restore", "v1.2-rc", "täglich"] {
            assert!(check_series(good).is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in ["", "a/b", "..", ".x", "a b", "a\0b", "a'b", long.as_str()] {
            assert!(check_series(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_mean_something_to_sqlite_or_to_us_are_refused() {
        for bad in [
            "backup_manifest.json",
            "backup_manifest.json.lock",
            ".queuekeeper-x.tmp",
            "a.db-wal",
            "a.db-journal",
            "a.db.hashes",
        ] {
            assert!(check_file_name(bad, Path::new(bad)).is_err(), "{bad}");
        }
        assert!(check_file_name("a.db", Path::new("a.db")).is_ok());
    }
}
