//! Leases of dead workers: which they are, and how their tasks get back into the queue.
//!
//! # Promise
//!
//! - A task is held by a worker in the statuses `leased` and `processing`. Its lease is **stale** when
//!   `lease_until_utc` is more than the given number of seconds in the past. A lease without an end, or with one that
//!   SQLite's date functions cannot read, is not stale: nothing is known about it.
//! - Requeuing sets `status` to `queued`, clears `locked_by`, `lease_until_utc` and `reserved_at_utc`, and sets
//!   `updated_at_utc`. Whether a lease is stale is judged in the very statement that requeues it, so a lease that is
//!   renewed in the meantime is not stolen.
//! - Inside a transaction of the caller it is one statement of that transaction, to be committed or rolled back with
//!   it. Otherwise it runs in batches, each a transaction of its own, short enough for other writers to get their turn
//!   in between.
//! - The cost follows the number of leases, not of tasks, given an index that `status` leads.
//!
//! # How
//!
//! An `UPDATE` that our function runs inside the caller's `SELECT` commits by itself when it ends, as any statement
//! in autocommit does, so no BEGIN or COMMIT is needed. The size of a batch follows the clock: [`BATCH_TIME`] each.
//! Waiting writers poll (SQLite's busy handler sleeps 1, 2, 5, 10 … 100 ms), so the pause after a batch is twice as long
//! as the batch was: most polls find the database free.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ffi, params};

use super::shape::{self, LEASED, QUEUED, Shape};
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::host::{self, Transaction};
use crate::progress::Watch;

/// How long a lease must be over by default, in seconds.
pub const DEFAULT_GRACE: i64 = 300;
/// A hundred years, in seconds: a longer grace is a slip.
const LONGEST_GRACE: i64 = 3_155_760_000;

const BATCH_TIME: Duration = Duration::from_millis(5);
const FIRST_BATCH: i64 = 64;
const LARGEST_BATCH: i64 = 4096;

/// A lease whose time is over.
#[derive(Debug, Clone, PartialEq)]
pub struct StaleLease {
    /// The task.
    pub task_id: rusqlite::types::Value,
    /// `leased` or `processing`.
    pub status: String,
    /// The worker.
    pub locked_by: rusqlite::types::Value,
    /// When the lease ended.
    pub lease_until_utc: rusqlite::types::Value,
    /// How long ago that was.
    pub overdue_seconds: i64,
    /// Attempts so far.
    pub attempts: rusqlite::types::Value,
}

/// The stale leases, longest overdue first.
///
/// # Errors
///
/// A grace out of range, no task table, or whatever SQLite says.
pub fn stale(conn: &Connection, grace: i64, now: DateTime<Utc>) -> Result<Vec<StaleLease>> {
    let limit = limit(grace, now)?;
    let shape = require(conn)?;
    let sql = format!(
        "SELECT id, status, {locked_by}, lease_until_utc, ?2 - CAST(strftime('%s', lease_until_utc) AS INTEGER) AS overdue,
                {attempts}
         FROM {table} {index} WHERE {stale} ORDER BY overdue DESC, id",
        locked_by = shape.column("locked_by"),
        attempts = shape.column("attempts"),
        table = Shape::table(),
        index = shape::status_index(conn)?,
        stale = stale_condition(),
    );
    let read = || -> rusqlite::Result<Vec<StaleLease>> {
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_map(params![limit, now.timestamp()], |row| {
            Ok(StaleLease {
                task_id: row.get(0)?,
                status: row.get(1)?,
                locked_by: row.get(2)?,
                lease_until_utc: row.get(3)?,
                overdue_seconds: row.get(4)?,
                attempts: row.get(5)?,
            })
        })?;
        rows.collect()
    };
    read().map_err(|error| Error::from(error).context("cannot read the leases"))
}

/// Puts the tasks of stale leases back into the queue; how many.
///
/// # Errors
///
/// A grace out of range, no task table, a read-only database, or a lock that others hold. What earlier batches have
/// requeued stays requeued; the message says how many.
pub fn requeue(caller: &Caller, grace: i64, now: DateTime<Utc>) -> Result<usize> {
    let conn = caller.connection();
    let limit = limit(grace, now)?;
    let shape = require(conn)?;
    let alone = conn.is_autocommit() && host::transaction(conn) == Transaction::None;
    let update =
        Requeue { conn, sql: update_sql(&shape, &shape::status_index(conn)?), limit, now: clock::sqlite_text(now) };
    if alone { update.in_batches(caller) } else { update.once(-1) }
}

