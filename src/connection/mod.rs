//! The caller's connection and the sidecar beside it.
//!
//! # Promise
//!
//! - The **caller** is the connection whose statement called us. We never end or begin its transaction, and never
//!   wait for a lock that it holds itself.
//! - The **sidecar** is a second connection to the same file, through the same SQLite and the same VFS, for work
//!   that needs a transaction of its own. It sees the last commit, not the caller's uncommitted rows. It never
//!   writes the database behind its user's back: no checkpoint on close, no automatic checkpoint. To an encrypted database
//!   there is none, see [`encrypted`].
//!
//! # How
//!
//! A function runs inside the caller's `SELECT`. A sidecar that waits for the caller would wait for ever, since the
//! caller waits for us. So [`Standing`] looks at what the caller holds, and where the caller can be the reason for
//! `SQLITE_BUSY`, the answer is an immediate error that says which of its own states is in the way. Otherwise
//! `SQLITE_BUSY` comes from somebody else and is waited for, as long as the caller's own `busy_timeout` says, with
//! a loop of ours, because SQLite's busy handler cannot be interrupted.

mod caller;
pub mod encrypted;
mod sidecar;
mod standing;
mod unseen;

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, Params, Statement};

pub use caller::Caller;
pub use sidecar::Sidecar;
pub use standing::Standing;

use crate::error::Result;
use crate::host::reading;

/// Runs a statement with parameters on a connection of somebody else's; how many rows it changed.
pub fn execute(conn: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<u64> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query(params)?;
    while rows.next()?.is_some() {}
    Ok(conn.changes())
}

/// Runs a statement whose parameters are bound. With `PRAGMA count_changes`, which a caller may have set, one that changes rows
/// returns a row, too, and has not ended before that was read.
pub fn run_to_end(statement: &mut Statement<'_>) -> rusqlite::Result<()> {
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

/// Reads a pragma of a connection's main database.
pub fn read_pragma<T: FromSql>(conn: &Connection, name: &str) -> Result<T> {
    let value = conn.query_row(&format!("PRAGMA main.{name}"), [], |row| {
        let value = row.get_ref(0)?;
        // SQLCipher gives the page size of an encrypted database as a text.
        let number = value.as_str().ok().and_then(|text| text.parse().ok()).map(ValueRef::Integer);
        match (T::column_result(value), number) {
            (Err(_), Some(number)) => Ok(T::column_result(number)?),
            (read, _) => Ok(read?),
        }
    });
    value.map_err(|error| reading::told(conn, error.into()).explained().context("cannot read the database"))
}
