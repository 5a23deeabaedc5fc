//! Databases that tolerate no table of ours.
//!
//! # Promise
//!
//! litequeue after 0.9 opens no database with a table besides its own, so a setting stored there would
//! disable its queue. In such a database the setting `preset` is litequeue without being stored, and whatever
//! needs a table of ours fails with an error that says so.
//!
//! # How
//!
//! It is recognized by its only table and the column `claim_id`, which 0.9 did not have.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::schema;

const PRESET: &str = "litequeue";
const TABLE: &str = "Queue";
const COLUMN: &str = "claim_id";

/// The preset of a database that cannot store one.
pub fn preset(conn: &Connection) -> Result<Option<&'static str>> {
    if schema::tables(conn)? != [TABLE] {
        return Ok(None);
    }
    let known = schema::columns(conn, TABLE)?.iter().any(|column| column.name == COLUMN);
    Ok(known.then_some(PRESET))
}

/// Fails if no table of ours may be created.
pub fn refuse(conn: &Connection, purpose: &str) -> Result<()> {
    if preset(conn)?.is_none() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "cannot make a table for {purpose}: this is a database of litequeue, which after version 0.9 opens none that has any table \
         besides {TABLE}; what needs no table works, and the preset {PRESET} holds here without being set"
    )))
}
