//! Tasks in a status that no setting names.
//!
//! # Promise
//!
//! According to the settings, such a task neither waits, nor is held, nor is over: it is never requeued. The
//! cause may be a mistake in a setting or in a program. NULL is such a status. At most [`MOST_TASKS`] tasks
//! are counted per status. With an index that the status leads, only the first [`MOST_STATUSES`] statuses are
//! examined; without one, every task is read once.

use rusqlite::Connection;

use super::counts::status_of;
use super::mapping::{Mapping, Role};
use crate::error::Result;
use crate::memory;

pub const MOST_TASKS: i64 = 100_000;
const MOST_STATUSES: i64 = 64;

/// The status as text, and its number of tasks.
pub type Unknown = (String, i64);

/// The statuses that no setting names, most frequent first; `None` without a task table that has a status.
pub fn statuses(conn: &Connection) -> Result<Option<Vec<Unknown>>> {
    let Some(mapping) = Mapping::find(conn)? else { return Ok(None) };
    if !mapping.has(Role::Status)? {
        return Ok(None);
    }
    let sql = match mapping.indexed_by_status(conn)? {
        Some(indexed) => by_index(&mapping, &indexed)?,
        None => by_task(&mapping)?,
    };
    let read = || -> Result<Vec<Unknown>> {
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok((status_of(row)?.unwrap_or_default(), row.get(1)?)))?;
        memory::collected(rows)
    };
    let mut found = read().map_err(|error| error.context("cannot look for unknown statuses"))?;
    found.retain(|&(_, tasks)| tasks > 0);
    found.sort_by_key(|&(_, tasks)| std::cmp::Reverse(tasks));
    Ok(Some(found))
}

/// Steps through the index from one status to the next. Whether a status is known is decided on one of its
/// tasks, by the column's own comparison rules.
fn by_index(mapping: &Mapping, indexed: &str) -> Result<String> {
    let (column, known) = (mapping.column(Role::Status)?, mapping.known()?);
    let status = format!("{column} COLLATE BINARY");
    Ok(format!(
        "WITH RECURSIVE present(status) AS (
           SELECT (SELECT min({status}) FROM {indexed})
           UNION ALL
           SELECT (SELECT min({status}) FROM {indexed} WHERE {status} > present.status)
           FROM present WHERE present.status IS NOT NULL
           LIMIT {MOST_STATUSES})
         SELECT CAST(present.status AS TEXT),
                (SELECT count(*) FROM (SELECT 1 FROM {indexed} WHERE {status} = present.status LIMIT {MOST_TASKS}))
         FROM present
         WHERE present.status IS NOT NULL
           AND NOT (SELECT {column} IN ({known}) FROM {indexed} WHERE {status} = present.status LIMIT 1)
         UNION ALL
         SELECT 'NULL', (SELECT count(*) FROM (SELECT 1 FROM {indexed} WHERE {column} IS NULL LIMIT {MOST_TASKS}))"
    ))
}

fn by_task(mapping: &Mapping) -> Result<String> {
    let (column, known) = (mapping.column(Role::Status)?, mapping.known()?);
    Ok(format!(
        "SELECT CAST(ifnull(status, 'NULL') AS TEXT) AS status, count(*)
         FROM (SELECT {column} AS status FROM {} WHERE {column} IS NULL OR {column} NOT IN ({known}) LIMIT {MOST_TASKS})
         GROUP BY 1",
        mapping.table()
    ))
}
