//! Leases of dead workers: which they are, and how their tasks get back into the queue.
//!
//! # Promise
//!
//! - Which leases are stale, [`super::stale`] defines, and what becomes of their tasks, [`super::changes`]. Whether one is, is
//!   judged in the very statement that requeues it, so a lease that is renewed in the meantime is not stolen.
//! - A task that has used up its attempts, and so becomes dead rather than queued, counts as requeued all the same.
//! - Inside a transaction of the caller it is one statement of that transaction, to be committed or rolled back with
//!   it. Otherwise it runs in batches, each a transaction of its own, short enough for other writers to get their turn
//!   in between.
//! - The cost follows the number of leases, not of tasks, given an index that the status leads; without one, all tasks are read
//!   once.
//!
//! # How
//!
//! The stale leases are listed first, by rowid, then requeued by that list, each judged again: so a lease that a trigger makes
//! anew is not taken twice, and the work ends. An `UPDATE` that our function runs inside the caller's `SELECT` commits by itself
//! when it ends, as any statement in autocommit does, so no BEGIN or COMMIT is needed. (Inside a statement that writes another
//! schema it does not; then there is no sense in pausing.) [`super::pace`] says how large the batches are, and how long the pauses.

use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, ffi, params};

use super::changes;
use super::pace::Pace;
use super::patience;
use super::shape::{Role, Shape};
use super::stale::{self, Pieces};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::host::{self, Transaction};
use crate::progress::Watch;

/// A hundred years, in seconds: a longer grace is a slip.
const LONGEST_GRACE: i64 = 3_155_760_000;

/// Without these columns there are no leases.
pub(super) const NEEDED: &[Role] = &[Role::Id, Role::Status, Role::LeaseUntil];

/// A lease whose time is over.
#[derive(Debug, Clone, PartialEq)]
pub struct StaleLease {
    /// The task.
    pub task_id: Value,
    /// The status, as the queue stores it.
    pub status: Value,
    /// The worker.
    pub locked_by: Value,
    /// When the lease ended.
    pub lease_until_utc: Value,
    /// How long ago that was.
    pub overdue_seconds: i64,
    /// Attempts so far.
    pub attempts: Value,
}

