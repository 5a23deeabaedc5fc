//! What a database's schema says: its tables, their columns, their indexes.
//!
//! # Promise
//!
//! Only the main database is looked at, and only real tables: no views, no virtual tables, nothing of SQLite's own. Nothing of
//! somebody else's is run by looking. Names are matched as SQLite matches them, without regard to ASCII case, and an
//! identifier that goes into SQL is always [`quoted`].
//!
//! # How
//!
//! Pragmas are run as statements: a table may bear the name of a pragma's function, and hide it.

use rusqlite::{Connection, OptionalExtension, Row, RowIndex};

use crate::error::{Error, Result};
use crate::memory;

/// The table with a row a job of the schedule: who has it has a schedule.
pub const JOBS: &str = "queuekeeper_jobs";

/// What a row of the schema is that defines a real table. A virtual one has no root page, unless somebody wrote one there; then its
/// definition, which SQLite goes by, still begins otherwise.
pub const IS_TABLE: &str =
    "(type = 'table' AND rootpage > 0 AND substr(ifnull(sql, ''), 1, 12) = 'CREATE TABLE' COLLATE NOCASE)";

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// False for a generated column.
    pub stored: bool,
    /// Whether it is declared `NOT NULL`.
    pub not_null: bool,
    /// Its place in the primary key, from 1; 0 if it is not part of it.
    pub key: i64,
}

/// An identifier in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether the main database has a table of this name.
pub fn has_table(conn: &Connection, name: &str) -> Result<bool> {
    memory::check()?;
    let sql = format!("SELECT 1 FROM main.sqlite_schema WHERE {IS_TABLE} AND name = ?1 COLLATE NOCASE");
    conn.query_row(&sql, [name], |_| Ok(())).optional().map(|found| found.is_some()).map_err(unreadable)
}

/// Refuses a view or virtual table that bears the name of a table of ours; `so` says what cannot be done.
pub fn refuse_impostor(conn: &Connection, name: &str, so: &str) -> Result<()> {
    let sql = format!(
        "SELECT count(*) FROM main.sqlite_schema
         WHERE CAST(name AS TEXT) = ?1 COLLATE NOCASE AND NOT {IS_TABLE}
           AND (CAST(type AS TEXT) = 'table' COLLATE NOCASE OR CAST(type AS TEXT) = 'view' COLLATE NOCASE)"
    );
    let others: i64 = conn.query_row(&sql, [name], |row| row.get(0)).map_err(unreadable)?;
    if others == 0 {
        return Ok(());
    }
    Err(Error::usage(format!("the database has a view or virtual table named {name}, so {so}; drop or rename it")))
}

/// The tables of the main database, by name.
pub fn tables(conn: &Connection) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT name FROM main.sqlite_schema WHERE {IS_TABLE} AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"
    );
    names(conn, &sql).map_err(unreadable)
}

/// The columns of a table in their order; none when there is no such table.
pub fn columns(conn: &Connection, table: &str) -> Result<Vec<Column>> {
    let read = || -> Result<Vec<Column>> {
        let mut columns = conn.prepare(&format!("PRAGMA main.table_xinfo({})", quoted(table)))?;
        let columns = columns.query_and_then([], |row| -> Result<Column> {
            Ok(Column {
                name: text(row, "name")?,
                stored: row.get::<_, i64>("hidden")? == 0,
                not_null: row.get::<_, i64>("notnull")? != 0,
                key: row.get("pk")?,
            })
        })?;
        memory::collected(columns)
    };
    read().map_err(unreadable)
}

