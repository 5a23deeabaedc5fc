//! What the target of a restore was when it was opened.

use rusqlite::Connection;

use super::identity::{self, Name};
use crate::connection::read_pragma;
use crate::error::Result;

/// What the target was when it was opened. Read at once: with a rollback journal each read may have to wait for a writer.
pub struct State {
    /// Whether it is in WAL mode.
    pub wal: bool,
    /// Bytes a page.
    pub page_size: u32,
    /// Its pages.
    pub page_count: u32,
    /// Its text encoding.
    pub encoding: String,
    /// Nothing was ever made in it.
    pub empty: bool,
    /// Its `queue_name`, if that can be read.
    pub name: Option<Name>,
}

impl State {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// What SQLite says, also that it is no database.
    pub fn read(conn: &Connection) -> Result<Self> {
        let journal: String = read_pragma(conn, "journal_mode")?;
        // Reads the schema, which shows whether this is a database.
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
        Ok(Self {
            wal: journal.eq_ignore_ascii_case("wal"),
            page_size: read_pragma(conn, "page_size")?,
            page_count: read_pragma(conn, "page_count")?,
            encoding: read_pragma(conn, "encoding")?,
            empty: read_pragma::<i64>(conn, "schema_version")? == 0,
            name: identity::name(conn)?,
        })
    }
}
