//! Leases that will never be stale, because nobody can tell when they end.
//!
//! # Promise
//!
//! Counted is each task that a worker holds whose lease is neither stale nor going to be: without a time, with one that
//! the queue's `time_format` does not read, with one before the year 2000, or with one more than ten years ahead (9999 is how programs
//! write "never"). No such task is ever requeued, so a worker that dies holding one takes it along.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::excerpts::cell;
use super::leases::NEEDED;
use super::mapping::{Mapping, Role};
use super::stale;
use super::time::{EARLIEST, latest};
use crate::error::{Error, Result};

/// The leases that nobody can read.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// How many there are.
    pub tasks: i64,
    /// One of their times; NULL where they have none.
    pub example: Value,
}

/// Counts them; `None` without a queue.
///
/// # Errors
///
/// A queue that lacks a column, settings that cannot be used, or whatever SQLite says.
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
