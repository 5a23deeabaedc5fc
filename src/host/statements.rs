//! The running statements of a connection.
//!
//! # Promise
//!
//! Prepares, reads and locks nothing: SQLite keeps a list of a connection's statements with their texts
//! (<https://www.sqlite.org/c3ref/next_stmt.html>).

use std::ffi::CStr;
use std::ptr;

use rusqlite::{Connection, ffi};

pub struct Running {
    /// Byte for byte; `None` if SQLite did not keep it.
    pub sql: Option<Vec<u8>>,
    /// Whether it writes no database file directly.
    pub readonly: bool,
}

/// All statements between their first step and their end.
pub fn running(conn: &Connection) -> Vec<Running> {
    let mut statements = Vec::new();
    // SAFETY: the handle is open, and its statements live while a function of theirs runs; each text is
    // copied at once.
    unsafe {
        let mut next = ffi::sqlite3_next_stmt(conn.handle(), ptr::null_mut());
        while !next.is_null() {
            if ffi::sqlite3_stmt_busy(next) != 0 {
                let sql = ffi::sqlite3_sql(next);
                let sql = (!sql.is_null()).then(|| CStr::from_ptr(sql).to_bytes().to_vec());
                statements.push(Running { sql, readonly: ffi::sqlite3_stmt_readonly(next) != 0 });
            }
            next = ffi::sqlite3_next_stmt(conn.handle(), next);
        }
    }
    statements
}
