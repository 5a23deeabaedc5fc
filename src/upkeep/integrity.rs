//! Whether the database is sound.
//!
//! # Promise
//!
//! One message a finding, or the single message `ok`. The findings are SQLite's own: `full` is `PRAGMA integrity_check`, `quick`
//! is `PRAGMA quick_check`, which leaves out whether the indexes agree with their tables. At most `max_errors` findings
//! are listed. A database that is too broken to be looked at is an error with SQLite's code (`SQLITE_CORRUPT`, `SQLITE_NOTADB`), which
//! says what to do about it.
//!
//! # How
//!
//! Reading needs no transaction of our own, so it happens on the caller's connection: it sees the caller's uncommitted rows,
//! works for databases in memory, and the caller's interrupt ends it. SQLite puts several findings about pages into one row,
//! a line each, under a line that names the database; here each is a row, whatever the host's version.

use rusqlite::{Connection, ffi};

use crate::error::{Error, Result};

/// How many findings are listed when nobody says: SQLite's own number.
pub const DEFAULT_MAX_ERRORS: i64 = 100;
const LARGEST_MAX_ERRORS: i64 = 1_000_000;

/// Checks the caller's main database at a level that is a word, `full` by default.
///
/// # Errors
///
/// An unknown level, a number out of range, a database that cannot be read at all, or an interrupt.
pub fn integrity(conn: &Connection, level: Option<&str>, max_errors: i64) -> Result<Vec<String>> {
    let pragma = pragma(level)?;
    if !(1..=LARGEST_MAX_ERRORS).contains(&max_errors) {
        return Err(Error::usage(format!(
            "max_errors is {max_errors}; pass how many findings to list at most, from 1 to {LARGEST_MAX_ERRORS}"
        )));
    }
    let most = usize::try_from(max_errors).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    match read(conn, &format!("PRAGMA main.{pragma}({max_errors})"), &mut found) {
        Err(error) if is_damage(&error) && !found.is_empty() => found.push(error.message().to_owned()),
        Err(error) => return Err(explain(error.context("cannot check the database"))),
        Ok(()) => {}
    }
    found.truncate(most);
    Ok(found)
}

fn pragma(level: Option<&str>) -> Result<&'static str> {
    match level {
        None => Ok("integrity_check"),
        Some(word) if word.eq_ignore_ascii_case("full") => Ok("integrity_check"),
        Some(word) if word.eq_ignore_ascii_case("quick") => Ok("quick_check"),
        Some(word) => Err(Error::usage(format!("the level is '{}'; it can be quick or full", word.escape_debug()))),
    }
}

fn read(conn: &Connection, sql: &str, found: &mut Vec<String>) -> Result<()> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // Names in a damaged schema may be no UTF-8.
        found.extend(lines(&String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default())));
    }
    Ok(())
}

fn lines(message: &str) -> Vec<String> {
    let findings = message.lines().filter(|line| !line.is_empty() && !line.starts_with("*** in database "));
    findings.map(str::to_owned).collect()
}

fn is_damage(error: &Error) -> bool {
    matches!(error.primary_code(), ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB)
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
    fn each_line_is_a_finding_but_for_the_headline() {
        let message = "*** in database main ***\nPage 4 is never used\nPage 5 is never used\n";
        assert_eq!(lines(message), ["Page 4 is never used", "Page 5 is never used"]);
        assert_eq!(lines("ok"), ["ok"]);
    }

    #[test]
    fn levels_are_words_in_any_case() {
        assert_eq!(pragma(None).unwrap(), "integrity_check");
        assert_eq!(pragma(Some("FULL")).unwrap(), "integrity_check");
        assert_eq!(pragma(Some("quick")).unwrap(), "quick_check");
        assert!(pragma(Some("checksum")).unwrap_err().message().contains("quick or full"));
    }
}
