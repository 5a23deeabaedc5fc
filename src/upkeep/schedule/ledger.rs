//! What the schedule remembers: the tables `queuekeeper_jobs`, a row a job, and `queuekeeper_log`, a row a step that was run.
//!
//! # Promise
//!
//! Times are UTC, in SQLite's text. Each call is one statement, committed at once, so that a process that dies leaves
//! what it had begun marked as `running`; whoever runs the schedule next (there is only one at a time) marks that as
//! `interrupted`. The log is kept to the number of rows that the setting `history_rows` allows. A database that nobody has run
//! the schedule in has neither table, and that is no error. Only real tables are read.
//!
//! # How
//!
//! Writing goes through a connection of its own, since the caller is inside a `SELECT`.

use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, Params, params};

use super::due::{Failing, Past};
use crate::clock;
use crate::connection::{Caller, Sidecar};
use crate::error::{Error, Result};
use crate::progress::Watch;
use crate::schema;

const JOBS: &str = "queuekeeper_jobs";
const LOG: &str = "queuekeeper_log";

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

/// What is remembered of a job.
///
/// # Errors
///
/// Whatever SQLite says.
pub fn recall(conn: &Connection, job: &str) -> Result<Memory> {
    if !schema::has_table(conn, JOBS)? {
        return Ok(Memory::default());
    }
    let sql =
        "SELECT done_utc, due_utc, attempts, last_run_utc, last_status FROM main.queuekeeper_jobs WHERE job = ?1";
    let read = || -> rusqlite::Result<Memory> {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query([job])?;
        let Some(row) = rows.next()? else { return Ok(Memory::default()) };
        let text = |column| row.get::<_, Value>(column).map(text_of);
        let time = |column| text(column).map(|text| text.as_deref().and_then(clock::parse));
        let attempts = match row.get(2)? {
            Value::Integer(attempts) => u32::try_from(attempts).unwrap_or(0),
            _ => 0,
        };
        let (due, tried) = (time(1)?, time(3)?);
        let failing = due.zip(tried).filter(|_| attempts > 0);
        Ok(Memory {
            past: Past { done: time(0)?, failing: failing.map(|(due, tried)| Failing { due, attempts, tried }) },
            last_run: text(3)?,
            last_status: text(4)?,
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
            let text = |column| row.get::<_, Value>(column).map(text_of);
            Ok(Record {
                job: text(0)?.unwrap_or_default(),
                step: text(1)?.unwrap_or_default(),
                started: text(2)?.unwrap_or_default(),
                finished: text(3)?,
                status: text(4)?.unwrap_or_default(),
                detail: text(5)?,
            })
        })?;
        rows.collect()
    };
    read().map_err(unreadable)
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn unreadable(error: rusqlite::Error) -> Error {
    Error::from(error).explained().context("cannot read the schedule's tables")
}

/// The connection that writes.
pub struct Ledger<'a> {
    caller: &'a Caller,
    sidecar: Sidecar,
}

