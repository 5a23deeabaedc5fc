//! SQLite's integrity checks, as far as this connection can run them.
//!
//! # Promise
//!
//! - `full` is `PRAGMA integrity_check`. `quick` is `PRAGMA quick_check`, which does not compare indexes with
//!   their tables.
//! - If a schema needs a function, collation, module or tokenizer that only the application registers, SQLite
//!   checks nothing. Here everything else is checked, and each table that could not be is listed with what it
//!   needs.
//!
//! # How
//!
//! If the whole check fails with `SQLITE_ERROR`, each table is checked separately. If its full check fails,
//! it gets the quick one. If that fails too, its pages are walked, which notices a damaged tree.

use rusqlite::{Connection, ffi};

use crate::error::{Error, Result};
use crate::memory;
use crate::schema::{quoted, text};

/// The prefix of findings about pages; no other has it.
const HEADLINE: &str = "*** in database ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Quick,
    Full,
}

impl Check {
    pub fn pragma(self) -> &'static str {
        match self {
            Self::Quick => "quick_check",
            Self::Full => "integrity_check",
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Soundness {
    /// One line each.
    pub findings: Vec<String>,
    /// Tables not fully checked: `TABLE needs the function NAME`.
    pub unjudged: Vec<String>,
}

impl Soundness {
    /// A note on the tables not fully checked; `advice` says where they can be.
    pub fn note(&self, advice: &str) -> Option<String> {
        let all = self.unjudged.join(", ");
        (!self.unjudged.is_empty())
            .then(|| format!("not checked in full: {all}, which only the application's connection has; {advice}"))
    }
}

/// Checks the connection's main database; returns at most `most` findings.
pub fn check(conn: &Connection, check: Check, most: usize) -> Result<Soundness> {
    let mut found = Vec::new();
    match run(conn, check, None, most, &mut found) {
        Ok(()) => Ok(Soundness { findings: found, unjudged: Vec::new() }),
        Err(error) if error.is_damage() && !found.is_empty() => {
            found.push(error.message().to_owned());
            found.truncate(most);
            Ok(Soundness { findings: found, unjudged: Vec::new() })
        }
        Err(error) if error.primary_code() == ffi::SQLITE_ERROR => by_table(conn, check, most, &error),
        Err(error) => Err(error),
    }
}

fn by_table(conn: &Connection, check: Check, most: usize, whole: &Error) -> Result<Soundness> {
    let mut outcome = Soundness::default();
    for (table, is_virtual) in tables(conn)? {
        let left = most.saturating_sub(outcome.findings.len());
        if left == 0 {
            break;
        }
        let Err(error) = run(conn, check, Some(&table), left, &mut outcome.findings) else { continue };
        let lesser = match error.primary_code() {
            ffi::SQLITE_ERROR if is_virtual => Ok(()),
            ffi::SQLITE_ERROR => run(conn, Check::Quick, Some(&table), left, &mut outcome.findings),
            _ => Err(error.clone()),
        };
        match lesser {
            Ok(()) => {}
            Err(error) if error.primary_code() == ffi::SQLITE_ERROR => walk(conn, &table, &mut outcome.findings)?,
            Err(error) if error.is_damage() => outcome.findings.push(error.message().to_owned()),
            Err(error) => return Err(error),
        }
        if error.primary_code() == ffi::SQLITE_ERROR {
            memory::push(&mut outcome.unjudged, needs(&table, &error))?;
        }
    }
    if outcome == Soundness::default() {
        // Each table can be checked separately, but the database as a whole cannot.
        outcome.unjudged.push(needs("the database", whole));
    }
    Ok(outcome)
}

/// Visits all leaves of a table's tree.
fn walk(conn: &Connection, table: &str, found: &mut Vec<String>) -> Result<()> {
    let sql = format!("SELECT count(*) FROM main.{} NOT INDEXED", quoted(table));
    match conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).map_err(Error::from) {
        Err(error) if error.is_damage() => found.push(format!("table {table}: {error}")),
        Err(error) if error.primary_code() != ffi::SQLITE_ERROR => return Err(error),
        _ => {}
    }
    Ok(())
}

fn needs(table: &str, error: &Error) -> String {
    match error.missing() {
        Some(missing) => format!("{table} needs {missing}"),
        None => format!("{table} needs what is missing here ({error})"),
    }
}

/// `sqlite_schema` and all tables, each with whether it is virtual.
fn tables(conn: &Connection) -> Result<Vec<(String, bool)>> {
    let mut tables = conn.prepare(
        "SELECT 'sqlite_schema', 0 UNION ALL
         SELECT CAST(name AS TEXT), rootpage = 0 FROM main.sqlite_schema WHERE CAST(type AS TEXT) = 'table' COLLATE NOCASE",
    )?;
    let tables = tables.query_and_then([], |row| -> Result<(String, bool)> { Ok((text(row, 0)?, row.get(1)?)) })?;
    memory::collected(tables)
}

fn run(conn: &Connection, check: Check, table: Option<&str>, most: usize, found: &mut Vec<String>) -> Result<()> {
    let subject = table.map_or_else(|| most.to_string(), quoted);
    let mut statement = conn.prepare(&format!("PRAGMA main.{}({subject})", check.pragma()))?;
    let mut rows = statement.query([])?;
    let before = found.len();
    while let Some(row) = rows.next()? {
        // Names in a damaged schema may not be UTF-8.
        let message = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default());
        let lines = lines(&message);
        // In other findings a line may be part of a name.
        let of_pages = message.starts_with(HEADLINE);
        if let Some(error) = lines.iter().find_map(|line| unread(line)).filter(|_| of_pages) {
            return Err(error);
        }
        for line in lines {
            memory::push(found, line)?;
        }
        found.truncate(before.saturating_add(most));
    }
    Ok(())
}

