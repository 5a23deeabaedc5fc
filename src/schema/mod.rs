//! A database's schema: tables, columns, indexes.
//!
//! # Promise
//!
//! Only real tables of the main database: no views, virtual tables or tables of SQLite's own. Reading runs no
//! code of others. Names are compared as SQLite does, ignoring ASCII case. Identifiers in SQL are always
//! [`quoted`].
//!
//! # How
//!
//! Pragmas run as statements: a table could have the name of a pragma's table-valued function and hide it.

pub mod jobs;

use rusqlite::{Connection, OptionalExtension, Row, RowIndex};

use crate::error::{Error, Result};
use crate::memory;

/// Selects the schema's rows of real tables. A virtual table has no root page, unless somebody wrote one
/// there; then its definition, by which SQLite goes, still begins otherwise.
pub const IS_TABLE: &str =
    "(type = 'table' AND rootpage > 0 AND substr(ifnull(sql, ''), 1, 12) = 'CREATE TABLE' COLLATE NOCASE)";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// False for a generated column.
    pub stored: bool,
    pub not_null: bool,
    /// Position in the primary key, from 1; 0 if not part of it.
    pub key: i64,
}

/// The identifier in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub fn has_table(conn: &Connection, name: &str) -> Result<bool> {
    memory::check()?;
    let sql = format!("SELECT 1 FROM main.sqlite_schema WHERE {IS_TABLE} AND name = ?1 COLLATE NOCASE");
    conn.query_row(&sql, [name], |_| Ok(())).optional().map(|found| found.is_some()).map_err(unreadable)
}

/// Fails if a view or virtual table has the name of a table of ours; `so` says what cannot be done.
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

/// The tables of the main database, sorted by name.
pub fn tables(conn: &Connection) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT name FROM main.sqlite_schema WHERE {IS_TABLE} AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"
    );
    names(conn, &sql).map_err(unreadable)
}

/// The columns of a table in order; none if it does not exist.
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

/// The oldest non-partial index whose first column is this one with BINARY collation.
pub fn index_led_by(conn: &Connection, table: &str, column: &str) -> Result<Option<String>> {
    let read = || -> Result<Option<String>> {
        let mut list = conn.prepare(&format!("PRAGMA main.index_list({})", quoted(table)))?;
        let list = list.query_and_then([], |row| -> Result<(String, bool)> {
            Ok((text(row, "name")?, row.get::<_, i64>("partial")? != 0))
        })?;
        let list = memory::collected(list)?;
        // SQLite lists the newest first; the oldest was made by the queue's author.
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

/// The tables with rowids that `VACUUM` may renumber: neither an INTEGER PRIMARY KEY nor WITHOUT ROWID.
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
    // If the module of a virtual table is not loaded, its shadow tables are listed as tables.
    read().map_err(unreadable)
}

fn is_sqlites_own(name: &str) -> bool {
    name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"))
}

/// Of a table with rowids. Every other kind of primary key has an index.
fn has_integer_primary_key(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    let any = |pragma: &str, is_key: fn(&rusqlite::Row<'_>) -> rusqlite::Result<bool>| -> rusqlite::Result<bool> {
        let mut rows = conn.prepare(&format!("PRAGMA main.{pragma}({})", quoted(table)))?;
        let keys = rows.query_map([], is_key)?.collect::<rusqlite::Result<Vec<bool>>>()?;
        Ok(keys.contains(&true))
    };
    Ok(any("table_info", |row| Ok(row.get::<_, i64>("pk")? > 0))?
        && !any("index_list", |row| Ok(row.get::<_, String>("origin")? == "pk"))?)
}

/// Whether the main database has a virtual table, even if its module is not loaded.
pub fn has_virtual_tables(conn: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE CAST(type AS TEXT) = 'table' COLLATE NOCASE AND rootpage = 0)";
    conn.query_row(sql, [], |row| row.get(0)).map_err(unreadable)
}

/// Whether a table has a PRIMARY KEY, UNIQUE constraint or complete unique index, other than its rowid.
pub fn has_unique_index(conn: &Connection, table: &str) -> Result<bool> {
    let read = || -> rusqlite::Result<bool> {
        let mut list = conn.prepare(&format!("PRAGMA main.index_list({})", quoted(table)))?;
        let whole = |row: &rusqlite::Row<'_>| Ok(row.get::<_, bool>("unique")? && !row.get::<_, bool>("partial")?);
        let list = list.query_map([], whole)?;
        Ok(list.collect::<rusqlite::Result<Vec<bool>>>()?.contains(&true))
    };
    read().map_err(unreadable)
}

/// The CREATE statements of the main database.
pub fn statements(conn: &Connection) -> Result<Vec<String>> {
    names(conn, "SELECT sql FROM main.sqlite_schema WHERE sql IS NOT NULL").map_err(unreadable)
}

fn names(conn: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut names = conn.prepare(sql)?;
    memory::collected(names.query_and_then([], |row| text(row, 0))?)
}

/// A name or a definition, which may be as long as SQLite allows.
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
