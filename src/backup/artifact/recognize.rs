//! Recognizes deltas among database files, and artifacts among files to be deleted.
//!
//! # Promise
//!
//! A delta (see [`delta`](super::delta)) is never taken for a database to restore, whatever its name, its
//! compression, the catalog or other files say, and whatever tables other programs have added to it. A
//! database that merely has tables of these names, beside others or with other content, is not a delta.
//!
//! # How
//!
//! A delta has the tables `delta_page` and `delta_meta`, and `delta_meta` has the keys of every format
//! version. If there are tables other than SQLite's and queuekeeper's, the content must also be as we write
//! it: an id, two digests, and pages of the declared size. [`may_be_delta`] excludes most files by page 1
//! alone, which avoids expanding them.

use std::fs::File;
use std::io::Seek;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::compression::Compression;
use super::kind::SQLITE_MAGIC;
use crate::backup::artifact;
use crate::bounds;
use crate::error::{Error, Result};
use crate::files::{self, Directory, LiveFiles};
use crate::schema;

/// The first byte of a b-tree's interior root, and its offset in page 1
/// (<https://www.sqlite.org/fileformat.html>, section 1.6).
const INTERIOR: u8 = 5;
const ROOT: usize = 100;

/// Opens the artifact at `path` for deletion, if it exists. By its beginning it must be a database or a
/// compressed one, or be empty. The error says that `says` is wrong about it.
pub fn artifact(directory: &Directory, path: &Path, live: &LiveFiles, says: &str) -> Result<Option<File>> {
    let Some(mut file) = files::open_own(directory, path, live)? else { return Ok(None) };
    if is_artifact(&mut file, path)? { Ok(Some(file)) } else { Err(not_one(path, says)) }
}

fn is_artifact(file: &mut File, path: &Path) -> Result<bool> {
    let mut beginning = [0; SQLITE_MAGIC.len()];
    let length = artifact::read_at_start(file, &mut beginning, path)?;
    let compression = match beginning[..length] {
        [] => return Ok(true),
        [0x1f, 0x8b, 8, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        ref plain => return Ok(plain == SQLITE_MAGIC),
    };
    file.rewind().map_err(|error| Error::io("read", path, &error))?;
    Ok(artifact::plain_beginning(files::duplicate(file, path)?, compression, path)?.starts_with(SQLITE_MAGIC))
}

fn not_one(path: &Path, says: &str) -> Error {
    Error::usage(format!(
        "'{}' is no backup, whatever {says} says: it is neither a SQLite database nor a compressed one, so it is not deleted; if it is \
         a damaged backup, delete it yourself",
        path.display()
    ))
}

/// Whether page 1 may have a delta's schema; `false` is certain.
pub fn may_be_delta(page_one: &[u8]) -> bool {
    let page = page_one.to_ascii_lowercase();
    let holds = |name: &str| memchr::memmem::find(&page, name.as_bytes()).is_some();
    // A schema that has outgrown page 1 is on other pages.
    page_one.get(ROOT) == Some(&INTERIOR) || (holds("delta_page") && holds("delta_meta"))
}

/// Which tables a database has.
#[derive(PartialEq, Eq)]
enum Tables {
    /// Not both of a delta's.
    Others,
    /// Both, and no foreign ones.
    DeltaAlone,
    DeltaAmongOthers,
}

/// Refuses a database that is a delta. `path` is for errors.
pub fn refuse_delta(conn: &Connection, path: &Path) -> Result<()> {
    let tables = tables(conn)?;
    if tables == Tables::Others {
        return Ok(());
    }
    let Some(parent) = parent_of(conn)? else { return Ok(()) };
    if tables == Tables::DeltaAmongOthers && !is_as_written(conn, &parent)? {
        return Ok(());
    }
    Err(Error::usage(format!(
        "'{}' is an incremental backup (a delta): it holds only the pages that differ from those of the backup {parent}, and is no \
         database by itself; put it, under its own name, into the directory of the backups that it builds on, with their catalog \
         (backup_manifest.json) or all their .hashes files, and call again",
        path.display()
    )))
}

fn tables(conn: &Connection) -> rusqlite::Result<Tables> {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE lower(name) IN ('delta_page', 'delta_meta') AND {}), count(*) FROM main.sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name NOT LIKE 'queuekeeper~_%' ESCAPE '~'",
        schema::IS_TABLE
    );
    conn.query_row(&sql, [], |row| {
        Ok(match (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?) {
            (2, 2) => Tables::DeltaAlone,
            (2, _) => Tables::DeltaAmongOthers,
            _ => Tables::Others,
        })
    })
}

/// The id of a delta's parent; `None` if keys of a delta are missing.
fn parent_of(conn: &Connection) -> Result<Option<String>> {
    if !has_columns(conn, "delta_meta", ["key", "value"])? {
        return Ok(None);
    }
    let sql = "SELECT CAST(value AS TEXT) FROM main.delta_meta WHERE +key = 'parent_id' AND length(value) <= ?1
               AND (SELECT count(DISTINCT key) FROM main.delta_meta
                    WHERE +key IN ('format', 'page_size', 'page_count', 'parent_digest', 'content_digest')) = 5";
    let found = conn.query_row(sql, [bounds::DELTA_TEXT], |row| row.get::<_, Option<String>>(0)).optional()?;
    Ok(found.flatten())
}

/// Whether a delta's tables hold only what we write: an id, digests, and pages of the declared size.
fn is_as_written(conn: &Connection, parent: &str) -> Result<bool> {
    if uuid::Uuid::parse_str(parent).is_err() || !has_columns(conn, "delta_page", ["pgno", "content"])? {
        return Ok(false);
    }
    let sql =
        "SELECT (SELECT count(DISTINCT key) FROM main.delta_meta WHERE +key IN ('parent_digest', 'content_digest')
                       AND typeof(value) = 'text' AND length(value) BETWEEN 32 AND ?1 AND value NOT GLOB '*[^0-9a-f]*') = 2
               AND NOT EXISTS (SELECT 1 FROM main.delta_page WHERE length(content) IS NOT
                               (SELECT value FROM main.delta_meta WHERE +key = 'page_size'))";
    Ok(conn.query_row(sql, [bounds::DELTA_TEXT], |row| row.get(0))?)
}

fn has_columns(conn: &Connection, table: &str, names: [&str; 2]) -> Result<bool> {
    let columns = schema::columns(conn, table)?;
    Ok(names.iter().all(|name| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))))
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
        assert!(may_be_delta(b"..CREATE TABLE \"DELTA_META\"(..CREATE TABLE Delta_Page(.."));
        let mut page = [0; 512];
        page[ROOT] = INTERIOR;
        assert!(may_be_delta(&page));
    }
}
