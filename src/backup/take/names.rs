//! Generates and checks the names of artifacts and databases.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::backup::catalog::MANIFEST;
use crate::backup::find::directory::{absolute, check_text};
use crate::clock;
use crate::error::{Error, Result};
use crate::files;
use crate::settings::name::{self, LONGEST};

/// The candidate names, in order.
pub fn generated_names(series: Option<&str>, taken_at: DateTime<Utc>, ending: &str) -> impl Iterator<Item = String> {
    let series = series.map_or_else(String::new, |series| format!("{series}_"));
    let stem = format!("queue_backup_{series}{}", clock::file_stamp(taken_at));
    (1..=10_000u32).map(move |attempt| match attempt {
        1 => format!("{stem}{ending}"),
        _ => format!("{stem}_{attempt}{ending}"),
    })
}

/// Refuses a new database's path that has another meaning, or beside which a `-wal` or `-journal` exists.
pub fn check_beside(path: &Path) -> Result<()> {
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

/// Resolves an argument that names a file.
pub fn file_path(text: &str, what: &str) -> Result<PathBuf> {
    check_text(text, what)?;
    let path = absolute(Path::new(text))?;
    if text.ends_with(std::path::is_separator) || path.file_name().is_none() || files::is_directory(&path)? {
        return Err(Error::usage(format!("the {what} '{text}' is a directory; pass a file")));
    }
    Ok(path)
}

/// Refuses a file name that has a meaning to SQLite or to this library.
pub fn check_name(path: &Path) -> Result<()> {
    check_file_name(&path.file_name().unwrap_or_default().to_string_lossy(), path)
}

/// Checks the path of a database to be created.
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

/// The error for a name that exists.
pub fn taken(path: &Path) -> Error {
    Error::usage(format!("'{}' exists already; choose another name, or pass {{\"overwrite\": true}}", path.display()))
}

/// Checks the option `name`.
pub fn check_series(name: &str) -> Result<()> {
    if !name::is_name(name) {
        return Err(Error::usage(format!(
            "the option name is '{name}'; a name has 1 to {LONGEST} bytes of letters, digits, '-', '_' and '.', \
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
