//! Keeps a restore from making jobs of the schedule due that had run.
//!
//! # Promise
//!
//! - Into a database: each job counts as done at the latest of the times that the database and the backup
//!   have for it. The rest of its row is that of the later run. The change is made in the rebuilt copy, so it
//!   is part of the restore's one transaction.
//! - A job that the backup shows at work, as the one that makes it always is, counts as done when it began;
//!   so do the jobs that shared the backup. The step that made it is `ok`.
//! - [`ROTATING`] counts as done at the restore: what the next restore may need is not rotated away at once.
//! - A database without a schedule gets none, and tables that are not as we make them are left as they are.
//!
//! # How
//!
//! Times by which a job was done stay remembered as earlier ones, among which the schedule finds the one that
//! counts, whatever clock was wrong.

use chrono::{DateTime, Utc};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, ffi, params};
use serde_json::json;

use super::prepare::change;
use crate::backup::artifact;
use crate::backup::catalog::entry::Entry;
use crate::clock;
use crate::error::Result;
use crate::files::Staged;
use crate::progress::Watch;
use crate::retention::clocks::TOLERANCE;
use crate::schema::{self, jobs};

/// The job that rotates.
const ROTATING: &str = "daily";
/// The jobs that share a backup, the rarest last.
const SHARERS: [&str; 3] = ["daily", "weekly", "monthly"];
const RUNNING: &str = "running";

/// A row of `queuekeeper_jobs`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    job: String,
    /// Until when it is done, and earlier such times.
    done: Vec<DateTime<Utc>>,
    due: Option<String>,
    attempts: i64,
    began: Option<DateTime<Utc>>,
    status: Option<String>,
}

/// The rows; none of a database without a schedule, or whose table is damaged.
pub fn rows(conn: &Connection) -> Result<Vec<Row>> {
    match read(conn) {
        Err(error)
            if matches!(error.primary_code(), ffi::SQLITE_BUSY | ffi::SQLITE_INTERRUPT | ffi::SQLITE_NOMEM) =>
        {
            Err(error)
        }
        read => Ok(read.unwrap_or_default()),
    }
}

