//! What a database file says of itself: whether it is a delta rather than a database to restore.
//!
//! # Promise
//!
//! A delta (see [`delta`](super::delta)) is never taken for a database, whatever its name, its compression, the catalog or the files
//! beside it say. A database that merely has tables of these names, beside others or with other content, is none.
//!
//! # How
//!
//! A delta has the tables `delta_page` and `delta_meta` and no others, except those of SQLite and of queuekeeper, and `delta_meta` has
//! the keys that every format of it has. [`may_be_delta`] tells from page 1 alone when there is no need to look closer, for files that
//! would have to be expanded first.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::schema;

/// Whether page 1 has the schema of a delta; false if it is none for sure.
pub fn may_be_delta(page_one: &[u8]) -> bool {
    let holds = |name: &str| page_one.windows(name.len()).any(|found| found == name.as_bytes());
    holds("delta_page") && holds("delta_meta")
}

/// Refuses a database that is a delta; errors speak of `path`.
///
/// # Errors
///
/// Such a one, or what SQLite says to reading it.
pub fn refuse_delta(conn: &Connection, path: &Path) -> Result<()> {
    if !has_its_tables(conn)? {
        return Ok(());
    }
    let Some(parent) = parent_of(conn)? else { return Ok(()) };
    Err(Error::usage(format!(
        "'{}' is an incremental backup (a delta): it holds only the pages that differ from those of the backup {parent}, and is no \
         database by itself; put it, under its own name, into the directory of the backups that it builds on, with their catalog \
         (backup_manifest.json) or all their .hashes files, and call again",
        path.display()
    )))
}

fn has_its_tables(conn: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FILTER (WHERE name IN ('delta_page', 'delta_meta') AND rootpage > 0), count(*) FROM main.sqlite_schema
               WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name NOT LIKE 'queuekeeper~_%' ESCAPE '~'";
    conn.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?) == (2, 2)))
}

/// The id of the backup that a delta builds on; `None` if the keys of a delta are missing.
fn parent_of(conn: &Connection) -> Result<Option<String>> {
    let columns = schema::columns(conn, "delta_meta")?;
    if !["key", "value"].iter().all(|name| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))) {
        return Ok(None);
    }
    let sql = "SELECT CAST(value AS TEXT) FROM main.delta_meta WHERE key = 'parent_id'
               AND (SELECT count(DISTINCT key) FROM main.delta_meta
                    WHERE key IN ('format', 'page_size', 'page_count', 'parent_digest', 'content_digest')) = 5";
    let found = conn.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).optional()?;
    Ok(found.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_one_without_both_names_is_no_deltas() {
        assert!(may_be_delta(b"..CREATE TABLE delta_page(..CREATE TABLE delta_meta(.."));
        assert!(!may_be_delta(b"..delta_page.."));
        assert!(!may_be_delta(b"delta_met"));
        assert!(!may_be_delta(b""));
    }
}
