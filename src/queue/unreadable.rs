//! Leases that never become stale, because their end is unknown.
//!
//! # Promise
//!
//! Counts each held task whose lease has no time, one that the queue's `time_format` cannot read, one before
//! the year 2000, or one more than ten years ahead (programs write 9999 for "never"). Such a task is never
//! requeued, so it is lost with a worker that dies.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::excerpts::cell;
use super::leases::NEEDED;
use super::mapping::{Mapping, Role};
use super::stale;
use super::time::{EARLIEST, latest};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    pub tasks: i64,
    /// One of their times, or NULL.
    pub example: Value,
}

/// Counts them; `None` without a queue.
pub fn leases(conn: &Connection, now: DateTime<Utc>) -> Result<Option<Unreadable>> {
    let Some(mapping) = Mapping::find(conn)? else { return Ok(None) };
    mapping.needs(NEEDED)?;
    let lease = mapping.column(Role::LeaseUntil)?;
    let sql = format!(
        "SELECT count(*), min({lease}) FROM {} WHERE {} AND NOT ifnull({} BETWEEN {EARLIEST} AND ?1, 0)",
        mapping.table_by_status(conn)?,
        stale::leased(&mapping)?,
        mapping.time()?.seconds(&lease)
    );
    conn.query_row_and_then(&sql, params![latest(now)], |row| {
        Ok(Some(Unreadable { tasks: row.get(0)?, example: cell(row, 1)? }))
    })
    .map_err(|error: Error| error.context("cannot count the unreadable leases"))
}
