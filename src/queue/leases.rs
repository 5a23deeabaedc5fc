//! Lists stale leases, which dead workers left. [`super::requeue`] puts their tasks back.
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
use super::stale::StaleSql;
use crate::error::{Error, Result};
use crate::memory;

/// A hundred years in seconds: a longer grace is a mistake.
const LONGEST_GRACE: i64 = 3_155_760_000;

/// The columns without which there are no leases.
pub(super) const NEEDED: &[Role] = &[Role::Id, Role::Status, Role::LeaseUntil];

/// A row of `queue_stale`.
#[derive(Debug, Clone, PartialEq)]
pub struct StaleLease {
    pub task_id: Value,
    /// As stored.
    pub status: Value,
    pub locked_by: Value,
    pub lease_until_utc: Value,
    pub overdue_seconds: i64,
    pub attempts: Value,
    /// Why the last requeue could not put it back, else NULL.
    pub blocked: Value,
}

/// The stale leases, longest overdue first, mapped with `each`. The default grace is the setting
/// `stale_secs`.
pub fn stale<T>(
    conn: &Connection,
    grace: Option<i64>,
    now: DateTime<Utc>,
    each: impl Fn(StaleLease) -> T,
) -> Result<Vec<T>> {
    let limit = limit(default_grace::seconds(conn, grace)?, now)?;
    let mapping = require(conn)?;
    let pieces = StaleSql::of(conn, &mapping, limit)?;
    let id = mapping.column(Role::Id)?;
    let sql = format!(
        "SELECT {id}, {status}, {locked_by}, {lease_until}, ?2 - {ended}, {attempts}, {blocked}
         FROM {table} WHERE {stale} ORDER BY 5 DESC, 1",
        status = mapping.column(Role::Status)?,
        locked_by = mapping.column(Role::LockedBy)?,
        lease_until = mapping.time()?.shown(&mapping.column(Role::LeaseUntil)?),
        ended = pieces.ended,
        attempts = mapping.column(Role::Attempts)?,
        blocked = blocked::reason_of(conn, &mapping)?,
        table = mapping.table_by_status(conn)?,
        stale = pieces.stale,
    );
    let read = || -> Result<Vec<T>> {
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_and_then(params![limit, now.timestamp()], |row| -> Result<T> {
            Ok(each(StaleLease {
                task_id: cell(row, 0)?,
                status: cell(row, 1)?,
                locked_by: cell(row, 2)?,
                lease_until_utc: cell(row, 3)?,
                overdue_seconds: row.get(4)?,
                attempts: cell(row, 5)?,
                blocked: cell(row, 6)?,
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
    let mut wanted = StaleSql::of(conn, &mapping, limit)?.stale;
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
