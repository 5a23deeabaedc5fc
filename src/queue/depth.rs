//! The number of tasks in each status.
//!
//! # Promise
//!
//! One row per status in use, sorted by status. `oldest_utc` and `newest_utc` are its first and last times of
//! creation, NULL without such a column. Reads every task once.

use rusqlite::Connection;

use super::excerpts::cell;
use super::mapping::{Mapping, Role};
use crate::error::Result;
use crate::memory;

/// A row of `queue_depth`.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    /// As stored.
    pub status: rusqlite::types::Value,
    pub tasks: i64,
    pub oldest_utc: rusqlite::types::Value,
    pub newest_utc: rusqlite::types::Value,
}

/// Maps each row with `each`.
pub fn depth<T>(conn: &Connection, each: impl Fn(Depth) -> T) -> Result<Vec<T>> {
    let mapping = Mapping::require(conn, &[Role::Status])?;
    let (created, time) = (mapping.column(Role::CreatedAt)?, mapping.time()?);
    let sql = format!(
        "SELECT {status}, count(*), {oldest}, {newest} FROM {table} GROUP BY 1 ORDER BY 1",
        status = mapping.column(Role::Status)?,
        oldest = time.shown(&format!("min({created})")),
        newest = time.shown(&format!("max({created})")),
        table = mapping.table(),
    );
    let read = || -> Result<Vec<T>> {
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_and_then([], |row| -> Result<T> {
            Ok(each(Depth {
                status: cell(row, 0)?,
                tasks: row.get(1)?,
                oldest_utc: cell(row, 2)?,
                newest_utc: cell(row, 3)?,
            }))
        })?;
        memory::collected(rows)
    };
    read().map_err(|error| error.context("cannot count the tasks"))
}
