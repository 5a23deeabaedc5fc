//! Writes and applies an `incremental` artifact: the pages that differ from the parent's.
//!
//! # Promise
//!
//! A delta is a SQLite database with two tables, so stock tools can apply it: `delta_page(pgno, content)`
//! with the pages that changed, and `delta_meta(key, value)` with `format` (1), `page_size`, `page_count`,
//! `parent_id`, `parent_digest` and `content_digest`. To get from the database with `parent_digest` to the
//! one with `content_digest`, write each page to its offset, then truncate or extend the file to `page_count`
//! pages.
//!
//! # How
//!
//! During the walk each page's hash is compared with the parent's: the live database is read once, and only
//! changed pages are written. One thread reads, hashes and compares, in pieces that fit the processor's
//! cache. A second thread would have to fetch every page from memory again, and takes a processor from the
//! queue's workers. Changed pages are copied and inserted many at a time: they are scattered, so most pieces
//! have one or none, and preparing a statement for each takes a tenth of the time. The delta has pages of
//! 65,536 bytes, which waste the least space around page-sized blobs. Each hash replaces the parent's once it
//! is compared, so only one list is in memory.

mod apply;

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params};

pub use self::apply::apply;
use crate::backup::artifact::kind::Geometry;
use crate::backup::artifact::{self, HashList, PageHash};
use crate::backup::snapshot::visitor::{Fill, PageVisitor};
use crate::error::{Error, Result};
use crate::host::disk_errors;
use crate::host::unnamed_files::{self, Access};
use crate::memory;

/// The format that is written, and the newest that can be read.
const FORMAT: i64 = 1;
/// Bytes read and hashed at a time; fits a core's second-level cache with room to spare.
const PIECE: usize = 128 << 10;
/// Pieces between two checks of the caller and the WAL.
const PIECES: usize = 16;
/// Bytes of changed pages inserted at once.
const BATCH: usize = 128 << 10;

/// The backup that a delta builds on.
#[derive(Debug)]
pub struct Parent {
    pub id: String,
    /// The content digest.
    pub digest: String,
    /// Of each page.
    pub hashes: Vec<PageHash>,
}

/// The result of a walk.
pub struct Compared {
    /// Of all pages.
    pub hashes: Vec<PageHash>,
    pub content_digest: String,
    /// Pages in the file.
    pub pages_stored: u32,
}

/// Writes the changed pages of a snapshot.
pub struct DeltaWriter {
    piece: Vec<u8>,
    comparing: Comparing,
}

impl DeltaWriter {
    /// Writes to the empty `file`; `path` is for errors.
    pub fn start(file: File, path: &Path, parent: Parent) -> Result<Self> {
        memory::require(PIECE + BATCH)?;
        let file = DeltaFile::create(file, path, &parent)?;
        let comparing = Comparing { hashes: HashList::replacing(parent.hashes), file };
        Ok(Self { piece: vec![0; PIECE], comparing })
    }

    /// Completes the file.
    pub fn finish(&mut self, geometry: Geometry) -> Result<Compared> {
        let hashes = self.comparing.hashes.finish(geometry.page_count);
        let content_digest = artifact::content_digest(geometry, &hashes);
        let pages_stored = self.comparing.file.finish(geometry, &content_digest)?;
        Ok(Compared { hashes, content_digest, pages_stored })
    }
}

impl PageVisitor for DeltaWriter {
    fn page(&mut self, number: u32, content: &[u8]) -> Result<()> {
        self.comparing.take(number, content.len(), content)
    }

    fn run(&mut self, first: u32, most: u32, page_size: usize, fill: Fill<'_>) -> Result<u32> {
        let room = |bytes: usize| u32::try_from(bytes / page_size.max(1)).unwrap_or(u32::MAX);
        let pages = most.min(room(PIECES * PIECE));
        let mut taken = 0;
        while taken < pages {
            let count = (pages - taken).min(room(PIECE));
            let Some(piece) = self.piece.get_mut(..count as usize * page_size).filter(|piece| !piece.is_empty())
            else {
                return Err(Error::internal("a page is larger than a piece of pages"));
            };
            fill(first + taken, piece)?;
            self.comparing.take(first + taken, page_size, piece)?;
            taken += count;
        }
        Ok(taken)
    }
}

