//! The integrity check.
//!
//! # Promise
//!
//! One message per finding of [`sqlite_checks`], at most `max_errors`, or the single message `ok`. What could not
//! be checked, as only the application's connection has a function or collation that a table needs, is a
//! message that begins with `not checked`. A database that is too damaged for the check is an error with
//! SQLite's code (`SQLITE_CORRUPT`, `SQLITE_NOTADB`) and advice.
//!
//! # How
//!
//! It runs on the caller's connection: reading needs no transaction of our own. So it sees the caller's
//! uncommitted rows, works in memory, has the caller's functions, and the caller's interrupt ends it.

use rusqlite::{Connection, ffi};

use crate::error::{Error, Result};
use crate::host::disk_errors;
use crate::sqlite_checks::{self, Check, Soundness};

/// SQLite's own default.
pub const DEFAULT_MAX_ERRORS: i64 = 100;
const LARGEST_MAX_ERRORS: i64 = 1_000_000;

/// Advice for what is missing here.
const ELSEWHERE: &str = "call queue_integrity() through that one";

/// Checks the caller's main database at level `quick` or `full`, the default.
pub fn integrity(conn: &Connection, level: Option<&str>, max_errors: i64) -> Result<Soundness> {
    let check = check_of(level)?;
    if !(1..=LARGEST_MAX_ERRORS).contains(&max_errors) {
        return Err(Error::usage(format!(
            "max_errors is {max_errors}; pass how many findings to list at most, from 1 to {LARGEST_MAX_ERRORS}"
        )));
    }
    let most = usize::try_from(max_errors).unwrap_or(usize::MAX);
    let found = sqlite_checks::check(conn, check, most)
        .map_err(|error| explain(error.context("cannot check the database")))?;
    match disk_errors::disk_error(conn) {
        Some(cause) if !found.findings.is_empty() => {
            Err(disk_errors::unreadable(&cause).context("cannot check the database"))
        }
        _ => Ok(found),
    }
}

/// The findings as messages.
pub fn messages(found: Soundness) -> Vec<String> {
    let note = note(&found);
    let mut messages = found.findings;
    messages.extend(note);
    if messages.is_empty() {
        messages.push("ok".into());
    }
    messages
}

/// A note on what was not checked, if anything.
pub fn note(found: &Soundness) -> Option<String> {
    found.note(ELSEWHERE)
}

fn check_of(level: Option<&str>) -> Result<Check> {
    match level {
        None => Ok(Check::Full),
        Some(word) if word.eq_ignore_ascii_case("full") => Ok(Check::Full),
        Some(word) if word.eq_ignore_ascii_case("quick") => Ok(Check::Quick),
        Some(word) => Err(Error::usage(format!("the level is '{}'; it can be quick or full", word.escape_debug()))),
    }
}

fn explain(error: Error) -> Error {
    if error.primary_code() == ffi::SQLITE_CORRUPT {
        return error.advice(
            "it is too damaged to be looked at; restore a backup with queue_restore, if need be through a connection to \
             :memory: with this database as the target",
        );
    }
    error.explained()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_in_any_case() {
        assert_eq!(check_of(None).unwrap(), Check::Full);
        assert_eq!(check_of(Some("FULL")).unwrap(), Check::Full);
        assert_eq!(check_of(Some("quick")).unwrap(), Check::Quick);
        assert!(check_of(Some("checksum")).unwrap_err().message().contains("quick or full"));
    }
}
