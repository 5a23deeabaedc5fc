//! The snapshot's pages straight from the files that SQLite has open, many at a time.
//!
//! # Promise
//!
//! [`DirectReader::read`] fills a buffer with pages as the sidecar's read transaction sees them, byte for byte what SQLite would
//! hand out one at a time. Where that cannot be known for certain, there is no [`DirectReader`], and SQLite is asked.
//!
//! # Why it may
//!
//! It reads through the file objects of SQLite, inside a read transaction of SQLite, so no lock is touched. As long as that
//! transaction is open, the snapshot's version of a page stands where it was at the beginning:
//!
//! - with a rollback journal in the database file, since the SHARED lock keeps writers out;
//! - in WAL mode in the last frame for it among those of the snapshot (see [`wal_frames`](super::wal_frames)), or, if there is none, in the
//!   database file: a checkpoint copies no frame there that is younger than the oldest reader's, and the WAL does not begin anew
//!   while somebody reads from it (<https://www.sqlite.org/wal.html>, section 2.2);
//! - in the database file alone, if all of the WAL had been copied there when the transaction began. Then the WAL may begin anew,
//!   but no checkpoint can run.
//!
//! What stands in the files are the pages, unless a codec sits between (SQLCipher, SEE), or a VFS that does something to them:
//! neither is read straight.
//!
//! # Why it is worth it
//!
//! SQLite takes about a microsecond for each page that it is asked for; a page of 4096 bytes is copied in a tenth of that.

use rusqlite::{Connection, ffi};

use super::reader_vfs::{self, Which};
use super::wal_frames::{Frames, Index};
use crate::connection::encrypted;
use crate::error::{Error, Result};
use crate::host::disk_errors;

const MAGIC: &[u8] = b"SQLite format 3\0";

/// How to read a snapshot.
pub struct DirectReader {
    page_size: u32,
    frames: Frames,
}

impl DirectReader {
    /// For the snapshot that `conn` holds, of pages of this size; `wal` tells the journal mode. `None` when it has to be read through SQLite.
    ///
    /// # Errors
    ///
    /// What the disk says, or `SQLITE_NOMEM`.
    pub fn find(conn: &Connection, wal: bool, page_size: u32) -> Result<Option<Self>> {
        if !reader_vfs::is_watched(conn) {
            return Ok(None);
        }
        let frames = match (wal, reader_vfs::held(conn)) {
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
        let as_declared = first.starts_with(MAGIC) && declared_size(&first) == Some(page_size);
        // Where pages may be encrypted, the files alone do not tell whether they are.
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

    /// Page 1 as it stands in the database.
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
            // What SQLite calls this error of the disk when it reads a page itself.
            let code = if code == ffi::SQLITE_IOERR_CORRUPTFS { ffi::SQLITE_CORRUPT } else { code };
            let error = Error::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            Err(disk_errors::told(conn, error).explained().context("cannot read the database"))
        }
    }
}

/// The size of a page according to page 1, where 65,536 is written as 1.
fn declared_size(first: &[u8]) -> Option<u32> {
    let size = u16::from_be_bytes(first.get(16..18)?.try_into().ok()?);
    Some(if size == 1 { 65_536 } else { size.into() })
}
