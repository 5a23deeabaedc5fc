//! The tables of the schedule, as they are made.

use rusqlite::Connection;

use super::columns;
use crate::error::Result;

/// A row per job; a database that has it has a schedule.
pub const TABLE: &str = "queuekeeper_jobs";
/// A row per step that ran.
pub const LOG: &str = "queuekeeper_log";
/// The column with the earlier times by which a job was done, comma-separated.
pub const EARLIER: &str = "done_earlier_utc";
/// How many of those are kept.
pub const MOST_EARLIER: usize = 8;
/// How many rows are read.
pub const MOST: usize = 16;

pub const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS main.queuekeeper_jobs(job TEXT PRIMARY KEY NOT NULL, done_utc TEXT, due_utc TEXT,
     attempts INTEGER NOT NULL DEFAULT 0, began_behind INTEGER NOT NULL DEFAULT 0, last_run_utc TEXT,
     last_status TEXT, done_earlier_utc TEXT) WITHOUT ROWID";
/// Version 0.1.0 has no such column, and also works with it.
pub const ADD_EARLIER: &str = "ALTER TABLE main.queuekeeper_jobs ADD COLUMN done_earlier_utc TEXT";

/// Whether the table has the column [`EARLIER`].
pub fn has_earlier(conn: &Connection) -> Result<bool> {
    Ok(columns(conn, TABLE)?.iter().any(|column| column.name.eq_ignore_ascii_case(EARLIER)))
}

/// Makes the table of the jobs, or what it lacks.
pub fn create(conn: &Connection) -> Result<()> {
    conn.execute_batch(CREATE)?;
    if !has_earlier(conn)? {
        conn.execute_batch(ADD_EARLIER)?;
    }
    Ok(())
}
