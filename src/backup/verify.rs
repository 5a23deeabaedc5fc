//! Whether an artifact is what it was meant to be.
//!
//! # Promise
//!
//! Three levels, each with all that the one before it does:
//!
//! - `checksum`: the file is byte for byte what was written (length and SHA-256);
//! - `quick`: its pages are those of the snapshot (`content_digest`), and `PRAGMA quick_check` finds nothing;
//! - `full`: `PRAGMA integrity_check` and `PRAGMA foreign_key_check` find nothing, and the tasks by status are those
//!   that were counted when the snapshot was taken.
//!
//! Verifying writes nothing: the artifact is opened as immutable.

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, ffi};
use serde_json::{Map, Value};

use super::artifact;
use super::sink::Geometry;
use crate::error::{Error, Result};
use crate::progress::Watch;
use crate::queue::depth;
use crate::{files, host};

/// More findings than this help nobody.
const MOST_FINDINGS: usize = 20;

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The file is what was written.
    Checksum,
    /// And its pages make a sound database, as far as a quick look tells.
    Quick,
    /// And every index, constraint and count is right.
    Full,
}

impl Level {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// The level of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Checksum, Self::Quick, Self::Full].into_iter().find(|level| level.word() == word)
    }
}

/// What an artifact should be.
#[derive(Debug)]
pub struct Expected<'a> {
    /// SHA-256 of the file.
    pub checksum: &'a str,
    /// Its length.
    pub size: u64,
    /// The pages' shape.
    pub geometry: Geometry,
    /// The pages' digest.
    pub content_digest: &'a str,
    /// Tasks by status, if there is a task table.
    pub task_counts: Option<&'a Map<String, Value>>,
}

/// What is wrong with the plain artifact at `path`; nothing, if the list is empty.
///
/// # Errors
///
/// When the question could not be answered: an unreadable file, an interrupt.
pub fn findings(path: &Path, expected: &Expected<'_>, level: Level, watch: &mut Watch<'_>) -> Result<Vec<String>> {
    let mut file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let found = artifact::fingerprint(&mut file, path, watch)?;
    if found.size != expected.size || found.checksum != expected.checksum {
        return Ok(vec![format!(
            "the file has {} bytes with SHA-256 {}, but {} bytes with {} were written",
            found.size, found.checksum, expected.size, expected.checksum
        )]);
    }
    if level == Level::Checksum {
        return Ok(Vec::new());
    }
    let hashes = artifact::page_hashes(&mut file, path, expected.geometry.page_size, watch)?;
    if artifact::content_digest(expected.geometry, &hashes) != expected.content_digest {
        return Ok(vec!["its pages are not those of the snapshot".into()]);
    }
    check_database(path, expected, level, watch)
}

fn check_database(path: &Path, expected: &Expected<'_>, level: Level, watch: &mut Watch<'_>) -> Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let conn = Connection::open_with_flags(files::immutable_uri(path), flags)?;
    let mut stopped = None;
    let mut stop = || {
        stopped = watch.check().err();
        stopped.is_some()
    };
    let outcome = host::interruptible(&conn, &mut stop, || {
        conn.execute_batch("PRAGMA mmap_size=0")?;
        let mut found = pragma_findings(&conn, level)?;
        if level == Level::Full && found.is_empty() {
            found.extend(count_findings(&conn, expected.task_counts)?);
        }
        Ok(found)
    });
    match (outcome, stopped) {
        (_, Some(interrupt)) => Err(interrupt),
        (Err(error), None) if is_damage(&error) => Ok(vec![error.message().to_owned()]),
        (outcome, None) => outcome,
    }
}

fn is_damage(error: &Error) -> bool {
    matches!(error.primary_code(), ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB)
}

fn pragma_findings(conn: &Connection, level: Level) -> Result<Vec<String>> {
    let check = match level {
        Level::Full => "integrity_check",
        _ => "quick_check",
    };
    let mut found = Vec::new();
    let mut statement = conn.prepare(&format!("PRAGMA {check}({MOST_FINDINGS})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let message: String = row.get(0)?;
        if message != "ok" {
            found.push(format!("{check}: {message}"));
        }
    }
    if level == Level::Full {
        let mut statement = conn.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (table, rowid, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let rowid = rowid.map_or_else(|| "?".to_owned(), |rowid| rowid.to_string());
            found.push(format!("foreign_key_check: row {rowid} of {table} has no match in {parent}"));
            if found.len() >= MOST_FINDINGS {
                break;
            }
        }
    }
    Ok(found)
}

fn count_findings(conn: &Connection, expected: Option<&Map<String, Value>>) -> Result<Vec<String>> {
    let found = depth::counts(conn)?;
    if found.as_ref() == expected {
        return Ok(Vec::new());
    }
    let text = |counts: Option<&Map<String, Value>>| {
        counts.map_or_else(|| "no task table".to_owned(), |counts| Value::Object(counts.clone()).to_string())
    };
    Ok(vec![format!("the tasks by status are {}, but were {}", text(found.as_ref()), text(expected))])
}
