//! Reads the tables `queuekeeper_jobs`, a row per job, and `queuekeeper_log`, a row per step that ran.
//!
//! # Promise
//!
//! Missing tables are no error: the schedule never ran. Only real tables are read, as a view of that name
//! would run somebody else's SQL. Of rows edited by hand, invalid times and numbers count as absent, so that
//! at worst a job runs once more. Texts are read up to their bounds, and a log that is too large as a whole
//! is an error.

use rusqlite::{Connection, Row, params};

use crate::bounds;
use crate::clock;
use crate::error::{Error, Result};
use crate::memory;
use crate::schedule::due::{Failing, MOST_EARLIER, Past, Slot};
use crate::schema;

pub use crate::schema::jobs::{EARLIER, LOG, TABLE as JOBS, has_earlier};

/// A row of `queuekeeper_jobs`.
#[derive(Debug, Clone, Default)]
pub struct JobRecord {
    pub past: Past,
    /// When it last began.
    pub last_run: Option<String>,
    /// `running`, `ok`, `failed`, `interrupted`.
    pub last_status: Option<String>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub job: String,
    pub step: String,
    pub started: String,
    pub finished: Option<String>,
    /// `running`, `ok`, `failed`, `skipped`, `interrupted`.
    pub status: String,
    /// JSON, or an error message.
    pub detail: Option<String>,
}

/// Reads a job's row.
pub fn job_record(conn: &Connection, job: &str) -> Result<JobRecord> {
    if !schema::has_table(conn, JOBS)? {
        return Ok(JobRecord::default());
    }
    // Version 0.1.0 has no such column.
    let earlier = if has_earlier(conn)? { EARLIER } else { "NULL" };
    let sql = format!(
        "SELECT done_utc, due_utc, attempts, last_run_utc, last_status, {earlier} FROM main.queuekeeper_jobs WHERE job = ?1"
    );
    let read = || -> rusqlite::Result<JobRecord> {
        let mut statement = conn.prepare(&sql)?;
        let mut rows = statement.query([job])?;
        let Some(row) = rows.next()? else { return Ok(JobRecord::default()) };
        let time = |column| word(row, column).map(|text| text.as_deref().and_then(clock::parse));
        let attempts = row.get_ref(2)?.as_i64().ok().and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or(0);
        let failing = time(1)?.zip(time(3)?).filter(|_| attempts > 0);
        Ok(JobRecord {
            past: Past {
                done: time(0)?,
                earlier: word(row, 5)?
                    .iter()
                    .flat_map(|times| times.split(','))
                    .filter_map(clock::parse)
                    .take(MOST_EARLIER)
                    .collect(),
                failing: failing.map(|(due, tried)| Failing { due, attempts, tried }),
            },
            last_run: word(row, 3)?,
            last_status: word(row, 4)?,
        })
    };
    read().map_err(unreadable)
}

/// The log, newest first. Fails if it is too large.
pub fn history(conn: &Connection) -> Result<Vec<Record>> {
    if !schema::has_table(conn, LOG)? {
        return Ok(Vec::new());
    }
    let sql =
        "SELECT job, step, started_utc, finished_utc, status, detail FROM main.queuekeeper_log ORDER BY id DESC";
    let mut statement = conn.prepare(sql).map_err(unreadable)?;
    let mut rows = statement.query([]).map_err(unreadable)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(unreadable)? {
        let record = record(row).map_err(unreadable)?;
        bytes += bounds::LOG_ROW + record.length();
        if bytes > bounds::LOG_BYTES {
            return Err(too_large());
        }
        memory::push(&mut found, record)?;
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        job: word(row, 0)?.unwrap_or_default(),
        step: word(row, 1)?.unwrap_or_default(),
        started: word(row, 2)?.unwrap_or_default(),
        finished: word(row, 3)?,
        status: word(row, 4)?.unwrap_or_default(),
        detail: text(row, 5, bounds::LOG_DETAIL)?,
    })
}

impl Record {
    /// Bytes of all its texts.
    fn length(&self) -> usize {
        let some = [&self.finished, &self.detail].map(|text| text.as_ref().map_or(0, String::len));
        let others = [&self.job, &self.step, &self.started, &self.status].map(String::len);
        some.into_iter().chain(others).sum()
    }
}

fn too_large() -> Error {
    Error::usage(format!(
        "the table {LOG} holds more than the {} bytes that are read of it; lower the setting history_rows, which the next queue_run_due() \
         goes by, or delete rows that queuekeeper did not write",
        bounds::LOG_BYTES
    ))
}

/// The result of a step in an earlier attempt at the same time. Rows from before the first attempt do not
/// count: after a clock was set back, the same time comes again.
pub fn done_before(conn: &Connection, slot: Slot<'_>, step: &str) -> Result<Option<String>> {
    let sql = "SELECT detail FROM main.queuekeeper_log
               WHERE job = ?1 AND step = ?2 AND due_utc = ?3 AND status = 'ok'
                 AND id > (SELECT began_behind FROM main.queuekeeper_jobs WHERE job = ?1) ORDER BY id DESC LIMIT 1";
    let read = || -> rusqlite::Result<Option<String>> {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query(params![slot.job, step, clock::sqlite_text(slot.due)])?;
        rows.next()?.map_or(Ok(None), |row| text(row, 0, bounds::LOG_DETAIL))
    };
    read().map_err(unreadable)
}

pub(super) fn word(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    text(row, column, bounds::LOG_WORD)
}

/// The beginning of a text that may not be UTF-8; `None` for other types.
pub(super) fn text(row: &Row<'_>, column: usize, most: usize) -> rusqlite::Result<Option<String>> {
    let value = row.get_ref(column)?;
    let is_text = value.data_type() == rusqlite::types::Type::Text;
    let bytes = if is_text { value.as_bytes().ok() } else { None };
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned()))
}

pub(super) fn unreadable(error: rusqlite::Error) -> Error {
    explained(Error::from(error).context("cannot read the schedule's tables"))
}

/// The error of a statement on the two tables, with advice.
pub fn explained(error: Error) -> Error {
    if error.code() == rusqlite::ffi::SQLITE_ERROR {
        return error.advice(
            "it seems that somebody made or changed the tables queuekeeper_jobs or queuekeeper_log; drop or rename both, and they \
             are made anew (each job then counts as one that never ran)",
        );
    }
    error.explained()
}
