//! The state of a restore's target when it was opened.

use rusqlite::Connection;

use super::identity::{self, Name};
use crate::connection::read_pragma;
use crate::error::Result;

/// Read at once: with a rollback journal each read may wait for a writer.
pub struct State {
    pub wal: bool,
    pub page_size: u32,
    pub page_count: u32,
    pub encoding: String,
    /// Nothing was ever created in it.
    pub empty: bool,
    /// `None` if it cannot be read.
    pub name: Option<Name>,
}

impl State {
    /// Reads the state. Fails with `SQLITE_NOTADB`, among others.
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
