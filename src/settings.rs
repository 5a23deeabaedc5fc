//! Settings: values that live in the database itself, in the table `queuekeeper_settings(name, value)`.
//!
//! # Promise
//!
//! A setting that is absent, or a database without the table, means the default. A value that cannot be used is an
//! error that names the setting, what it is and what it can be; it is never silently replaced by the default. Only a
//! real table is read: a view of that name in a database made by somebody else would run their SQL.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};

/// The backup directory; a relative one starts at the database's directory.
pub const BACKUP_DIR: &str = "backup_dir";

/// A setting that is a whole number above 0.
pub struct Number {
    name: &'static str,
    default: u64,
}

/// Megabytes (2^20 bytes) by which the WAL may grow while a backup holds its snapshot.
pub const WAL_BUDGET_MB: Number = Number { name: "wal_budget_mb", default: 4096 };
/// How many backups a chain may have: a full one and the incrementals that build on it.
pub const FULL_EVERY: Number = Number { name: "full_every", default: 7 };

fn value(conn: &Connection, name: &str) -> Result<Option<rusqlite::types::Value>> {
    let exists = "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0
                  AND name = 'queuekeeper_settings' COLLATE NOCASE";
    let look = || -> rusqlite::Result<Option<rusqlite::types::Value>> {
        if conn.query_row(exists, [], |_| Ok(())).optional()?.is_none() {
            return Ok(None);
        }
        conn.query_row(
            "SELECT value FROM main.queuekeeper_settings WHERE name = ?1 AND value IS NOT NULL LIMIT 1",
            [name],
            |row| row.get(0),
        )
        .optional()
    };
    look().map_err(|error| Error::from(error).explained().context("cannot read the database's settings"))
}

/// A setting that is a text; `None` when it is not set.
///
/// # Errors
///
/// A value that is no text or an empty one.
pub fn text(conn: &Connection, name: &str) -> Result<Option<String>> {
    use rusqlite::types::Value;
    match value(conn, name)? {
        None => Ok(None),
        Some(Value::Text(text)) if !text.is_empty() && !text.contains('\0') => Ok(Some(text)),
        Some(_) => Err(unusable(name, "a text that is not empty")),
    }
}

/// A setting that is a number.
///
/// # Errors
///
/// A value that is no positive whole number.
pub fn number(conn: &Connection, setting: &Number) -> Result<u64> {
    use rusqlite::types::Value;
    match value(conn, setting.name)? {
        None => Ok(setting.default),
        Some(Value::Integer(number)) if number > 0 => Ok(number.unsigned_abs()),
        Some(_) => Err(unusable(setting.name, "a whole number above 0")),
    }
}

fn unusable(name: &str, allowed: &str) -> Error {
    Error::usage(format!(
        "the setting {name} in table queuekeeper_settings cannot be used; it must be {allowed}; correct or delete its row"
    ))
}
