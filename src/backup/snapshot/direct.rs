//! Reads a snapshot's pages directly from the files that SQLite has open, many at a time.
//!
//! # Promise
//!
//! [`DirectReader::read`] fills a buffer with pages as the sidecar's read transaction sees them, byte for
//! byte as SQLite would return them one at a time. If that is not certain, there is no [`DirectReader`], and
//! SQLite reads them.
//!
//! # Why it is safe
//!
//! It reads through SQLite's file objects, inside a read transaction, so it touches no lock. While that
//! transaction is open, the snapshot's version of a page stays in place:
//!
//! - with a rollback journal, in the database file, since the SHARED lock keeps writers out;
//! - in WAL mode, in its last frame of the snapshot (see [`wal_frames`](super::wal_frames)), or if there is
//!   none, in the database file: a checkpoint copies no frame that is newer than the oldest reader's
//!   snapshot, and the WAL does not restart while a reader uses it (<https://www.sqlite.org/wal.html>,
//!   section 2.2);
//! - in the database file, if the WAL had been checkpointed completely when the transaction began. Then the
//!   WAL may restart, but no checkpoint can run.
//!
//! The files contain the pages themselves unless a codec (SQLCipher, SEE) or a VFS transforms them: neither
//! is read directly.
//!
//! # Why it is worth it
//!
//! SQLite takes about a microsecond for each page; copying 4096 bytes takes a tenth of that.

use rusqlite::{Connection, ffi};

use super::reader_vfs::{self, Which};
use super::wal_frames::{Frames, Index};
use crate::backup::artifact::kind::SQLITE_MAGIC;
use crate::connection::encrypted;
use crate::error::{Error, Result};
use crate::host::disk_errors;

/// Reads one snapshot directly.
pub struct DirectReader {
    page_size: u32,
    frames: Frames,
}

impl DirectReader {
    /// The reader for the snapshot of `conn`, with pages of this size; `wal` is the journal mode. `None` if
    /// SQLite must read it.
    pub fn find(conn: &Connection, wal: bool, page_size: u32) -> Result<Option<Self>> {
        if !reader_vfs::uses_reader_vfs(conn) {
            return Ok(None);
        }
        let frames = match (wal, reader_vfs::held_snapshot(conn)) {
            (false, _) => Frames::default(),
            (true, None) => return Ok(None),
            (true, Some(held)) if held.without_wal => Frames::default(),
            (true, Some(held)) => {
                let Some(index) = Index::parse(&held.header) else { return Ok(None) };
                let found = Frames::find(&index, page_size, |buffer, at| read(conn, Which::Wal, buffer, at))?;
                let Some(found) = found else { return Ok(None) };
                found
            }
        };
        let straight = Self { page_size, frames };
        let first = straight.page_one(conn)?;
        let as_declared = first.starts_with(SQLITE_MAGIC) && declared_size(&first) == Some(page_size);
        // Encrypted pages are not recognizable in the files alone.
        Ok((as_declared && !encrypted::host_encrypts(conn)?).then_some(straight))
    }

    /// Fills `buffer` with the pages from `first` on.
    pub fn read(&self, conn: &Connection, first: u32, buffer: &mut [u8]) -> Result<()> {
        let size = self.page_size as usize;
        read(conn, Which::Database, buffer, u64::from(first - 1) * u64::from(self.page_size))?;
        let end = first.saturating_add(u32::try_from(buffer.len() / size).unwrap_or(u32::MAX));
        for (page, place) in self.frames.within(first, end) {
            let start = (page - first) as usize * size;
            if let Some(room) = buffer.get_mut(start..start + size) {
                read(conn, Which::Wal, room, place)?;
            }
        }
        Ok(())
    }

    /// Page 1 as stored.
    pub fn page_one(&self, conn: &Connection) -> Result<Vec<u8>> {
        let mut page = vec![0; self.page_size as usize];
        self.read(conn, 1, &mut page)?;
        Ok(page)
    }
}

fn read(conn: &Connection, which: Which, buffer: &mut [u8], offset: u64) -> Result<()> {
    match reader_vfs::read(conn, which, buffer, offset) {
        ffi::SQLITE_OK => Ok(()),
        code => {
            // SQLite's code for this error when it reads a page itself.
            let code = if code == ffi::SQLITE_IOERR_CORRUPTFS { ffi::SQLITE_CORRUPT } else { code };
            let error = Error::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            Err(disk_errors::told(conn, error).explained().context("cannot read the database"))
        }
    }
}

/// The page size in page 1, where 65,536 is stored as 1.
fn declared_size(first: &[u8]) -> Option<u32> {
    let size = u16::from_be_bytes(first.get(16..18)?.try_into().ok()?);
    Some(if size == 1 { 65_536 } else { size.into() })
}