/// Puts every task that a worker holds back into the queue, stale or not: in a database that was restored, the workers of that
/// time know nothing of their leases any more. Nothing, if there is no task table.
///
/// # Errors
///
/// Whatever SQLite says.
pub fn requeue_all(conn: &Connection, now: DateTime<Utc>) -> Result<usize> {
    let shape = match Shape::find(conn)? {
        Some(shape) if shape.has("status") => shape,
        _ => return Ok(0),
    };
    let [leased, processing] = LEASED;
    let sql = format!(
        "UPDATE {} SET {} WHERE status IN ('{leased}', '{processing}') AND ?2 IS NOT NULL",
        Shape::table(),
        changes(&shape)
    );
    conn.execute(&sql, params![rusqlite::types::Null, clock::sqlite_text(now)]).map_err(|error| explain(error.into()))
}

fn require(conn: &Connection) -> Result<Shape> {
    Shape::require(conn, &["id", "status", "lease_until_utc"])
}

/// The Unix time before which a lease must have ended.
fn limit(grace: i64, now: DateTime<Utc>) -> Result<i64> {
    if (0..=LONGEST_GRACE).contains(&grace) {
        return Ok(now.timestamp() - grace);
    }
    Err(Error::usage(format!(
        "secs is {grace}; pass for how many seconds a lease must be over, from 0 to {LONGEST_GRACE}"
    )))
}

fn stale_condition() -> String {
    let [leased, processing] = LEASED;
    // The cast makes an unreadable time NULL, which no comparison accepts.
    format!("status IN ('{leased}', '{processing}') AND CAST(strftime('%s', lease_until_utc) AS INTEGER) < ?1")
}

/// What requeuing changes; ?2 is the present time.
fn changes(shape: &Shape) -> String {
    let mut changes = vec![format!("status = '{QUEUED}'")];
    for column in ["locked_by", "lease_until_utc", "reserved_at_utc"] {
        if shape.has(column) {
            changes.push(format!("{column} = NULL"));
        }
    }
    if shape.has("updated_at_utc") {
        changes.push("updated_at_utc = ?2".into());
    }
    changes.join(", ")
}

/// One statement for both ways: with a limit for batches, with -1 (no limit) inside the caller's transaction.
fn update_sql(shape: &Shape, index: &str) -> String {
    format!(
        "UPDATE {table} SET {changes} WHERE id IN (SELECT id FROM {table} {index} WHERE {stale} LIMIT ?3)",
        table = Shape::table(),
        changes = changes(shape),
        stale = stale_condition()
    )
}

struct Requeue<'a> {
    conn: &'a Connection,
    sql: String,
    limit: i64,
    now: String,
}

impl Requeue<'_> {
    fn once(&self, most: i64) -> Result<usize> {
        self.conn.execute(&self.sql, params![self.limit, self.now, most]).map_err(|error| explain(error.into()))
    }

    fn in_batches(&self, caller: &Caller) -> Result<usize> {
        let mut watch = Watch::new(caller, None);
        let mut batch = FIRST_BATCH;
        let mut total = 0;
        loop {
            let started = Instant::now();
            let done =
                self.once(batch).map_err(|error| error.context(format!("requeued {total} tasks, then stopped")))?;
            let took = started.elapsed();
            total += done;
            if i64::try_from(done).unwrap_or(i64::MAX) < batch {
                return Ok(total);
            }
            batch = if took < BATCH_TIME { batch * 2 } else { batch / 2 };
            batch = batch.clamp(FIRST_BATCH / 4, LARGEST_BATCH);
            watch.pause(took * 2)?;
        }
    }
}

fn explain(error: Error) -> Error {
    match (error.primary_code(), error.code()) {
        (_, ffi::SQLITE_BUSY_SNAPSHOT) => error.context("cannot requeue").advice(
            "another connection has committed since this one began to read; finish its open statements or transaction \
             and call again",
        ),
        (ffi::SQLITE_BUSY, _) => error
            .context("cannot requeue")
            .advice("another connection is writing; try again, or raise PRAGMA busy_timeout"),
        (ffi::SQLITE_READONLY, _) => error
            .context("cannot requeue")
            .advice("open the database for writing"),
        _ => error.context("cannot requeue"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_has_limits() {
        let now = clock::from_unix(1_000_000_000).unwrap();
        assert_eq!(limit(300, now).unwrap(), 1_000_000_000 - 300);
        for grace in [-1, i64::MIN, i64::MAX, LONGEST_GRACE + 1] {
            assert!(limit(grace, now).unwrap_err().message().contains("from 0 to"), "{grace}");
        }
    }
}
