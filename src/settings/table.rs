//! The table `queuekeeper_settings`: reading and writing its rows.
//!
//! # Promise
//!
//! Reading takes what it finds: no table, a table with more columns, rows that mean nothing. Only a real table is read: a view
//! of that name in a database made by somebody else would run their SQL. Writing belongs to the caller's transaction and is one
//! statement that stores a value, after one that makes the table where it is lacking.

use rusqlite::types::Value;
use rusqlite::{Connection, ffi, params};

use super::exclusive;
use crate::connection::execute;
use crate::error::{Error, Result};
use crate::schema;

/// Its name.
pub const TABLE: &str = "queuekeeper_settings";

/// More rows than this are not read: nobody has set so much.
const MOST: i64 = 10_000;

/// All rows that have a name and a value.
///
/// # Errors
///
/// Whatever SQLite says, and a table without the columns `name` and `value`.
pub fn rows(conn: &Connection) -> Result<Vec<(String, Value)>> {
    if !schema::has_table(conn, TABLE)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT name, value FROM main.queuekeeper_settings
               WHERE typeof(name) = 'text' AND value IS NOT NULL LIMIT ?1";
    let read = || -> rusqlite::Result<Vec<(String, Value)>> {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query([MOST])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            // A text need not be UTF-8.
            let name = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned();
            found.push((name, row.get(1).unwrap_or(Value::Blob(Vec::new()))));
        }
        Ok(found)
    };
    read().map_err(|error| Error::from(error).explained().context("cannot read the database's settings"))
}

/// Stores a value.
///
/// # Errors
///
/// A read-only database, a lock that others hold, something else that bears the table's name.
pub fn store(conn: &Connection, name: &str, value: &Value) -> Result<()> {
    let write = || -> rusqlite::Result<()> {
        // WITHOUT ROWID: VACUUM has no rowid to renumber.
        execute(
            conn,
            "CREATE TABLE IF NOT EXISTS main.queuekeeper_settings(name TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID",
            [],
        )?;
        // A table made by hand may lack the key, and so have more than one row of that name.
        let changed =
            execute(conn, "UPDATE main.queuekeeper_settings SET value = ?2 WHERE name = ?1", params![name, value])?;
        if changed == 0 {
            execute(
                conn,
                "INSERT OR REPLACE INTO main.queuekeeper_settings(name, value) VALUES (?1, ?2)",
                params![name, value],
            )?;
        }
        Ok(())
    };
    refuse_others(conn)?;
    exclusive::refuse(conn, "settings")?;
    write().map_err(|error| unwritable(error, name))
}

/// Deletes a value, so that the default counts again.
///
/// # Errors
///
/// As for [`store`].
pub fn reset(conn: &Connection, name: &str) -> Result<()> {
    if !schema::has_table(conn, TABLE)? {
        return refuse_others(conn);
    }
    execute(conn, "DELETE FROM main.queuekeeper_settings WHERE name = ?1", [name])
        .map(|_| ())
        .map_err(|error| unwritable(error, name))
}

fn refuse_others(conn: &Connection) -> Result<()> {
    schema::refuse_impostor(conn, TABLE, "settings cannot be stored")
}

fn unwritable(error: rusqlite::Error, name: &str) -> Error {
    let error = Error::from(error).context(format!("cannot store the setting {name}"));
    match error.primary_code() {
        ffi::SQLITE_READONLY => error.advice("open the database for writing"),
        _ => error.explained(),
    }
}
