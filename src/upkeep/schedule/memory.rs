//! What is remembered: reading the tables `queuekeeper_jobs`, a row a job, and `queuekeeper_log`, a row a step that was run.
//!
//! # Promise
//!
//! A database that nobody has run the schedule in has neither table, and that is no error. Only real tables are read: a view of
//! such a name would run somebody else's SQL. Rows that somebody edited by hand are taken for what can be understood of them:
//! what is no time, or no number, counts as absent, so that at worst a job is run once more.

use rusqlite::{Connection, Row, params};

use super::due::{Failing, MOST_EARLIER, Past, Slot};
use crate::clock;
use crate::error::{Error, Result};
use crate::schema;

pub use crate::schema::JOBS;
/// The table with a row a step that was run.
pub const LOG: &str = "queuekeeper_log";

/// The column with the times of [`Past::earlier`], separated by commas.
pub const EARLIER: &str = "done_earlier_utc";

/// What is remembered of a job.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Its past.
    pub past: Past,
    /// When it last began.
    pub last_run: Option<String>,
    /// What became of that: `running`, `ok`, `failed`, `interrupted`.
    pub last_status: Option<String>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The job.
    pub job: String,
    /// Its step.
    pub step: String,
    /// When the step began.
    pub started: String,
    /// When it ended, if it did.
    pub finished: Option<String>,
    /// `running`, `ok`, `failed`, `skipped`, `interrupted`.
    pub status: String,
    /// What it came to: JSON, or the error in words.
    pub detail: Option<String>,
}

/// Whether the table of the jobs has the column [`EARLIER`].
///
/// # Errors
///
/// Whatever SQLite says.
pub fn has_earlier(conn: &Connection) -> Result<bool> {
    Ok(schema::columns(conn, JOBS)?.iter().any(|column| column.name.eq_ignore_ascii_case(EARLIER)))
}

/// What is remembered of a job.
///
/// # Errors
///
/// Whatever SQLite says.
pub fn recall(conn: &Connection, job: &str) -> Result<Memory> {
    if !schema::has_table(conn, JOBS)? {
        return Ok(Memory::default());
    }
    // Tables of version 0.1.0 have no such column.
    let earlier = if has_earlier(conn)? { EARLIER } else { "NULL" };
    let sql = format!(
        "SELECT done_utc, due_utc, attempts, last_run_utc, last_status, {earlier} FROM main.queuekeeper_jobs WHERE job = ?1"
    );
    let read = || -> rusqlite::Result<Memory> {
        let mut statement = conn.prepare(&sql)?;
        let mut rows = statement.query([job])?;
        let Some(row) = rows.next()? else { return Ok(Memory::default()) };
        let time = |column| text(row, column).map(|text| text.as_deref().and_then(clock::parse));
        let attempts = row.get_ref(2)?.as_i64().ok().and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or(0);
        let failing = time(1)?.zip(time(3)?).filter(|_| attempts > 0);
        Ok(Memory {
            past: Past {
                done: time(0)?,
                earlier: text(row, 5)?
                    .iter()
                    .flat_map(|times| times.split(','))
                    .filter_map(clock::parse)
                    .take(MOST_EARLIER)
                    .collect(),
                failing: failing.map(|(due, tried)| Failing { due, attempts, tried }),
            },
            last_run: text(row, 3)?,
            last_status: text(row, 4)?,
        })
    };
    read().map_err(unreadable)
}

/// The log, newest first.
///
/// # Errors
///
/// Whatever SQLite says.
pub fn history(conn: &Connection) -> Result<Vec<Record>> {
    if !schema::has_table(conn, LOG)? {
        return Ok(Vec::new());
    }
    let sql =
        "SELECT job, step, started_utc, finished_utc, status, detail FROM main.queuekeeper_log ORDER BY id DESC";
    let read = || -> rusqlite::Result<Vec<Record>> {
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Record {
                job: text(row, 0)?.unwrap_or_default(),
                step: text(row, 1)?.unwrap_or_default(),
                started: text(row, 2)?.unwrap_or_default(),
                finished: text(row, 3)?,
                status: text(row, 4)?.unwrap_or_default(),
                detail: text(row, 5)?,
            })
        })?;
        rows.collect()
    };
    read().map_err(unreadable)
}

/// What a step came to that an earlier attempt at the same time has done. What was done before the first attempt does not count:
/// when a clock was set back, the same time comes again.
///
/// # Errors
///
/// Whatever SQLite says.
pub fn done_before(conn: &Connection, slot: Slot<'_>, step: &str) -> Result<Option<String>> {
    let sql = "SELECT detail FROM main.queuekeeper_log
               WHERE job = ?1 AND step = ?2 AND due_utc = ?3 AND status = 'ok'
                 AND id > (SELECT began_behind FROM main.queuekeeper_jobs WHERE job = ?1) ORDER BY id DESC LIMIT 1";
    let read = || -> rusqlite::Result<Option<String>> {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query(params![slot.job, step, clock::sqlite_text(slot.due)])?;
        rows.next()?.map_or(Ok(None), |row| text(row, 0))
    };
    read().map_err(unreadable)
}

/// A text need not be UTF-8, and need not be one.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let value = row.get_ref(column)?;
    let is_text = value.data_type() == rusqlite::types::Type::Text;
    let bytes = if is_text { value.as_bytes().ok() } else { None };
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

fn unreadable(error: rusqlite::Error) -> Error {
    explained(Error::from(error).context("cannot read the schedule's tables"))
}

/// The error of a statement on the two tables.
pub fn explained(error: Error) -> Error {
    if error.code() == rusqlite::ffi::SQLITE_ERROR {
        return error.advice(
            "it seems that somebody made or changed the tables queuekeeper_jobs or queuekeeper_log; drop or rename both, and they \
             are made anew (each job then counts as one that never ran)",
        );
    }
    error.explained()
}
