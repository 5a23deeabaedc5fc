//! Lists leases: the stale ones, which dead workers left, or all. [`super::requeue`] puts their tasks back.
//!
//! # Promise
//!
//! - [`super::stale`] defines which leases are stale.
//! - Leases show why the last requeue could not put them back, see [`super::blocked`].
//! - Reading changes nothing. With an index that the status leads, the cost follows the number of leases;
//!   without one, all tasks are read once.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::blocked;
use super::default_grace;
use super::excerpts::cell;
use super::mapping::{Mapping, Role};
use super::stale::{condition as stale_condition, leased};
use super::time::{EARLIEST, latest};
use crate::error::{Error, Result};
use crate::memory;

/// A hundred years in seconds: a longer grace is a mistake.
const LONGEST_GRACE: i64 = 3_155_760_000;

/// The columns without which there are no leases.
pub(super) const NEEDED: &[Role] = &[Role::Id, Role::Status, Role::LeaseUntil];

/// A row of `queue_leases`; `queue_stale` shows part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    pub task_id: Value,
    /// As stored.
    pub status: Value,
    pub locked_by: Value,
    pub lease_until_utc: Value,
    /// Below 0 until the lease ends; NULL if its time is not readable.
    pub overdue_seconds: Value,
    pub attempts: Value,
    /// Why the last requeue could not put it back, else NULL.
    pub blocked: Value,
    pub task_type: Value,
    /// When it ends, UTC; NULL if its time is not readable, or is when the claim began.
    pub ends_utc: Value,
}

/// The stale leases, longest overdue first, mapped with `each`. The default grace is the setting
/// `stale_secs`.
pub fn stale<T>(
    conn: &Connection,
    grace: Option<i64>,
    now: DateTime<Utc>,
    each: impl Fn(Lease) -> T,
) -> Result<Vec<T>> {
    let limit = limit(default_grace::seconds(conn, grace)?, now)?;
    let mapping = require(conn)?;
    list(conn, &mapping, &stale_condition(conn, &mapping, limit)?, limit, now, each)
}

/// All leases, stale or not, the first to end first.
pub fn all<T>(conn: &Connection, now: DateTime<Utc>, each: impl Fn(Lease) -> T) -> Result<Vec<T>> {
    let mapping = require(conn)?;
    list(conn, &mapping, &format!("{} AND ?1 IS NOT NULL", leased(&mapping)?), 0, now, each)
}

/// The leases for which `condition` holds with `limit` for ?1.
fn list<T>(
    conn: &Connection,
    mapping: &Mapping,
    condition: &str,
    limit: i64,
    now: DateTime<Utc>,
    each: impl Fn(Lease) -> T,
) -> Result<Vec<T>> {
    let id = mapping.column(Role::Id)?;
    let column = mapping.column(Role::LeaseUntil)?;
    let ended = mapping.time()?.seconds(&column);
    let ended = format!("CASE WHEN {ended} BETWEEN {EARLIEST} AND ?3 THEN {ended} END");
    let ends =
        if !default_grace::has_end(mapping)? { "NULL".into() } else { format!("datetime({ended}, 'unixepoch')") };
    let sql = format!(
        "SELECT {id}, {status}, {locked_by}, {lease_until}, ?2 - {ended}, {attempts}, {blocked}, {task_type}, {ends}
         FROM {table} WHERE {condition} ORDER BY 5 DESC, 1",
        status = mapping.column(Role::Status)?,
        locked_by = mapping.column(Role::LockedBy)?,
        lease_until = mapping.time()?.shown(&column),
        attempts = mapping.column(Role::Attempts)?,
        blocked = blocked::reason_of(conn, mapping)?,
        task_type = mapping.column(Role::Type)?,
        table = mapping.table_by_status(conn)?,
    );
    let read = || -> Result<Vec<T>> {
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_and_then(params![limit, now.timestamp(), latest(now)], |row| -> Result<T> {
            Ok(each(Lease {
                task_id: cell(row, 0)?,
                status: cell(row, 1)?,
                locked_by: cell(row, 2)?,
                lease_until_utc: cell(row, 3)?,
                overdue_seconds: cell(row, 4)?,
                attempts: cell(row, 5)?,
                blocked: cell(row, 6)?,
                task_type: cell(row, 7)?,
                ends_utc: cell(row, 8)?,
            }))
        })?;
        memory::collected(rows)
    };
    read().map_err(|error| error.context("cannot read the leases"))
}

/// The number of leases overdue by `grace` seconds.
pub fn count(conn: &Connection, grace: i64, now: DateTime<Utc>) -> Result<i64> {
    count_where(conn, grace, now, |_| Ok(None))
}

/// The number of these that the last requeue could not put back.
pub fn count_blocked(conn: &Connection, grace: i64, now: DateTime<Utc>) -> Result<i64> {
    if !blocked::is_there(conn)? {
        return Ok(0);
    }
    count_where(conn, grace, now, |mapping| Ok(Some(format!("{} IS NOT NULL", blocked::reason_of(conn, mapping)?))))
}

fn count_where(
    conn: &Connection,
    grace: i64,
    now: DateTime<Utc>,
    condition: impl Fn(&Mapping) -> Result<Option<String>>,
) -> Result<i64> {
    let limit = limit(grace, now)?;
    let mapping = require(conn)?;
    let mut wanted = stale_condition(conn, &mapping, limit)?;
    if let Some(condition) = condition(&mapping)? {
        wanted.push_str(&format!(" AND {condition}"));
    }
    let sql = format!("SELECT count(*) FROM {} WHERE {wanted}", mapping.table_by_status(conn)?);
    conn.query_row(&sql, [limit], |row| row.get(0))
        .map_err(|error| Error::from(error).context("cannot count the stale leases"))
}

/// The queue's mapping; fails if a column that leases need is missing.
pub fn require(conn: &Connection) -> Result<Mapping> {
    Mapping::require(conn, NEEDED)
}

/// The Unix time before which a lease must have ended.
pub fn limit(grace: i64, now: DateTime<Utc>) -> Result<i64> {
    if (0..=LONGEST_GRACE).contains(&grace) {
        return Ok(now.timestamp() - grace);
    }
    Err(Error::usage(format!(
        "secs is {grace}; pass for how many seconds a lease must be over, from 0 to {LONGEST_GRACE}"
    )))
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
