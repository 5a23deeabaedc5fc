//! A transaction or savepoint that is either kept as a whole or undone.
//!
//! # Promise
//!
//! - Without an open transaction, a [`Scope`] is one; inside the caller's it is a savepoint, and never ends
//!   what the caller has begun.
//! - A scope dropped without [`Scope::keep`], even by a panic, is undone.
//!
//! # How
//!
//! `SAVEPOINT` does both. SQLite refuses it while a writing statement runs on the connection (the caller's
//! own `INSERT … SELECT f()`): then there is no scope, and all work is part of that statement.

use rusqlite::{Connection, ffi};

const NAME: &str = "queuekeeper_scope";

pub struct Scope<'c> {
    conn: &'c Connection,
    /// Whether it is a transaction of its own.
    outermost: bool,
    kept: bool,
}

impl<'c> Scope<'c> {
    /// `None` while a writing statement runs.
    pub fn begin(conn: &'c Connection) -> rusqlite::Result<Option<Self>> {
        let outermost = conn.is_autocommit();
        match conn.execute_batch(&format!("SAVEPOINT {NAME}")) {
            Ok(()) => Ok(Some(Self { conn, outermost, kept: false })),
            // It takes no lock, so no other connection can be in the way.
            Err(error) if error.sqlite_error_code() == Some(ffi::ErrorCode::DatabaseBusy) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps the work; commits if outermost.
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
        // Even a failed rollback ends the transaction.
        let _ = self.conn.execute_batch(&undo);
    }
}
