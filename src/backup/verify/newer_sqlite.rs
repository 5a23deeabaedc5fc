//! Distinguishes a schema made by another SQLite from damage.
//!
//! # Promise
//!
//! SQLite returns `SQLITE_CORRUPT` ("malformed database schema") for a schema with the syntax of a newer
//! SQLite, and for one that depends on compile-time options. Such a database is recognized and refused with a
//! clear error:
//!
//! - a live database whose schema table can be read row by row is not moved aside;
//! - a backup whose pages are proved to be the snapshot's is not called corrupted: its maker could read the
//!   schema;
//! - a database whose header has an unknown file format version (such as `wal2`) is refused as well, as the
//!   target of a restore or as an uncatalogued backup: SQLite returns `SQLITE_NOTADB` for it, as for garbage;
//! - the pages of an uncatalogued backup are checked without the parts that this SQLite does not understand,
//!   if a newer one wrote it. If they are right, it is refused with a clear error, too.
//!
//! # How
//!
//! With `PRAGMA writable_schema=ON`, SQLite skips the parts of a schema that it does not understand. The
//! header's bytes 96–99 have the version of SQLite that last wrote the database
//! (<https://www.sqlite.org/fileformat.html>, section 1.3); an entry has the one that took the backup.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ffi};

use crate::backup::artifact::kind::SQLITE_MAGIC;
use crate::backup::catalog::entry::Entry;
use crate::error::{Error, Result};
use crate::host;

/// The file format version of WAL mode.
const NEWEST_FORMAT: u8 = 2;

/// The part of the header up to the version of the last writer.
const HEADER: usize = 100;

/// Whether an error says that the schema cannot be parsed, for any reason.
pub fn is_of_schema(error: &Error) -> bool {
    error.primary_code() == ffi::SQLITE_CORRUPT && error.message().contains("malformed database schema")
}

/// Whether the schema table can be read row by row. Sets `conn` to skip what it does not understand.
pub fn can_be_read(conn: &Connection) -> bool {
    // Some hosts forbid it by default; this connection is ours and only reads.
    let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false);
    let read = || -> rusqlite::Result<i64> {
        conn.execute_batch("PRAGMA writable_schema=ON")?;
        conn.query_row("SELECT count(*) FROM main.sqlite_schema WHERE length(sql) >= 0 OR sql IS NULL", [], |row| {
            row.get(0)
        })
    };
    read().is_ok_and(|rows| rows > 0)
}

/// The error for a live database with such a schema.
pub fn refusal_of_target(path: &Path, error: &Error) -> Error {
    Error::usage(format!(
        "cannot restore into '{}': this SQLite ({}) cannot read its schema ({error}); a newer SQLite made it, or it is damaged. Restore \
         through the SQLite that made it; if it is damaged, move it away, with its -wal and -shm, and call again",
        path.display(),
        host::sqlite_version()
    ))
}

/// Refuses a database header with an unknown file format version; ignores anything else. `path` is for
/// errors.
pub fn refuse_format(header: &[u8], path: &Path) -> Result<()> {
    let (Some(magic), Some(&[writes, reads])) =
        (header.get(..16), header.get(18..20).and_then(|found| found.first_chunk()))
    else {
        return Ok(());
    };
    if magic != SQLITE_MAGIC || writes.max(reads) <= NEWEST_FORMAT {
        return Ok(());
    }
    Err(Error::usage(format!(
        "'{}' is a database in version {} of SQLite's file format, which this SQLite ({}) does not know; another SQLite made it (with \
         journal_mode=wal2, say), or it is damaged: use that one; if it is damaged, move it away, with its -wal and -shm, and call again",
        path.display(),
        writes.max(reads),
        host::sqlite_version()
    )))
}

/// Whether a newer SQLite than this one took the backup, or last wrote the plain database in `file`.
pub fn is_newer(file: &File, entry: &Entry) -> bool {
    newest(file, entry) > ours()
}

