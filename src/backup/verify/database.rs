//! Checks a plain database by SQLite's pragmas and the recorded task counts.
//!
//! # Promise
//!
//! - A delta is refused (see [`recognize`]).
//! - What needs functions or collations of the application is no finding, but reported as not judged (see
//!   [`sqlite_checks`]).
//! - A schema that only another SQLite can read is no finding either (see [`newer_sqlite`]).
//! - An I/O error is an error, never a finding.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use super::newer_sqlite;
use crate::backup::artifact;
use crate::backup::artifact::kind::Level;
use crate::backup::artifact::recognize;
use crate::backup::catalog::entry::Entry;
use crate::error::{Error, Result};
use crate::files;
use crate::host::disk_errors;
use crate::json::canonical;
use crate::json::object::Object;
use crate::phase::Phase;
use crate::progress::Watch;
use crate::queue::counts::{self, Counts};
use crate::sqlite_checks::{self, Check, Soundness};

/// More are of no use.
const MOST_FINDINGS: usize = 20;

/// Checks a plain database in an open file by pragmas, and at level `full` by its task counts. `path` is for
/// errors. Fails if it cannot be checked.
pub fn check_database(
    file: &File,
    path: &Path,
    entry: &Entry,
    level: Level,
    watch: &mut Watch<'_>,
) -> Result<Soundness> {
    let conn = artifact::open_immutable(files::duplicate(file, path)?, path)?;
    watch.begin_uncounted(Phase::Checking)?;
    let outcome: Result<Soundness> = watch.run(&conn, || {
        recognize::refuse_delta(&conn, Path::new(&entry.backup_path))?;
        let mut found = pragma_findings(&conn, level)?;
        // Nothing is recorded of a foreign backup.
        if level == Level::Full && found.findings.is_empty() && entry.content_digest.is_some() {
            judge(
                &mut found,
                "the number of tasks",
                count_findings(&conn, entry.task_counts.as_ref().map(Object::fields).as_ref()),
            )?;
        }
        Ok(found)
    })?;
    if !matches!(&outcome, Ok(found) if found.findings.is_empty())
        && let Some(cause) = disk_errors::disk_error(&conn)
    {
        return Err(Error::io("read", path, &cause));
    }
    match outcome {
        Err(error) if newer_sqlite::is_of_schema(&error) => check_without_schema(&conn, file, entry, error, watch),
        outcome => outcome,
    }
}

/// Checks a database without the parts of its schema that this SQLite does not understand. If that has no
/// findings, the database cannot be judged, which is an error. Returns `error` if nothing indicates another
/// SQLite.
fn check_without_schema(
    conn: &Connection,
    file: &File,
    entry: &Entry,
    error: Error,
    watch: &mut Watch<'_>,
) -> Result<Soundness> {
    let another = entry.content_digest.is_some() || newer_sqlite::is_newer(file, entry);
    if !another || !newer_sqlite::can_be_read(conn) {
        return Err(error);
    }
    if entry.content_digest.is_none() {
        let mut found = watch.run(conn, || pragma_findings(conn, Level::Quick))??;
        found.findings.retain(|finding| !newer_sqlite::is_of_what_was_left_out(finding));
        if !found.findings.is_empty() {
            return Ok(found);
        }
    }
    Err(newer_sqlite::refusal_of_backup(file, entry, &error))
}

/// Adds the findings of one check, unless the connection lacks what it needs.
fn judge(found: &mut Soundness, what: &str, part: Result<Vec<String>>) -> Result<()> {
    match part {
        Ok(findings) => found.findings.extend(findings),
        Err(error) => match error.missing() {
            Some(missing) => found.unjudged.push(format!("{what} needs {missing}")),
            None => return Err(error),
        },
    }
    Ok(())
}

fn pragma_findings(conn: &Connection, level: Level) -> Result<Soundness> {
    let check = if level == Level::Full { Check::Full } else { Check::Quick };
    let mut found = sqlite_checks::check(conn, check, MOST_FINDINGS)?;
    for finding in &mut found.findings {
        *finding = format!("{}: {finding}", check.pragma());
    }
    if level == Level::Full {
        judge(&mut found, "foreign_key_check", foreign_keys(conn))?;
        found.findings.truncate(MOST_FINDINGS);
    }
    Ok(found)
}

fn foreign_keys(conn: &Connection) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut statement = conn.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, rowid, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let rowid = rowid.map_or_else(|| "?".to_owned(), |rowid| rowid.to_string());
        found.push(format!("foreign_key_check: row {rowid} of {table} has no match in {parent}"));
        if found.len() >= MOST_FINDINGS {
            break;
        }
    }
    Ok(found)
}

/// Without recorded counts there was no task table, or counting failed.
fn count_findings(conn: &Connection, recorded: Option<&Counts>) -> Result<Vec<String>> {
    let Some(recorded) = recorded else { return Ok(Vec::new()) };
    let found = counts::by_status(conn)?;
    if found.as_ref() == Some(recorded) {
        return Ok(Vec::new());
    }
    let text = |counts: &Counts| canonical::text(&Value::Object(counts.clone()));
    let found = found.as_ref().map_or_else(|| "no task table".to_owned(), text);
    Ok(vec![format!("the tasks by status are {found}, but were {}", text(recorded))])
}