fn read(conn: &Connection) -> Result<Vec<Row>> {
    if !schema::has_table(conn, jobs::TABLE)? {
        return Ok(Vec::new());
    }
    let earlier = if jobs::has_earlier(conn)? { jobs::EARLIER } else { "NULL" };
    let text = |column: &str| format!("CASE typeof({column}) WHEN 'text' THEN substr({column}, 1, 1024) END");
    let columns = ["job", "done_utc", earlier, "due_utc", "last_run_utc", "last_status"].map(text).join(", ");
    let sql = format!("SELECT {columns}, CAST(attempts AS INTEGER) FROM main.{} LIMIT {}", jobs::TABLE, jobs::MOST);
    let mut statement = conn.prepare(&sql)?;
    let found = statement.query_map([], |row| {
        let text = |column| row.get::<_, Option<String>>(column);
        let times = [text(1)?, text(2)?].into_iter().flatten().collect::<Vec<_>>().join(",");
        Ok(Row {
            job: text(0)?.unwrap_or_default(),
            done: times.split(',').filter_map(clock::parse).collect(),
            due: text(3)?,
            attempts: row.get::<_, Option<i64>>(6)?.unwrap_or_default(),
            began: text(4)?.as_deref().and_then(clock::parse),
            status: text(5)?,
        })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Brings the jobs of a rebuilt copy up to date.
pub struct Keep<'a> {
    pub rebuilt: &'a Staged,
    pub entry: &'a Entry,
    pub now: DateTime<Utc>,
}

impl Keep<'_> {
    /// Merges the rows of the database that will be replaced; returns the copy, opened for reading.
    pub fn source(&self, before: &[Row], watch: &mut Watch<'_>) -> Result<Connection> {
        self.merge(before, watch)?;
        artifact::open_immutable(self.rebuilt.handle()?, self.rebuilt.path())
    }

    /// Merges rows into the copy.
    pub fn merge(&self, before: &[Row], watch: &mut Watch<'_>) -> Result<()> {
        let known = rows(&artifact::open_immutable(self.rebuilt.handle()?, self.rebuilt.path())?)?;
        if before.is_empty() && known.is_empty() {
            return Ok(());
        }
        let merged = change(self.rebuilt, watch, |conn| {
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
            let work = conn.unchecked_transaction()?;
            self.write(&work, before, &known)?;
            Ok(work.commit()?)
        });
        // Somebody made or changed the tables.
        merged.or_else(|error| match error.primary_code() {
            ffi::SQLITE_ERROR | ffi::SQLITE_CONSTRAINT | ffi::SQLITE_MISMATCH => Ok(()),
            _ => Err(error),
        })
    }

    fn write(&self, work: &Transaction<'_>, before: &[Row], known: &[Row]) -> Result<()> {
        jobs::create(work)?;
        let sharers = SHARERS.iter().copied().filter(|job| self.shared_since(job, known).is_some());
        let mut names: Vec<&str> = known.iter().chain(before).map(|row| row.job.as_str()).chain(sharers).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !name.is_empty());
        for name in names {
            let (old, new) = (of(before, name), of(known, name));
            let times = self.done(name, old, new, known);
            // One that shares the backup of another has not begun yet in the first call of all.
            let began = self.shared_since(name, known);
            let first = Row { job: name.into(), began, status: Some("ok".into()), ..Row::default() };
            let old_is_later = old.is_some() && old.map(|row| row.began) >= new.map(|row| row.began);
            let row = if old_is_later { old.or(new) } else { new.or(old) };
            store(work, row.unwrap_or(&first), &times, old_is_later)?;
        }
        let made = json!({
            "id": self.entry.id, "name": self.entry.name, "created_at": self.entry.created_at,
            "note": "the database was restored from this backup",
        });
        if schema::has_table(work, jobs::LOG)? {
            let sql = "UPDATE main.queuekeeper_log SET status = 'ok', finished_utc = ?1, detail = ?2
                       WHERE status = 'running' AND step = 'backup' AND job IN ('daily', 'weekly', 'monthly')";
            let created = clock::parse_rfc3339(&self.entry.created_at).map(clock::sqlite_text);
            work.execute(sql, params![created, made.to_string()])?;
        }
        Ok(())
    }

    /// Every time by which the job is done, the one that counts first.
    fn done(&self, name: &str, old: Option<&Row>, new: Option<&Row>, known: &[Row]) -> Vec<DateTime<Utc>> {
        let mut times: Vec<_> = old.into_iter().chain(new).flat_map(|row| row.done.iter().copied()).collect();
        times.extend(new.filter(|row| row.is_running()).and_then(|row| row.began));
        if new.is_none_or(|row| row.attempts == 0) {
            times.extend(self.shared_since(name, known));
        }
        if name == ROTATING {
            times.push(self.now);
        }
        times.sort_unstable_by_key(|time| std::cmp::Reverse((*time - self.now <= TOLERANCE, *time)));
        times.dedup();
        times
    }

    /// When the job began that made the backup, if it did so for this one, too, and before it.
    fn shared_since(&self, name: &str, known: &[Row]) -> Option<DateTime<Utc>> {
        let place = |job: &str| SHARERS.iter().position(|sharer| *sharer == job);
        let (own, named) = (place(name)?, self.entry.name.as_deref().and_then(place)?);
        let makers = known.iter().filter(|row| row.is_running() && place(&row.job).is_some_and(|maker| maker < own));
        makers.filter_map(|row| row.began).max().filter(|_| own <= named)
    }
}

impl Row {
    fn is_running(&self) -> bool {
        self.status.as_deref() == Some(RUNNING)
    }
}

fn of<'a>(rows: &'a [Row], job: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.job == job)
}

/// Stores a job's row, that of the database before if `old`. The log's rows of its earlier attempts are not in
/// the copy then.
fn store(work: &Transaction<'_>, row: &Row, times: &[DateTime<Utc>], old: bool) -> Result<()> {
    let mut times = times.iter().copied().map(clock::sqlite_text);
    let done = times.next();
    let earlier: Vec<String> = times.take(jobs::MOST_EARLIER).collect();
    // The copy of its own maker: the rest of that run is not in it.
    let ended = row.is_running() && !old;
    let (status, attempts) = if ended { (Some("ok".to_owned()), 0) } else { (row.status.clone(), row.attempts) };
    work.execute(
        "INSERT INTO main.queuekeeper_jobs(job) SELECT ?1
         WHERE NOT EXISTS (SELECT 1 FROM main.queuekeeper_jobs WHERE job = ?1)",
        [&row.job],
    )?;
    work.execute(
        "UPDATE main.queuekeeper_jobs SET done_utc = ?2, done_earlier_utc = nullif(?3, ''), due_utc = ?4, attempts = ?5,
         last_run_utc = ?6, last_status = ?7 WHERE job = ?1",
        params![row.job, done, earlier.join(","), row.due, attempts, row.began.map(clock::sqlite_text), status],
    )?;
    if old && schema::has_table(work, jobs::LOG)? {
        let sql =
            "UPDATE main.queuekeeper_jobs SET began_behind = (SELECT coalesce(max(id), 0) FROM main.queuekeeper_log)
                   WHERE job = ?1";
        work.execute(sql, [&row.job])?;
    }
    Ok(())
}