/// The error of a page that SQLite could not read for lack of memory or a disk error. SQLite reports it as a
/// finding (`checkAppendMsg` in btree.c), but it says nothing about the content.
fn unread(line: &str) -> Option<Error> {
    let (page, code) = line.split_once(": unable to get the page. error code=")?;
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    // Before 3.40, only the page is named.
    let is_place = match Vec::from_iter(page.split(' ')).as_slice() {
        ["Tree", tree, "page", page] => is_number(tree) && is_number(page),
        ["Page", page] => is_number(page),
        _ => false,
    };
    let code: i32 = code.parse().ok().filter(|_| is_place && is_number(code))?;
    let why = match code & 0xff {
        ffi::SQLITE_NOMEM => "out of memory",
        ffi::SQLITE_IOERR => "the file cannot be read",
        ffi::SQLITE_INTERRUPT => "interrupted",
        _ => return None,
    };
    Some(Error::new(code, format!("{why}: {page}")))
}

/// Splits a row: SQLite puts several findings about pages into one, after a line that names the database.
fn lines(message: &str) -> Vec<String> {
    let none = |line: &str| line.is_empty() || line == "ok" || line.starts_with(HEADLINE);
    message.lines().filter(|line| !none(line)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_was_not_read_is_no_finding() {
        let code = |line| unread(line).map(|error| error.code());
        assert_eq!(code("Tree 4 page 7: unable to get the page. error code=7"), Some(ffi::SQLITE_NOMEM));
        assert_eq!(code("Tree 4 page 7: unable to get the page. error code=8458"), Some(ffi::SQLITE_IOERR_CORRUPTFS));
        assert_eq!(code("Tree 4 page 7: unable to get the page. error code=11"), None);
        assert_eq!(code("Tree 4 page 7: btreeInitPage() returns error code 11"), None);
        assert_eq!(code("Page 7: unable to get the page. error code=7"), Some(ffi::SQLITE_NOMEM));
        assert_eq!(code("Page 5 is never used"), None);
    }

    #[test]
    fn a_name_is_not_taken_for_sqlites_own_words() {
        for line in [
            "row 1 missing from index i. error code=7",
            "row 1 missing from index : unable to get the page. error code=7",
            "row 1 missing from index Tree 4 page 7: unable to get the page. error code=7",
            "Tree x page 7: unable to get the page. error code=7",
            "Tree 4 page : unable to get the page. error code=7",
            "Tree 4 page 7: unable to get the page. error code=+7",
            "Tree 4 page 7: unable to get the page. error code=7 ",
            "Tree 4 page 7: unable to get the page. error code=",
        ] {
            assert!(unread(line).is_none(), "{line}");
        }
    }

    #[test]
    fn each_line_is_a_finding_but_for_the_headline() {
        let message = "*** in database main ***\nPage 4 is never used\nPage 5 is never used\n";
        assert_eq!(lines(message), ["Page 4 is never used", "Page 5 is never used"]);
        assert!(lines("ok").is_empty());
    }
}
