//! Databases in which no table of ours may ever be made.
//!
//! # Promise
//!
//! litequeue after 0.9 opens no database that has any table besides its own: one setting stored there, and its queue could not be
//! used any more. In such a database the setting `preset` is litequeue without being stored, and whatever would make a table of
//! ours is an error that says so.
//!
//! # How
//!
//! Such a database is known by its only table and the column `claim_id`, which 0.9 did not have.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::schema;

const PRESET: &str = "litequeue";
const TABLE: &str = "Queue";
const COLUMN: &str = "claim_id";

/// The preset that a database has without a setting that says so.
pub fn preset(conn: &Connection) -> Result<Option<&'static str>> {
    if schema::tables(conn)? != [TABLE] {
        return Ok(None);
    }
    let known = schema::columns(conn, TABLE)?.iter().any(|column| column.name == COLUMN);
    Ok(known.then_some(PRESET))
}

/// Sees to it that a table of ours may be made.
///
/// # Errors
///
/// A database that tolerates none, or whatever SQLite says to reading the schema.
pub fn refuse(conn: &Connection, purpose: &str) -> Result<()> {
    if preset(conn)?.is_none() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "cannot make a table for {purpose}: this is a database of litequeue, which after version 0.9 opens none that has any table \
         besides {TABLE}; what needs no table works, and the preset {PRESET} holds here without being set"
    )))
}
