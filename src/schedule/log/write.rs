//! Writes the tables `queuekeeper_jobs` and `queuekeeper_log`.
//!
//! # Promise
//!
//! Times are UTC in SQLite's text format. Each statement is committed at once, so the work of a process that
//! dies stays marked as `running`. The next run (there is only one at a time) marks it as `interrupted`. The
//! log keeps the number of rows that the setting `history_rows` allows, always including the newest of each
//! step, so that monthly steps are not displaced by frequent ones. A view or virtual table of such a name is
//! refused.
//!
//! # How
//!
//! It uses a connection of its own, since the caller is inside a `SELECT`. Triggers are off: one on these
//! tables, by whoever made the database, could change the log or stop the schedule.

use std::cell::Cell;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Params, params};

use super::read::{JOBS, LOG, explained, has_earlier};
use crate::bounds;
use crate::clock;
use crate::connection::{Caller, Sidecar};
use crate::error::{Error, Result};
use crate::host;
use crate::progress::{RETRY, Watch};
use crate::schedule::due::{Past, Slot};
use crate::schema;
use crate::settings::exclusive;

/// The wait for others while recording an interrupt.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The connection that writes the log.
pub struct LogWriter<'a> {
    caller: &'a Caller,
    sidecar: Sidecar,
    /// Whether to ignore interrupts.
    deaf: Cell<bool>,
}

