//! The caller's connection, and the sidecar beside it.
//!
//! # Promise
//!
//! - The **caller** is the connection whose statement called us. We never begin or end its transaction, and
//!   never wait for a lock that it holds itself.
//! - The **sidecar** is a second connection to the same file, through the same SQLite and VFS, for work that
//!   needs its own transaction. It sees the last commit, not the caller's uncommitted rows. It writes nothing
//!   unasked: no checkpoint on close, no automatic checkpoint. An encrypted database has none, see
//!   [`encrypted`].
//!
//! # How
//!
//! A function runs inside the caller's `SELECT`, so a sidecar that waits for the caller would deadlock. If
//! the caller itself may be the reason for `SQLITE_BUSY`, [`CallerState`] tells, and the call fails at once with
//! an error that names the caller's state in the way. Else somebody else is the reason, and we wait as long
//! as the caller's `busy_timeout`, in a loop of our own: SQLite's busy handler cannot be interrupted.

mod caller;
pub mod encrypted;
mod immutable;
mod sidecar;
mod state;

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, Params, Statement};

pub use caller::Caller;
pub use sidecar::Sidecar;
pub use state::CallerState;

use crate::error::Result;
use crate::host::disk_errors;

/// Runs a statement with parameters on somebody else's connection; returns the number of rows changed.
pub fn execute(conn: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<u64> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query(params)?;
    while rows.next()?.is_some() {}
    Ok(conn.changes())
}

/// Runs a statement whose parameters are bound. Under the caller's `PRAGMA count_changes`, a change returns a
/// row, and is not complete until that is read.
pub fn run_to_end(statement: &mut Statement<'_>) -> rusqlite::Result<()> {
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

/// Reads a pragma of the main database.
pub fn read_pragma<T: FromSql>(conn: &Connection, name: &str) -> Result<T> {
    let value = conn.query_row(&format!("PRAGMA main.{name}"), [], |row| {
        let value = row.get_ref(0)?;
        // SQLCipher returns the page size of an encrypted database as text.
        let number = value.as_str().ok().and_then(|text| text.parse().ok()).map(ValueRef::Integer);
        match (T::column_result(value), number) {
            (Err(_), Some(number)) => Ok(T::column_result(number)?),
            (read, _) => Ok(read?),
        }
    });
    value.map_err(|error| disk_errors::told(conn, error.into()).explained().context("cannot read the database"))
}
