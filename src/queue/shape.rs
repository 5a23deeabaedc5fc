//! The queue's shape: which table holds the tasks, and which of its columns mean what.
//!
//! # Promise
//!
//! The shape is PrismQ's: table `task_queue`, statuses `leased` and `processing` for a task that a worker holds, times
//! as UTC text that SQLite's date functions understand. A column that a queue lacks is left out of what is read and
//! written; without the table, or without `id`, `status` and `lease_until_utc`, the error names what is missing.
//! Identifiers are always quoted.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};

/// The task table.
pub const TABLE: &str = "task_queue";
/// The statuses of a task that a worker holds.
pub const LEASED: [&str; 2] = ["leased", "processing"];
/// The status of a task that waits for a worker.
pub const QUEUED: &str = "queued";

/// A queue that was found in a database.
#[derive(Debug, Clone)]
pub struct Shape {
    columns: Vec<Column>,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    /// False for a generated column.
    stored: bool,
}

impl Shape {
    /// The shape of the queue in the connection's main database, if there is a task table.
    ///
    /// # Errors
    ///
    /// Whatever SQLite says to reading the schema.
    pub fn find(conn: &Connection) -> Result<Option<Self>> {
        let found = || -> rusqlite::Result<Option<Vec<Column>>> {
            // A virtual table has no root page.
            let sql = "SELECT 1 FROM main.sqlite_schema
                       WHERE type = 'table' AND rootpage > 0 AND name = ?1 COLLATE NOCASE";
            if conn.query_row(sql, [TABLE], |_| Ok(())).optional()?.is_none() {
                return Ok(None);
            }
            // A pragma statement: a table could bear the name of the pragma's function.
            let mut columns = conn.prepare(&format!("PRAGMA main.table_xinfo({})", quoted(TABLE)))?;
            let columns = columns.query_map([], |row| {
                Ok(Column { name: row.get("name")?, stored: row.get::<_, i64>("hidden")? == 0 })
            })?;
            columns.collect::<rusqlite::Result<_>>().map(Some)
        };
        let columns = found().map_err(|error| Error::from(error).explained().context("cannot read the schema"))?;
        Ok(columns.map(|columns| Self { columns }))
    }

    /// The shape of a queue that must be there, with these columns.
    ///
    /// # Errors
    ///
    /// No task table, or one that lacks a column.
    pub fn require(conn: &Connection, columns: &[&str]) -> Result<Self> {
        let Some(shape) = Self::find(conn)? else {
            return Err(Error::usage(format!(
                "the database has no table {TABLE}; open the queue's own database as main (sql/schema.sql makes a \
                 new one)"
            )));
        };
        let lacking: Vec<&str> = columns.iter().copied().filter(|column| !shape.has(column)).collect();
        if lacking.is_empty() {
            return Ok(shape);
        }
        Err(Error::usage(format!(
            "the table {TABLE} has no column {}; sql/schema.sql shows the shape that is expected",
            lacking.join(", ")
        )))
    }

    /// Whether the queue has this column.
    pub fn has(&self, column: &str) -> bool {
        self.find_column(column).is_some()
    }

    /// Whether the queue has this column and it can be written.
    pub fn can_set(&self, column: &str) -> bool {
        self.find_column(column).is_some_and(|column| column.stored)
    }

    fn find_column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// What identifies a row of the table for sure: its rowid, or `id` in a table that has none.
    pub fn row_key(&self, conn: &Connection) -> String {
        let free = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !self.has(name));
        let usable = |name: &&str| conn.prepare(&format!("SELECT {name} FROM {}", Self::table())).is_ok();
        free.filter(usable).map_or_else(|| quoted("id"), str::to_owned)
    }

    /// The column as an expression: its quoted name, or `NULL` where the queue lacks it.
    pub fn column(&self, name: &str) -> String {
        if self.has(name) { quoted(name) } else { "NULL".into() }
    }

    /// The table as it stands in a `FROM`.
    pub fn table() -> String {
        format!("main.{}", quoted(TABLE))
    }
}

/// An identifier in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `INDEXED BY` the first full index that `status` leads, or nothing. Without statistics, or with misleading ones,
/// the planner may scan all tasks to find the few that are leased.
///
/// # Errors
///
/// Whatever SQLite says to reading the schema.
pub fn status_index(conn: &Connection) -> Result<String> {
    let sql = "SELECT list.name FROM pragma_index_list(?1, 'main') AS list
               WHERE NOT list.partial
                 AND (SELECT name FROM pragma_index_xinfo(list.name, 'main') WHERE seqno = 0) = 'status' COLLATE NOCASE
                 AND (SELECT coll FROM pragma_index_xinfo(list.name, 'main') WHERE seqno = 0) = 'BINARY'
               ORDER BY list.seq DESC LIMIT 1";
    let name: Option<String> = conn
        .query_row(sql, [TABLE], |row| row.get(0))
        .optional()
        .map_err(|error| Error::from(error).context("cannot read the schema"))?;
    Ok(name.map_or_else(String::new, |name| format!("INDEXED BY {}", quoted(&name))))
}

/// The tables whose rows have a rowid that is no column of theirs, so that `VACUUM` may number them anew: without an INTEGER
/// PRIMARY KEY, and not WITHOUT ROWID.
///
/// # Errors
///
/// Whatever SQLite says to reading the schema.
pub fn tables_without_own_rowid(conn: &Connection) -> Result<Vec<String>> {
    // A table that has an INTEGER PRIMARY KEY has no index for it, and one WITHOUT ROWID has one with origin 'pk'.
    let sql = "SELECT list.name FROM pragma_table_list AS list
               WHERE list.schema = 'main' AND list.type = 'table' AND NOT list.wr AND list.name NOT LIKE 'sqlite~_%' ESCAPE '~'
                 AND NOT (EXISTS (SELECT 1 FROM pragma_table_info(list.name, 'main') WHERE pk > 0)
                          AND NOT EXISTS (SELECT 1 FROM pragma_index_list(list.name, 'main') WHERE origin = 'pk'))
               ORDER BY list.name";
    let read = || -> rusqlite::Result<Vec<String>> {
        let mut names = conn.prepare(sql)?;
        let names = names.query_map([], |row| row.get(0))?;
        names.collect()
    };
    read().map_err(|error| Error::from(error).context("cannot read the schema"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quoted("a\"b; DROP"), "\"a\"\"b; DROP\"");
    }

    #[test]
    fn a_column_that_is_lacking_is_null() {
        let columns = ["id", "Status"].map(|name| Column { name: name.into(), stored: name == "id" });
        let shape = Shape { columns: columns.into() };
        assert!(shape.can_set("ID") && !shape.can_set("status") && shape.has("status"));
        assert_eq!(shape.column("status"), "\"status\"");
        assert_eq!(shape.column("locked_by"), "NULL");
    }
}
