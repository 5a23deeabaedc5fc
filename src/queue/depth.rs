//! How many tasks there are in each status.
//!
//! # Promise
//!
//! One row for each status that any task has, in the order of the status. `oldest_utc` and `newest_utc` are the first
//! and the last time of creation among them, NULL where the queue has no such column. Counting reads every task once.

use rusqlite::Connection;

use super::excerpts::cell;
use super::mapping::{Mapping, Role};
use crate::error::Result;
use crate::memory;

/// The tasks of one status.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    /// The status, as the queue stores it.
    pub status: rusqlite::types::Value,
    /// How many tasks have it.
    pub tasks: i64,
    /// The first time of creation.
    pub oldest_utc: rusqlite::types::Value,
    /// The last time of creation.
    pub newest_utc: rusqlite::types::Value,
}

/// The depth of the queue in the connection's main database, each status as `each` makes it.
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
