//! Reads and writes the table `queuekeeper_settings`.
//!
//! # Promise
//!
//! - Reading tolerates a missing table, extra columns and unknown rows. Only a real table is read: a view of
//!   that name in somebody else's database would run their SQL.
//! - A value beyond its bound is unusable, and a table with too many rows is an error, so that the writer of
//!   a database does not decide how much memory reading it takes.
//! - Writing is part of the caller's transaction: one statement stores the value, after one that creates the
//!   table if needed.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ffi, params};

use super::exclusive;
use crate::bounds;
use crate::connection::execute;
use crate::error::{Error, Result};
use crate::memory;
use crate::schema;

pub const TABLE: &str = "queuekeeper_settings";

/// All rows with a name and a value. Fails if there are too many.
pub fn rows(conn: &Connection) -> Result<Vec<(String, Value)>> {
    if !schema::has_table(conn, TABLE)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT name, value FROM main.queuekeeper_settings
               WHERE typeof(name) = 'text' AND value IS NOT NULL LIMIT ?1";
    let read = || -> Result<Vec<(String, Value)>> {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query([bounds::SETTINGS + 1])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let name = row.get_ref(0)?.as_bytes().unwrap_or_default();
            // The text may not be UTF-8.
            let name = String::from_utf8_lossy(&name[..name.len().min(bounds::SETTING_NAME)]).into_owned();
            memory::push(&mut found, (name, value(row.get_ref(1)?)))?;
        }
        Ok(found)
    };
    let found = read().map_err(|error| error.explained().context("cannot read the database's settings"))?;
    if found.len() <= bounds::SETTINGS as usize {
        return Ok(found);
    }
    Err(Error::usage(format!(
        "the table {TABLE} has more than {} rows, and queuekeeper has far fewer settings; delete the rows that are none, see \
         queue_settings() of a sound database",
        bounds::SETTINGS
    )))
}

/// The value, or an empty BLOB, which no setting accepts, for one that is too long.
fn value(stored: ValueRef<'_>) -> Value {
    match stored {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) if bytes.len() > bounds::SETTING_BYTES => {
            Value::Blob(Vec::new())
        }
        stored => Value::try_from(stored).unwrap_or(Value::Blob(Vec::new())),
    }
}

/// Refuses a value that would be too long to be read again.
pub fn check_length(name: &str, value: &Value) -> Result<()> {
    match value {
        Value::Text(text) if text.len() > bounds::SETTING_BYTES => Err(Error::usage(format!(
            "the setting {name} cannot have {} bytes; the most is {}",
            text.len(),
            bounds::SETTING_BYTES
        ))),
        _ => Ok(()),
    }
}

pub fn store(conn: &Connection, name: &str, value: &Value) -> Result<()> {
    let write = || -> rusqlite::Result<()> {
        // WITHOUT ROWID: VACUUM has no rowid to renumber.
        execute(
            conn,
            "CREATE TABLE IF NOT EXISTS main.queuekeeper_settings(name TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID",
            [],
        )?;
        // A table made by hand may have no key, and several rows of one name.
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

/// Deletes a value, which restores the default.
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