impl<'a> Ledger<'a> {
    /// Opens the ledger of the caller's main database, makes the tables where they are lacking, and marks what dead processes
    /// have left.
    ///
    /// # Errors
    ///
    /// What SQLite says: a database that cannot be opened or written, a lock that others hold longer than the caller waits.
    pub fn open(caller: &'a Caller, file: &std::path::Path) -> Result<Self> {
        let ledger = Self { caller, sidecar: Sidecar::open_writer(caller, file)? };
        if !schema::has_table(ledger.connection(), JOBS)? || !schema::has_table(ledger.connection(), LOG)? {
            ledger.write(
                "CREATE TABLE IF NOT EXISTS main.queuekeeper_jobs(job TEXT PRIMARY KEY NOT NULL, done_utc TEXT, due_utc TEXT,
                 attempts INTEGER NOT NULL DEFAULT 0, last_run_utc TEXT, last_status TEXT) WITHOUT ROWID",
                [],
            )?;
            ledger.write(
                "CREATE TABLE IF NOT EXISTS main.queuekeeper_log(id INTEGER PRIMARY KEY, job TEXT NOT NULL, step TEXT NOT NULL,
                 due_utc TEXT NOT NULL, started_utc TEXT NOT NULL, finished_utc TEXT, status TEXT NOT NULL, detail TEXT)",
                [],
            )?;
        }
        ledger.write(
            "UPDATE main.queuekeeper_jobs SET last_status = 'interrupted' WHERE last_status = 'running'",
            [],
        )?;
        ledger.write("UPDATE main.queuekeeper_log SET status = 'interrupted' WHERE status = 'running'", [])?;
        Ok(ledger)
    }

    /// The connection, for reading.
    pub fn connection(&self) -> &Connection {
        self.sidecar.connection()
    }

    fn write(&self, sql: &str, params: impl Params) -> Result<()> {
        let deadline = Instant::now() + self.caller.patience();
        let mut watch = Watch::new(self.caller, None);
        let conn = self.connection();
        let done = watch.over_waiting(conn, deadline, || conn.execute(sql, params))?;
        done.map(|_| ())
            .map_err(|error| Error::from(error).explained().context("cannot record the run in the database"))
    }

    /// A job begins.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::open`].
    pub fn begin(&self, job: &str, due: DateTime<Utc>, attempt: u32, now: DateTime<Utc>) -> Result<()> {
        self.write("INSERT OR IGNORE INTO main.queuekeeper_jobs(job) VALUES (?1)", [job])?;
        self.write(
            "UPDATE main.queuekeeper_jobs SET due_utc = ?2, attempts = ?3, last_run_utc = ?4, last_status = 'running'
             WHERE job = ?1",
            params![job, clock::sqlite_text(due), attempt, clock::sqlite_text(now)],
        )
    }

    /// A job has ended.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::open`].
    pub fn end(&self, job: &str, status: &str, done: Option<DateTime<Utc>>) -> Result<()> {
        self.write(
            "UPDATE main.queuekeeper_jobs SET last_status = ?2, done_utc = coalesce(?3, done_utc),
             attempts = CASE WHEN ?3 IS NULL THEN attempts ELSE 0 END WHERE job = ?1",
            params![job, status, done.map(clock::sqlite_text)],
        )
    }

    /// Nothing after `done` counts as done any more.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::open`].
    pub fn forget_beyond(&self, job: &str, done: DateTime<Utc>) -> Result<()> {
        self.write(
            "UPDATE main.queuekeeper_jobs SET done_utc = ?2, attempts = 0 WHERE job = ?1",
            params![job, clock::sqlite_text(done)],
        )
    }

    /// A step begins; its number in the log.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::open`].
    pub fn begin_step(&self, job: &str, step: &str, due: DateTime<Utc>, now: DateTime<Utc>) -> Result<i64> {
        self.write(
            "INSERT INTO main.queuekeeper_log(job, step, due_utc, started_utc, status) VALUES (?1, ?2, ?3, ?4, 'running')",
            params![job, step, clock::sqlite_text(due), clock::sqlite_text(now)],
        )?;
        Ok(self.connection().last_insert_rowid())
    }

    /// A step has ended.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::open`].
    pub fn end_step(&self, number: i64, status: &str, detail: &str, now: DateTime<Utc>) -> Result<()> {
        self.write(
            "UPDATE main.queuekeeper_log SET finished_utc = ?2, status = ?3, detail = ?4 WHERE id = ?1",
            params![number, clock::sqlite_text(now), status, detail],
        )
    }

    /// What a step came to that an earlier attempt at the same time has done.
    ///
    /// # Errors
    ///
    /// Whatever SQLite says.
    pub fn done_before(&self, job: &str, step: &str, due: DateTime<Utc>) -> Result<Option<String>> {
        use rusqlite::OptionalExtension;
        let sql = "SELECT detail FROM main.queuekeeper_log
                   WHERE job = ?1 AND step = ?2 AND due_utc = ?3 AND status = 'ok' ORDER BY id DESC LIMIT 1";
        let found = self.connection().query_row(sql, params![job, step, clock::sqlite_text(due)], |row| row.get(0));
        found.optional().map_err(unreadable)
    }

    /// Deletes the oldest rows of the log, so that `most` are left.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::open`].
    pub fn trim(&self, most: u64) -> Result<()> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.write(
            "DELETE FROM main.queuekeeper_log WHERE id <= (SELECT max(id) FROM main.queuekeeper_log) - ?1",
            [most],
        )
    }
}