/// The first full index of a table that this column leads, compared byte for byte.
pub fn index_led_by(conn: &Connection, table: &str, column: &str) -> Result<Option<String>> {
    let read = || -> Result<Option<String>> {
        let mut list = conn.prepare(&format!("PRAGMA main.index_list({})", quoted(table)))?;
        let list = list.query_and_then([], |row| -> Result<(String, bool)> {
            Ok((text(row, "name")?, row.get::<_, i64>("partial")? != 0))
        })?;
        let list = memory::collected(list)?;
        // SQLite lists the newest first; the queue's author made the oldest.
        for (index, partial) in list.into_iter().rev() {
            if !partial && leads(conn, &index, column)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    };
    read().map_err(unreadable)
}

fn leads(conn: &Connection, index: &str, column: &str) -> rusqlite::Result<bool> {
    let mut columns = conn.prepare(&format!("PRAGMA main.index_xinfo({})", quoted(index)))?;
    columns.query_row([], |first| {
        // An expression has no name.
        let name: Option<String> = first.get("name")?;
        let collation: String = first.get("coll")?;
        Ok(collation == "BINARY" && name.is_some_and(|name| name.eq_ignore_ascii_case(column)))
    })
}

/// The tables whose rows have a rowid that is no column of theirs, so that `VACUUM` may number them anew: without an INTEGER
/// PRIMARY KEY, and not WITHOUT ROWID.
pub fn tables_without_own_rowid(conn: &Connection) -> Result<Vec<String>> {
    let read = || -> Result<Vec<String>> {
        let mut list = conn.prepare("PRAGMA main.table_list")?;
        let list = list.query_and_then([], |row| -> Result<Option<String>> {
            let (name, kind): (String, String) = (text(row, "name")?, row.get("type")?);
            let rows = kind == "table" && !row.get::<_, bool>("wr")? && !is_sqlites_own(&name);
            Ok(rows.then_some(name))
        })?;
        let mut found = Vec::new();
        for name in memory::collected(list)?.into_iter().flatten() {
            if !has_integer_primary_key(conn, &name)? {
                memory::push(&mut found, name)?;
            }
        }
        found.sort();
        Ok(found)
    };
    // Where the module of a virtual table is not loaded, its shadow tables are tables.
    read().map_err(unreadable)
}

fn is_sqlites_own(name: &str) -> bool {
    name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"))
}

/// Of a table with rowids: an INTEGER PRIMARY KEY has no index, and any other primary key has one.
fn has_integer_primary_key(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    let any = |pragma: &str, is_key: fn(&rusqlite::Row<'_>) -> rusqlite::Result<bool>| -> rusqlite::Result<bool> {
        let mut rows = conn.prepare(&format!("PRAGMA main.{pragma}({})", quoted(table)))?;
        let keys = rows.query_map([], is_key)?.collect::<rusqlite::Result<Vec<bool>>>()?;
        Ok(keys.contains(&true))
    };
    Ok(any("table_info", |row| Ok(row.get::<_, i64>("pk")? > 0))?
        && !any("index_list", |row| Ok(row.get::<_, String>("origin")? == "pk"))?)
}

/// Whether the main database has a virtual table, be its module loaded or not.
pub fn has_virtual_tables(conn: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE CAST(type AS TEXT) = 'table' COLLATE NOCASE AND rootpage = 0)";
    conn.query_row(sql, [], |row| row.get(0)).map_err(unreadable)
}

/// Whether a table has a PRIMARY KEY or UNIQUE constraint, or a unique index on all of its rows, that is not its rowid.
pub fn has_unique_index(conn: &Connection, table: &str) -> Result<bool> {
    let read = || -> rusqlite::Result<bool> {
        let mut list = conn.prepare(&format!("PRAGMA main.index_list({})", quoted(table)))?;
        let whole = |row: &rusqlite::Row<'_>| Ok(row.get::<_, bool>("unique")? && !row.get::<_, bool>("partial")?);
        let list = list.query_map([], whole)?;
        Ok(list.collect::<rusqlite::Result<Vec<bool>>>()?.contains(&true))
    };
    read().map_err(unreadable)
}

/// The statements that made the main database's schema.
pub fn statements(conn: &Connection) -> Result<Vec<String>> {
    names(conn, "SELECT sql FROM main.sqlite_schema WHERE sql IS NOT NULL").map_err(unreadable)
}

fn names(conn: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut names = conn.prepare(sql)?;
    memory::collected(names.query_and_then([], |row| text(row, 0))?)
}

/// A name or a definition, which can be as long as SQLite lets it.
pub fn text(row: &Row<'_>, column: impl RowIndex + Copy) -> Result<String> {
    memory::require(row.get_ref(column)?.as_bytes().map_or(0, <[u8]>::len))?;
    Ok(row.get(column)?)
}

fn unreadable(error: impl Into<Error>) -> Error {
    error.into().explained().context("cannot read the schema")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quoted("a\"b; DROP"), "\"a\"\"b; DROP\"");
    }
}
