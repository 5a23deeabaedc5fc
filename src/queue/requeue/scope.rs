//! A transaction, or a part of one, that is either kept as a whole or leaves nothing.
//!
//! # Promise
//!
//! - Where the connection has no transaction open, a [`Scope`] is one; inside a transaction of the caller it is a savepoint, and
//!   never ends what the caller has begun.
//! - A scope that is dropped without [`Scope::keep`] leaves nothing, also when a panic drops it.
//!
//! # How
//!
//! `SAVEPOINT` does both. SQLite refuses it while a statement that writes is running on the connection (the caller's own
//! `INSERT … SELECT f()`): then there is no scope, and whatever is done belongs to that statement.

use rusqlite::{Connection, ffi};

const NAME: &str = "queuekeeper_scope";

/// What is kept as a whole or not at all.
pub struct Scope<'c> {
    conn: &'c Connection,
    /// Whether it is a transaction of its own.
    outermost: bool,
    kept: bool,
}

impl<'c> Scope<'c> {
    /// Begins one; `None` while a statement that writes is running.
    pub fn begin(conn: &'c Connection) -> rusqlite::Result<Option<Self>> {
        let outermost = conn.is_autocommit();
        match conn.execute_batch(&format!("SAVEPOINT {NAME}")) {
            Ok(()) => Ok(Some(Self { conn, outermost, kept: false })),
            // It takes no lock, so nobody else can be in the way.
            Err(error) if error.sqlite_error_code() == Some(ffi::ErrorCode::DatabaseBusy) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps what was done; the outermost is a commit.
    pub fn keep(mut self) -> rusqlite::Result<()> {
        self.conn.execute_batch(&format!("RELEASE {NAME}"))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        // SQLite may have ended the transaction itself.
        if self.kept || self.conn.is_autocommit() {
            return;
        }
        let undo = if self.outermost { "ROLLBACK".into() } else { format!("ROLLBACK TO {NAME}; RELEASE {NAME}") };
        // A rollback that fails has ended the transaction all the same.
        let _ = self.conn.execute_batch(&undo);
    }
}