impl<'a> LogWriter<'a> {
    /// Opens the log of the caller's main database, and creates the tables if needed.
    pub fn open(caller: &'a Caller, file: &std::path::Path) -> Result<Self> {
        let log = Self { caller, sidecar: Sidecar::open_writer(caller, file)?, deaf: Cell::new(false) };
        log.sidecar.connection().set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        let complete = log.read(|conn| {
            for table in [JOBS, LOG] {
                schema::refuse_impostor(conn, table, "the schedule has no memory")?;
            }
            Ok(schema::has_table(conn, JOBS)? && schema::has_table(conn, LOG)?)
        })?;
        if !complete {
            log.read(|conn| exclusive::refuse(conn, "the schedule"))?;
            log.write(schema::jobs::CREATE, [])?;
            log.write(
                "CREATE TABLE IF NOT EXISTS main.queuekeeper_log(id INTEGER PRIMARY KEY, job TEXT NOT NULL, step TEXT NOT NULL,
                 due_utc TEXT NOT NULL, started_utc TEXT NOT NULL, finished_utc TEXT, status TEXT NOT NULL, detail TEXT)",
                [],
            )?;
        }
        if !log.read(has_earlier)? {
            log.write(schema::jobs::ADD_EARLIER, [])?;
        }
        Ok(log)
    }

    /// Marks what dead processes left of the schedule's own jobs. Only under the schedule's lock, which
    /// proves that they are dead.
    pub fn mark_interrupted(&self) -> Result<()> {
        self.write("UPDATE main.queuekeeper_jobs SET last_status = 'interrupted' WHERE last_status = 'running'", [])?;
        self.write(
            "UPDATE main.queuekeeper_log SET status = 'interrupted' WHERE status = 'running'
             AND job IN (SELECT job FROM main.queuekeeper_jobs)",
            [],
        )?;
        Ok(())
    }

    /// Reads, waiting for others: with a rollback journal a writer may be committing, and the connection has
    /// no timeout.
    pub fn read<T>(&self, look: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.waiting(look)?
    }

    /// Records what an interrupt has ended. The interrupt, still pending, is ignored; the wait for others is
    /// short.
    pub fn after_interrupt<T>(&self, record: impl FnOnce(&Self) -> T) -> T {
        self.deaf.set(true);
        let recorded = record(self);
        self.deaf.set(false);
        recorded
    }

    fn waiting<T>(&self, body: impl FnOnce(&Connection) -> T) -> Result<T> {
        let conn = self.sidecar.connection();
        if self.deaf.get() {
            let deadline = Instant::now() + LAST_WORDS;
            let mut again = |_attempts| {
                std::thread::sleep(RETRY);
                Instant::now() < deadline
            };
            return Ok(host::while_busy(conn, &mut again, || body(conn)));
        }
        let deadline = Instant::now() + self.caller.patience();
        Watch::new(self.caller, None).run_with_lock(conn, deadline, || body(conn))
    }

    /// Runs a statement; returns the number of rows changed.
    fn write(&self, sql: &str, params: impl Params) -> Result<usize> {
        let done = self.waiting(|conn| conn.execute(sql, params))?;
        done.map_err(|error| explained(Error::from(error).context("cannot record the run in the database")))
    }

    pub fn begin(&self, slot: Slot<'_>, now: DateTime<Utc>) -> Result<()> {
        // A table made by hand may have no key.
        self.write(
            "INSERT INTO main.queuekeeper_jobs(job) SELECT ?1
             WHERE NOT EXISTS (SELECT 1 FROM main.queuekeeper_jobs WHERE job = ?1)",
            [slot.job],
        )?;
        self.write(
            "UPDATE main.queuekeeper_jobs SET due_utc = ?2, attempts = ?3, last_run_utc = ?4, last_status = 'running',
             began_behind = CASE WHEN ?3 > 1 THEN began_behind
                                 ELSE (SELECT coalesce(max(id), 0) FROM main.queuekeeper_log) END
             WHERE job = ?1",
            params![slot.job, clock::sqlite_text(slot.due), slot.attempt, clock::sqlite_text(now)],
        )?;
        Ok(())
    }

    /// Records the end of a job without success.
    pub fn fail(&self, job: &str, status: &str) -> Result<()> {
        self.write("UPDATE main.queuekeeper_jobs SET last_status = ?2 WHERE job = ?1", [job, status])?;
        Ok(())
    }

    /// Records that a job is done up to `done`, with `status` if it ran. Later times no longer count as done;
    /// what `past` has is kept as earlier.
    pub fn done(&self, job: &str, status: Option<&str>, done: DateTime<Utc>, past: &Past) -> Result<()> {
        let earlier: Vec<String> = past.earlier_than(done).into_iter().map(clock::sqlite_text).collect();
        self.write(
            "UPDATE main.queuekeeper_jobs SET last_status = coalesce(?2, last_status), done_utc = ?3,
             done_earlier_utc = nullif(?4, ''), attempts = 0 WHERE job = ?1",
            params![job, status, clock::sqlite_text(done), earlier.join(",")],
        )?;
        Ok(())
    }

    /// Records the beginning of a step; returns its row number.
    pub fn begin_step(&self, slot: Slot<'_>, step: &str, now: DateTime<Utc>) -> Result<i64> {
        self.write(
            "INSERT INTO main.queuekeeper_log(job, step, due_utc, started_utc, status) VALUES (?1, ?2, ?3, ?4, 'running')",
            params![slot.job, step, clock::sqlite_text(slot.due), clock::sqlite_text(now)],
        )?;
        Ok(self.sidecar.connection().last_insert_rowid())
    }

    /// Records the end of a step. `detail` is cut to what is read again.
    pub fn end_step(&self, number: i64, status: &str, detail: &str, now: DateTime<Utc>) -> Result<()> {
        self.write(
            "UPDATE main.queuekeeper_log SET finished_utc = ?2, status = ?3, detail = ?4 WHERE id = ?1",
            params![number, clock::sqlite_text(now), status, bounds::beginning(detail, bounds::LOG_DETAIL)],
        )?;
        Ok(())
    }

    /// Records the beginning of others' step; returns its row number. An earlier one that is still `running`
    /// has died.
    pub fn begin_of_others(&self, job: &str, step: &str, now: DateTime<Utc>) -> Result<i64> {
        self.write(
            "UPDATE main.queuekeeper_log SET status = 'interrupted' WHERE job = ?1 AND step = ?2 AND status = 'running'",
            [job, step],
        )?;
        self.begin_step(Slot { job, due: now, attempt: 1 }, step, now)
    }

    /// Records the end of others' step; returns its row number. Without a recorded beginning it took no time.
    pub fn end_of_others(
        &self,
        job: &str,
        step: &str,
        status: &str,
        detail: &str,
        now: DateTime<Utc>,
    ) -> Result<i64> {
        let sql = "SELECT max(id) FROM main.queuekeeper_log WHERE job = ?1 AND step = ?2 AND status = 'running'";
        let running = self.waiting(|conn| conn.query_row(sql, [job, step], |row| row.get::<_, Option<i64>>(0)))?;
        let running = running.map_err(|error| explained(Error::from(error).context("cannot read the log")))?;
        let number = match running {
            Some(number) => number,
            None => self.begin_step(Slot { job, due: now, attempt: 1 }, step, now)?,
        };
        self.end_step(number, status, detail, now)?;
        Ok(number)
    }

    /// Deletes rows so that `most` are left: the newest of each step, then the newest.
    pub fn trim(&self, most: u64) -> Result<()> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.write(
            "DELETE FROM main.queuekeeper_log WHERE id IN
             (SELECT id FROM main.queuekeeper_log
              ORDER BY id IN (SELECT max(id) FROM main.queuekeeper_log GROUP BY job, step) DESC, id DESC LIMIT -1 OFFSET ?1)",
            [most],
        )?;
        Ok(())
    }
}