/// Finds the changed pages.
struct Comparing {
    hashes: HashList,
    file: DeltaFile,
}

impl Comparing {
    /// Compares consecutive pages.
    fn take(&mut self, first: u32, page_size: usize, pages: &[u8]) -> Result<()> {
        for (number, content) in (first..).zip(pages.chunks_exact(page_size)) {
            if self.hashes.put(number, content)? {
                self.file.put(number, content)?;
            }
        }
        Ok(())
    }
}

/// The delta's database.
struct DeltaFile {
    conn: Connection,
    path: PathBuf,
    parent_id: String,
    parent_digest: String,
    /// Pages to be inserted next, with their content.
    numbers: Vec<u32>,
    contents: Vec<u8>,
    stored: u32,
}

impl DeltaFile {
    fn create(file: File, path: &Path, parent: &Parent) -> Result<Self> {
        let conn = unnamed_files::connect(file, Access::Write).map_err(|error| failed(error, path))?;
        conn.execute_batch(
            "PRAGMA page_size=65536; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE; BEGIN;
             CREATE TABLE delta_page(pgno INTEGER PRIMARY KEY, content BLOB NOT NULL);
             CREATE TABLE delta_meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;",
        )
        .map_err(|error| failed(disk_errors::told(&conn, error.into()), path))?;
        let (parent_id, parent_digest) = (parent.id.clone(), parent.digest.clone());
        let (numbers, contents) = (Vec::new(), Vec::with_capacity(BATCH));
        Ok(Self { conn, path: path.to_path_buf(), parent_id, parent_digest, numbers, contents, stored: 0 })
    }

    fn put(&mut self, number: u32, content: &[u8]) -> Result<()> {
        self.numbers.push(number);
        self.contents.extend_from_slice(content);
        if self.contents.len() < BATCH { Ok(()) } else { self.insert() }
    }

    /// Inserts the waiting pages.
    fn insert(&mut self) -> Result<()> {
        let Some(page_size) = self.contents.len().checked_div(self.numbers.len()) else { return Ok(()) };
        let put = || -> rusqlite::Result<()> {
            let mut insert = self.conn.prepare("INSERT INTO delta_page VALUES (?1, ?2)")?;
            for page in self.numbers.iter().zip(self.contents.chunks_exact(page_size)) {
                insert.execute(page)?;
            }
            Ok(())
        };
        put().map_err(|error| failed(disk_errors::told(&self.conn, error.into()), &self.path))?;
        self.stored += u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.clear();
        self.contents.clear();
        Ok(())
    }

    fn finish(&mut self, geometry: Geometry, content_digest: &str) -> Result<u32> {
        self.insert()?;
        let meta = [
            ("format", Value::Integer(FORMAT)),
            ("page_size", Value::Integer(geometry.page_size.into())),
            ("page_count", Value::Integer(geometry.page_count.into())),
            ("parent_id", Value::Text(self.parent_id.clone())),
            ("parent_digest", Value::Text(self.parent_digest.clone())),
            ("content_digest", Value::Text(content_digest.into())),
        ];
        let put = || -> rusqlite::Result<()> {
            let mut insert = self.conn.prepare("INSERT INTO delta_meta VALUES (?1, ?2)")?;
            for (key, value) in &meta {
                insert.execute(params![key, value])?;
            }
            drop(insert);
            self.conn.execute_batch("COMMIT")
        };
        put().map_err(|error| failed(disk_errors::told(&self.conn, error.into()), &self.path))?;
        Ok(self.stored)
    }
}

fn failed(error: Error, path: &Path) -> Error {
    error.context(format!("cannot write the delta '{}'", path.display()))
}
