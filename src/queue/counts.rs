//! Task counts by status, which every backup records.
//!
//! # Promise
//!
//! The counts are from one snapshot, and add up to the number of tasks. A status is shown as text, NULL as
//! `NULL`; statuses with the same text (1 and '1') are counted together.
//!
//! # How
//!
//! Counting runs on a thread beside the reading of pages, so on a machine with two cores it costs time, and
//! `GROUP BY` takes a tenth of a second for a million tasks. With an index that the status leads it is four
//! times as fast:
//!
//! - A loop steps through the index from one status to the next. (SQLite's skip-scan needs `ANALYZE`:
//!   <https://www.sqlite.org/optoverview.html#skipscan>.)
//! - The entries of one status are counted without comparisons.
//! - SQLite counts all entries of a table by the page, so the count of one status is the remainder. It should
//!   be the most frequent status, which is finished in most queues. No setting names that, so the first
//!   status that no setting names is taken. Another choice would only cost time.
//!
//! It is a single statement, so its snapshot is consistent even outside a transaction.

use rusqlite::{Connection, Row};
use serde_json::{Map, Value};

use super::excerpts;
use super::mapping::{Mapping, Role};
use crate::error::{Error, Result};
use crate::memory;
use crate::settings::registry::{STATUS_DEAD, STATUS_QUEUED};

pub type Counts = Map<String, Value>;

/// With more statuses, stepping through them is slower. A queue has fewer than ten.
const MOST: usize = 64;

/// Task counts by status; `None` without a task table that has a status.
pub fn by_status(conn: &Connection) -> Result<Option<Counts>> {
    let Some(mapping) = Mapping::find(conn)? else { return Ok(None) };
    if !mapping.has(Role::Status)? {
        return Ok(None);
    }
    let by_index = match mapping.indexed_by_status(conn)? {
        Some(indexed) => by_index(conn, &mapping, &indexed)?,
        None => None,
    };
    match by_index {
        Some(counts) => Ok(Some(counts)),
        None => by_task(conn, &mapping).map(Some),
    }
}

/// Reads every task.
fn by_task(conn: &Connection, mapping: &Mapping) -> Result<Counts> {
    let status = mapping.column(Role::Status)?;
    let sql = format!(
        "SELECT {status} AS status, count(*) AS tasks FROM {} GROUP BY {status} COLLATE BINARY",
        mapping.table()
    );
    let read = || -> Result<Counts> {
        let mut statement =
            conn.prepare(&format!("SELECT CAST(ifnull(status, 'NULL') AS TEXT), tasks FROM ({sql})"))?;
        let (mut rows, mut counts) = (statement.query([])?, Counts::new());
        while let Some(row) = rows.next()? {
            memory::check()?;
            add(&mut counts, status_of(row)?.unwrap_or_default(), row.get(1)?);
        }
        Ok(counts)
    };
    read().map_err(cannot)
}

/// Uses the index; `None` if there are too many statuses, or damaged indexes that disagree.
fn by_index(conn: &Connection, mapping: &Mapping, indexed: &str) -> Result<Option<Counts>> {
    // The index compares bytes, the column may not.
    let (column, table) = (mapping.column(Role::Status)?, mapping.table());
    let status = format!("{column} COLLATE BINARY");
    let (queued, leased, dead) = (mapping.status(&STATUS_QUEUED)?, mapping.leased()?, mapping.status(&STATUS_DEAD)?);
    let sql = format!(
        "WITH RECURSIVE present(status) AS (
           SELECT (SELECT min({status}) FROM {indexed})
           UNION ALL
           SELECT (SELECT min({status}) FROM {indexed} WHERE {status} > present.status)
           FROM present WHERE present.status IS NOT NULL
           LIMIT {most}),
         rest(status) AS (SELECT min(status) FROM present WHERE status NOT IN ({queued}, {leased}, {dead}))
         SELECT CAST(present.status AS TEXT),
                CASE WHEN present.status IS NOT rest.status
                     THEN (SELECT count(*) FROM {indexed} WHERE {status} = present.status) END
         FROM present, rest WHERE present.status IS NOT NULL
         UNION ALL SELECT 'NULL', (SELECT count(*) FROM {indexed} WHERE {column} IS NULL)
         UNION ALL SELECT NULL, (SELECT count(*) FROM {table})",
        most = MOST + 1,
    );
    let read = || -> Result<Vec<(Option<String>, Option<i64>)>> {
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok((status_of(row)?, row.get(1)?)))?;
        memory::collected(rows)
    };
    let found = read().map_err(cannot)?;
    Ok(put_together(found))
}

/// Takes a count, or none, for each status, then the count of all tasks.
fn put_together(mut found: Vec<(Option<String>, Option<i64>)>) -> Option<Counts> {
    let (_, all) = found.pop()?;
    // One row is for NULL, the others are statuses.
    if found.len() > MOST {
        return None;
    }
    let rest = all? - found.iter().filter_map(|&(_, tasks)| tasks).sum::<i64>();
    let uncounted = found.iter().any(|(_, tasks)| tasks.is_none());
    // Each status has at least one task.
    if (uncounted && rest < 1) || (!uncounted && rest != 0) {
        return None;
    }
    let mut counts = Counts::new();
    for (status, tasks) in found {
        add(&mut counts, status?, tasks.unwrap_or(rest));
    }
    Some(counts)
}

fn add(counts: &mut Counts, status: String, tasks: i64) {
    if tasks > 0 {
        let before = counts.get(&status).and_then(Value::as_i64).unwrap_or(0);
        counts.insert(status, Value::from(before + tasks));
    }
}

/// A status need not be UTF-8.
pub(super) fn status_of(row: &Row<'_>) -> rusqlite::Result<Option<String>> {
    let text = row.get_ref(0)?.as_bytes_or_null().ok().flatten();
    Ok(text.map(excerpts::text))
}

fn cannot(error: Error) -> Error {
    error.explained().context("cannot count the tasks")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::canonical;

    fn together(statuses: &[(&str, Option<i64>)], all: i64) -> Option<String> {
        let mut found: Vec<_> = statuses.iter().map(|&(status, tasks)| (Some(status.to_owned()), tasks)).collect();
        found.push((None, Some(all)));
        put_together(found).map(|counts| canonical::text(&Value::Object(counts)))
    }

    #[test]
    fn who_was_not_counted_has_what_is_left() {
        let found = together(&[("done", None), ("queued", Some(2)), ("NULL", Some(0))], 12);
        assert_eq!(found.unwrap(), r#"{"done":10,"queued":2}"#);
        assert_eq!(together(&[("queued", Some(2)), ("NULL", Some(1))], 3).unwrap(), r#"{"NULL":1,"queued":2}"#);
        assert_eq!(together(&[("NULL", Some(0))], 0).unwrap(), "{}");
    }

    #[test]
    fn statuses_that_look_the_same_are_one() {
        assert_eq!(together(&[("1", Some(2)), ("1", None), ("NULL", Some(0))], 5).unwrap(), r#"{"1":5}"#);
    }

    #[test]
    fn what_does_not_add_up_is_counted_otherwise() {
        assert_eq!(together(&[("done", None), ("queued", Some(2)), ("NULL", Some(0))], 2), None);
        assert_eq!(together(&[("queued", Some(2)), ("NULL", Some(0))], 3), None);
        let many: Vec<(&str, Option<i64>)> = std::iter::repeat_n(("one", Some(1)), MOST + 1).collect();
        assert_eq!(together(&many, 65), None);
    }
}