/// The stale leases, longest overdue first. Without a grace, what the setting `stale_secs` says counts.
///
/// # Errors
///
/// A grace out of range, no task table, or whatever SQLite says.
pub fn stale(conn: &Connection, grace: Option<i64>, now: DateTime<Utc>) -> Result<Vec<StaleLease>> {
    let limit = limit(patience::seconds(conn, grace)?, now)?;
    let shape = require(conn)?;
    let pieces = Pieces::of(conn, &shape, limit)?;
    let id = shape.column(Role::Id)?;
    let sql = format!(
        "SELECT {id}, {status}, {locked_by}, {lease_until}, ?2 - {ended}, {attempts}
         FROM {table} WHERE {stale} ORDER BY 5 DESC, 1",
        status = shape.column(Role::Status)?,
        locked_by = shape.column(Role::LockedBy)?,
        lease_until = shape.time()?.shown(&shape.column(Role::LeaseUntil)?),
        ended = pieces.ended,
        attempts = shape.column(Role::Attempts)?,
        table = shape.table_by_status(conn)?,
        stale = pieces.stale,
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

/// How many leases are over for so many seconds.
///
/// # Errors
///
/// As for [`stale`].
pub fn count(conn: &Connection, grace: i64, now: DateTime<Utc>) -> Result<i64> {
    let limit = limit(grace, now)?;
    let shape = require(conn)?;
    let sql = format!(
        "SELECT count(*) FROM {} WHERE {}",
        shape.table_by_status(conn)?,
        Pieces::of(conn, &shape, limit)?.stale
    );
    conn.query_row(&sql, [limit], |row| row.get(0))
        .map_err(|error| Error::from(error).context("cannot count the stale leases"))
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
    let stale = Pieces::of(conn, &shape, limit)?.stale;
    let changes = changes::of_stale(&shape)?;
    let present = shape.time()?.write(now);
    let work = Requeue { caller, conn, table: shape.table_by_status(conn)?, shape, stale, changes, limit, present };
    if conn.is_autocommit() && host::transaction(conn) == Transaction::None { work.in_batches() } else { work.once() }
}

/// Puts every task that a worker holds back into the queue, stale or not: in a database that was restored, the workers of that
/// time know nothing of their leases any more. Nothing, if there is no task table.
///
/// # Errors
///
/// Whatever SQLite says.
pub fn requeue_all(conn: &Connection, now: DateTime<Utc>) -> Result<usize> {
    let Some(shape) = Shape::find(conn)? else { return Ok(0) };
    if !shape.has(Role::Status)? {
        return Ok(0);
    }
    let sql = format!(
        "UPDATE {} SET {} WHERE {} AND ?1 IS NULL AND ?2 IS NOT NULL",
        shape.table(),
        changes::of_any(&shape)?,
        stale::leased(&shape)?
    );
    conn.execute(&sql, params![Value::Null, shape.time()?.write(now)])
        .map_err(|error| Error::from(error).context("cannot requeue the leases"))
}

fn require(conn: &Connection) -> Result<Shape> {
    Shape::require(conn, NEEDED)
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

struct Requeue<'a> {
    caller: &'a Caller,
    conn: &'a Connection,
    shape: Shape,
    table: String,
    stale: String,
    changes: String,
    limit: i64,
    present: Value,
}

impl Requeue<'_> {
    fn once(&self) -> Result<usize> {
        let sql = format!(
            // ?2 is bound whether or not there is a column for it.
            "UPDATE {} SET {} WHERE {} AND ?2 IS NOT NULL",
            self.table, self.changes, self.stale
        );
        self.conn.execute(&sql, params![self.limit, self.present]).map_err(|error| self.explain(error.into()))
    }

    fn in_batches(&self) -> Result<usize> {
        let key = self.shape.row_key(self.conn)?;
        let keys = self.stale_keys(&key).map_err(|error| self.explain(error.into()))?;
        let mut watch = Watch::new(self.caller, None);
        let (mut pace, mut total, mut rest) = (Pace::start(), 0, keys.as_slice());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(pace.batch().min(rest.len()));
            rest = later;
            let started = Instant::now();
            let done = self.batch(&key, now).map_err(|error| {
                self.explain(error.into()).context(format!("requeued {total} tasks, then stopped"))
            })?;
            total += done;
            let pause = pace.pause_after(started.elapsed());
            let committed = host::transaction(self.conn) != Transaction::Write;
            if committed && !rest.is_empty() {
                watch.pause(pause)?;
            }
        }
        Ok(total)
    }

    fn stale_keys(&self, key: &str) -> rusqlite::Result<Vec<Value>> {
        // In this order, neighbours in the table share a batch, and so the pages that it writes.
        let sql = format!("SELECT {key} FROM {} WHERE {} ORDER BY 1", self.table, self.stale);
        let mut statement = self.conn.prepare(&sql)?;
        let keys = statement.query_map([self.limit], |row| row.get(0))?;
        keys.collect()
    }

    fn batch(&self, key: &str, keys: &[Value]) -> rusqlite::Result<usize> {
        let sql = format!(
            "UPDATE {} SET {} WHERE {key} IN ({}) AND {} AND ?2 IS NOT NULL",
            self.shape.table(),
            self.changes,
            (3..keys.len() + 3).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", "),
            self.stale
        );
        let mut statement = self.conn.prepare(&sql)?;
        statement.raw_bind_parameter(1, self.limit)?;
        statement.raw_bind_parameter(2, &self.present)?;
        for (place, key) in keys.iter().enumerate() {
            statement.raw_bind_parameter(place + 3, key)?;
        }
        statement.raw_execute()
    }

    /// What stands in the way, and what to do about it.
    fn explain(&self, error: Error) -> Error {
        let error = error.context("cannot requeue");
        match error.primary_code() {
            ffi::SQLITE_BUSY => {}
            ffi::SQLITE_READONLY => return error.advice("open the database for writing"),
            _ => return error,
        }
        let Ok(standing) = self.caller.standing() else { return error };
        if standing.wal() && standing.transaction == Transaction::Read {
            return error.advice(
                "another connection has committed since this one began to read; finish its open statements or transaction and call \
                 again",
            );
        }
        error.advice(
            standing
                .in_the_way()
                .unwrap_or_else(|| "another connection is writing; try again, or raise PRAGMA busy_timeout".into()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_has_limits() {
        let now = crate::clock::from_unix(1_000_000_000).unwrap();
        assert_eq!(limit(300, now).unwrap(), 1_000_000_000 - 300);
        for grace in [-1, i64::MIN, i64::MAX, LONGEST_GRACE + 1] {
            assert!(limit(grace, now).unwrap_err().message().contains("from 0 to"), "{grace}");
        }
    }
}