/// The error for a backup with such a schema.
pub fn refusal_of_backup(file: &File, entry: &Entry, error: &Error) -> Error {
    let by = match newest(file, entry) {
        number if number > ours() => format!("was made by a newer SQLite ({})", text_of(number)),
        number if number > 0 => format!("was made by another SQLite ({})", text_of(number)),
        _ => "was made by another SQLite".to_owned(),
    };
    Error::usage(format!(
        "'{}' {by}; this one ({}) cannot read its schema ({error}), so it cannot judge the database; use the SQLite that made it, or a \
         newer one",
        entry.backup_path,
        host::sqlite_version()
    ))
}

/// Whether a finding may only result from the skipped parts.
pub fn is_of_what_was_left_out(finding: &str) -> bool {
    let line = finding.split_once(": ").map_or(finding, |(_, line)| line);
    (line.starts_with("Page ") && line.ends_with("never used")) || line.starts_with("max rootpage (")
}

fn ours() -> u32 {
    u32::try_from(rusqlite::version_number()).unwrap_or_default()
}

/// The newest version of SQLite known to have written it, 0 if none is.
fn newest(mut file: &File, entry: &Entry) -> u32 {
    let mut header = [0; HEADER];
    let read = file.rewind().and_then(|()| file.read_exact(&mut header));
    let wrote = read.map_or(0, |()| wrote_last(&header));
    let took = entry.database_version.as_deref().and_then(number_of).unwrap_or_default();
    wrote.max(took)
}

fn wrote_last(header: &[u8; HEADER]) -> u32 {
    let [.., a, b, c, d] = *header;
    u32::from_be_bytes([a, b, c, d])
}

/// SQLite's version number, as `3054001`, for a text such as `SQLite 3.54.1`.
fn number_of(text: &str) -> Option<u32> {
    let mut parts = text.strip_prefix("SQLite ")?.split('.').map(str::parse::<u32>);
    let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
    let patch = parts.next().and_then(|part| part.ok()).unwrap_or_default();
    (major < 100 && minor < 1000 && patch < 1000).then_some(major * 1_000_000 + minor * 1000 + patch)
}

fn text_of(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_and_texts() {
        for (text, number) in
            [("3.54.1", 3_054_001), ("3.40.1", 3_040_001), ("3.9.0", 3_009_000), ("4.0.12", 4_000_012)]
        {
            assert_eq!(number_of(&format!("SQLite {text}")), Some(number));
            assert_eq!(text_of(number), text);
        }
        assert_eq!(number_of("SQLite 3.54"), Some(3_054_000));
        for text in ["", "3.54.1", "SQLite", "SQLite x.1", "SQLite 3", "SQLite 3.5000.1", "SQLite -3.1.1"] {
            assert_eq!(number_of(text), None, "{text}");
        }
        let mut header = [7; HEADER];
        header[96..].copy_from_slice(&3_054_001u32.to_be_bytes());
        assert_eq!(wrote_last(&header), 3_054_001);
    }

    #[test]
    fn a_header_with_an_unknown_format_is_refused_and_garbage_is_not() {
        let header = |writes, reads| [SQLITE_MAGIC.as_slice(), &[16, 0, writes, reads], &[0; 80]].concat();
        let refused = |header: &[u8]| refuse_format(header, Path::new("/q.db")).is_err();
        for (writes, reads, expected) in [(1, 1, false), (2, 2, false), (3, 3, true), (1, 3, true), (255, 2, true)] {
            assert_eq!(refused(&header(writes, reads)), expected, "{writes} {reads}");
        }
        let garbage = [9; HEADER];
        for text in [&garbage, b"".as_slice(), SQLITE_MAGIC, &header(3, 3)[..19]] {
            assert!(!refused(text), "{text:?}");
        }
    }

    #[test]
    fn only_an_error_of_the_schema_is_one() {
        assert!(is_of_schema(&Error::corrupt("malformed database schema (v) - near \"ORDER\": syntax error")));
        assert!(!is_of_schema(&Error::corrupt("database disk image is malformed")));
        assert!(!is_of_schema(&Error::usage("malformed database schema")));
    }
}
