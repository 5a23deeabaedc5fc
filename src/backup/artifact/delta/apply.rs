//! Applies a delta to the database of its parent. The format is described in the parent module.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::FORMAT;
use crate::backup::artifact::kind::Geometry;
use crate::backup::{artifact, snapshot};
use crate::bounds;
use crate::error::{Error, Result};
use crate::host::disk_errors;
use crate::progress::Watch;
use crate::schema;

/// Turns `base` (the parent's database) into the one that the plain delta in `file` describes, which must
/// have this geometry. `delta` is for errors.
pub fn apply(
    file: File,
    delta: &Path,
    base: &mut File,
    parent_digest: &str,
    geometry: Geometry,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let conn = artifact::open_immutable(file, delta)?;
    apply_from(&conn, delta, base, parent_digest, geometry, watch).map_err(|error| disk_errors::told(&conn, error))
}

fn apply_from(
    conn: &Connection,
    delta: &Path,
    base: &mut File,
    parent_digest: &str,
    geometry: Geometry,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let damaged = |error: rusqlite::Error| unreadable(error, delta);
    check_tables(conn, delta)?;
    // Only space for this geometry is reserved.
    if check_meta(conn, delta, parent_digest)? != geometry {
        return Err(Error::corrupt(format!("'{}' is for a database of another shape", delta.display())));
    }
    check_growth(conn, delta, base, geometry)?;
    // Content of a wrong length is not even read.
    let sql = "SELECT pgno, CASE WHEN typeof(content) = 'blob' AND length(content) = ?1 THEN content END FROM delta_page ORDER BY pgno";
    let mut pages = conn.prepare(sql).map_err(damaged)?;
    let mut rows = pages.query([geometry.page_size]).map_err(damaged)?;
    let mut last = 0;
    while let Some(row) = rows.next().map_err(damaged)? {
        let number: i64 = row.get(0).map_err(damaged)?;
        let content = row.get_ref(1).map_err(damaged)?.as_blob().unwrap_or_default();
        if number <= last || number > i64::from(geometry.page_count) || content.len() != geometry.page_size as usize {
            return Err(Error::corrupt(format!("'{}' has a page {number} that cannot be", delta.display())));
        }
        last = number;
        let offset = (number.unsigned_abs() - 1) * u64::from(geometry.page_size);
        let put = base.seek(SeekFrom::Start(offset)).and_then(|_| base.write_all(content));
        put.map_err(|error| Error::io("rebuild from", delta, &error))?;
        watch.check()?;
    }
    let size = u64::from(geometry.page_size) * u64::from(geometry.page_count);
    base.set_len(size).map_err(|error| Error::io("rebuild from", delta, &error))
}

fn unreadable(error: impl Into<Error>, delta: &Path) -> Error {
    error.into().context(format!("'{}' cannot be read as a delta", delta.display()))
}

/// A delta contains each page by which the database grew: one that declares more could create a file of any
/// length.
fn check_growth(conn: &Connection, delta: &Path, base: &File, geometry: Geometry) -> Result<()> {
    let length = base.metadata().map_err(|error| Error::io("rebuild from", delta, &error))?.len();
    let before = length / u64::from(geometry.page_size);
    let sql = "SELECT count(*) FROM delta_page WHERE pgno > ?1";
    let added: i64 = conn
        .query_row(sql, [i64::try_from(before).unwrap_or(i64::MAX)], |row| row.get(0))
        .map_err(|error| unreadable(error, delta))?;
    if added.unsigned_abs() >= growth(before, geometry) {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "'{}' lacks pages: it has {added} of those after page {before}, of a database of {} pages",
        delta.display(),
        geometry.page_count
    )))
}

/// How many pages a delta contains of those after the first `before`.
fn growth(before: u64, geometry: Geometry) -> u64 {
    let after = u64::from(geometry.page_count);
    let unused = u64::from(snapshot::lock_byte_page(geometry.page_size));
    after.saturating_sub(before).saturating_sub(u64::from((before + 1..=after).contains(&unused)))
}

/// Requires two ordinary tables: a view or a virtual table could have endless rows. Generated columns are
/// refused: they could yield content that is not in the file, and take any time.
fn check_tables(conn: &Connection, delta: &Path) -> Result<()> {
    for table in ["delta_page", "delta_meta"] {
        if !schema::has_table(conn, table).map_err(|error| unreadable(error, delta))? {
            return Err(Error::corrupt(format!("'{}' is not a delta: its tables are missing", delta.display())));
        }
        if schema::columns(conn, table).map_err(|error| unreadable(error, delta))?.iter().any(|column| !column.stored)
        {
            let why = "its tables have generated columns";
            return Err(Error::corrupt(format!("'{}' is not a delta: {why}", delta.display())));
        }
    }
    Ok(())
}

fn check_meta(conn: &Connection, delta: &Path, parent_digest: &str) -> Result<Geometry> {
    let read = || -> rusqlite::Result<HashMap<String, Value>> {
        // Looking up by the key would read whole rows (+key does not).
        let sql = "SELECT key, value FROM delta_meta WHERE length(value) <= ?1 AND +key IN ('format', 'page_size', 'page_count', 'parent_digest')";
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([bounds::DELTA_TEXT], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let meta = read().map_err(|error| unreadable(error, delta))?;
    let number = |key: &str| match meta.get(key) {
        Some(Value::Integer(number)) => Ok(*number),
        _ => Err(Error::corrupt(format!("'{}' is a delta without {key}", delta.display()))),
    };
    let format = number("format")?;
    if format != FORMAT {
        return Err(Error::usage(format!(
            "'{}' is a delta of format {format}, but this version reads format {FORMAT}; use the version that wrote it, or \
             a newer one",
            delta.display()
        )));
    }
    if meta.get("parent_digest") != Some(&Value::Text(parent_digest.to_owned())) {
        return Err(Error::corrupt(format!("'{}' builds on another backup than the one before it", delta.display())));
    }
    let (size, count) = (number("page_size")?, number("page_count")?);
    match (u32::try_from(size), u32::try_from(count)) {
        (Ok(page_size), Ok(page_count)) if page_size.is_power_of_two() && (512..=65536).contains(&page_size) => {
            Ok(Geometry { page_size, page_count })
        }
        _ => Err(Error::corrupt(format!("'{}' describes a database that cannot be", delta.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_holds_all_new_pages_but_that_of_the_lock_byte() {
        let grown = |before, page_count| growth(before, Geometry { page_size: 65_536, page_count });
        assert_eq!((grown(3, 3), grown(3, 2), grown(3, 10), grown(0, 1)), (0, 0, 7, 1));
        assert_eq!((grown(16_383, 16_384), grown(16_384, 16_385), grown(16_384, 16_387)), (1, 0, 2));
        assert_eq!((grown(16_385, 16_387), grown(0, u32::MAX)), (2, u64::from(u32::MAX) - 1));
    }
}
