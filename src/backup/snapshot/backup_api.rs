//! The sink: a database that is not stored. What SQLite writes into it goes to a [`PageVisitor`].
//!
//! # Promise
//!
//! SQLite's backup API copies a database into another. If that is one of ours (see [`unnamed_files`]), its
//! pages go to the visitor instead of a disk. The visitor gets every page exactly once: pages 2, 3, … in
//! ascending order, then page 1. The lock-byte page (at byte 1,073,741,824) has no content and is never
//! delivered. Page 1 has the WAL marks (bytes 18 and 19) cleared, so that a copy opens anywhere, even in a
//! read-only directory, without a `-wal` and `-shm`. An error of the visitor ends the walk cleanly and is
//! returned by [`Sink::finish`].
//!
//! # How
//!
//! The destination has `journal_mode=OFF`, `synchronous=OFF` and a small cache, so SQLite writes each page as
//! it spills: in ascending order, except for page 1, which the pager usually pins until the commit. The sink
//! keeps page 1, serves reads of it (SQLite rereads its header), and delivers it at the end. Visitors rely on
//! the ascending order, so any other is an error.
//!
//! The backup API would ignore `SQLITE_BUSY` and `SQLITE_LOCKED` from `xWrite`. So `xWrite` returns
//! `SQLITE_FULL` or `SQLITE_IOERR_WRITE`, and the visitor's error is kept separately.

use std::ffi::c_int;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags, ffi};

use super::visitor::PageVisitor;
use crate::backup::artifact::kind::Geometry;
use crate::error::{Error, Result};
use crate::host::threads::lock;
use crate::host::unnamed_files;

/// The state of a walk into a visitor.
struct Flow {
    visitor: Box<dyn PageVisitor>,
    page_one: Vec<u8>,
    page_size: usize,
    last_page: u32,
    length: u64,
    error: Option<Error>,
}

type Shared = Arc<Mutex<Flow>>;

/// The sink of one walk.
pub struct Sink {
    flow: Shared,
}

impl Sink {
    pub fn new(visitor: Box<dyn PageVisitor>) -> Self {
        let flow = Flow { visitor, page_one: Vec::new(), page_size: 0, last_page: 1, length: 0, error: None };
        Self { flow: Arc::new(Mutex::new(flow)) }
    }

    /// An empty database whose pages go to the visitor: the destination of one backup.
    pub fn connect(&self) -> Result<Connection> {
        let flow: unnamed_files::Shared = self.flow.clone();
        let ready = || -> Result<Connection> {
            let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
            let conn = unnamed_files::connect_to(&flow, access)?;
            conn.execute_batch(
                "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=16",
            )?;
            Ok(conn)
        };
        ready().map_err(|error| error.context("cannot set up the page walk"))
    }

    /// The visitor's error, if any. It is the cause of an I/O error of the sink.
    pub fn take_error(&self) -> Option<Error> {
        lock(&self.flow).error.take()
    }

    /// Delivers page 1, after the backup is done and the connection closed. Fails with the visitor's error,
    /// or if the walk was incomplete.
    pub fn finish(self) -> Result<Geometry> {
        let mut flow = lock(&self.flow);
        if let Some(error) = flow.error.take() {
            return Err(error);
        }
        let page_size = u32::try_from(flow.page_size).unwrap_or_default();
        if page_size == 0 || flow.page_one.is_empty() {
            return Err(Error::internal("the page walk ended without page 1"));
        }
        let pages = flow.length / u64::from(page_size);
        let page_count = u32::try_from(pages)
            .map_err(|_| Error::internal("the page walk has more pages than a database can have"))?;
        let mut page_one = std::mem::take(&mut flow.page_one);
        clear_wal_marks(&mut page_one);
        flow.visitor.page(1, &page_one)?;
        Ok(Geometry { page_size, page_count })
    }
}

/// Predicts the page 1 that a walk of a database of `page_count` pages delivers. SQLite writes the real page
/// count (bytes 28–31), the schema cookie (40–43) and the change counter with its copy (24–27, 92–95) as of
/// the first change to a new database, and its own version (96–99).
pub fn expected_page_one(mut page: Vec<u8>, page_count: u32) -> Vec<u8> {
    let version = u32::try_from(rusqlite::version_number()).unwrap_or_default();
    for (offset, value) in [(24, 1), (28, page_count.max(1)), (40, 1), (92, 1), (96, version)] {
        if let Some(bytes) = page.get_mut(offset..offset + 4) {
            bytes.copy_from_slice(&value.to_be_bytes());
        }
    }
    clear_wal_marks(&mut page);
    page
}

fn clear_wal_marks(page_one: &mut [u8]) {
    if let Some(marks) = page_one.get_mut(18..20) {
        marks.fill(1);
    }
}

impl Flow {
    fn put(&mut self, offset: u64, content: &[u8]) -> Result<()> {
        if self.page_size == 0 {
            self.page_size = content.len();
        }
        let page_size = self.page_size as u64;
        if content.len() != self.page_size || page_size == 0 || !offset.is_multiple_of(page_size) {
            return Err(Error::internal("SQLite wrote something other than a page"));
        }
        let number = u32::try_from(offset / page_size + 1)
            .map_err(|_| Error::internal("SQLite wrote behind the last possible page"))?;
        self.length = self.length.max(offset + page_size);
        if number == 1 {
            self.page_one.clear();
            self.page_one.extend_from_slice(content);
            return Ok(());
        }
        if number <= self.last_page {
            return Err(Error::internal(format!("page {number} came after page {}", self.last_page)));
        }
        self.last_page = number;
        self.visitor.page(number, content)
    }

    /// Fills `target` from page 1 as far as it is known; returns whether that was all.
    fn peek(&self, offset: u64, target: &mut [u8]) -> bool {
        target.fill(0);
        let Ok(start) = usize::try_from(offset) else {
            return false;
        };
        let Some(known) = self.page_one.get(start..) else {
            return false;
        };
        let length = known.len().min(target.len());
        target[..length].copy_from_slice(&known[..length]);
        length == target.len()
    }
}

impl unnamed_files::Content for Flow {
    fn read(&mut self, offset: u64, target: &mut [u8]) -> std::result::Result<bool, c_int> {
        Ok(self.peek(offset, target))
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> std::result::Result<(), c_int> {
        self.put(offset, bytes).map_err(|error| {
            let full = error.primary_code() == ffi::SQLITE_FULL;
            self.error.get_or_insert(error);
            if full { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR_WRITE }
        })
    }

    fn set_length(&mut self, length: u64) -> std::result::Result<(), c_int> {
        self.length = length;
        Ok(())
    }

    fn length(&mut self) -> std::result::Result<u64, c_int> {
        Ok(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::visitor::Fill;
    use super::*;

    type Seen = Arc<Mutex<Vec<(u32, usize)>>>;

    struct Pages(Seen);

    impl PageVisitor for Pages {
        fn page(&mut self, number: u32, content: &[u8]) -> Result<()> {
            if number == 13 {
                return Err(Error::new(ffi::SQLITE_FULL, "thirteen"));
            }
            lock(&self.0).push((number, content.len()));
            Ok(())
        }

        fn run(&mut self, _: u32, _: u32, _: usize, _: Fill<'_>) -> Result<u32> {
            panic!("SQLite hands out one page at a time")
        }
    }

    fn sink() -> (Sink, Seen) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        (Sink::new(Box::new(Pages(Arc::clone(&seen)))), seen)
    }

    #[test]
    fn page_one_is_delivered_last_with_its_wal_marks_cleared() {
        let (sink, seen) = sink();
        let mut first = vec![7; 512];
        first[18..20].fill(2);
        lock(&sink.flow).put(0, &first).unwrap();
        lock(&sink.flow).put(512, &[1; 512]).unwrap();
        lock(&sink.flow).put(2048, &[1; 512]).unwrap();
        let mut header = [0; 100];
        assert!(lock(&sink.flow).peek(0, &mut header));
        assert_eq!(header[18], 2, "SQLite must read what it wrote");
        let geometry = sink.finish().unwrap();
        assert_eq!(geometry, Geometry { page_size: 512, page_count: 5 });
        assert_eq!(*lock(&seen), [(2, 512), (5, 512), (1, 512)]);
        clear_wal_marks(&mut first);
        assert_eq!(first[18..20], [1, 1]);
    }

    #[test]
    fn a_page_out_of_order_or_of_another_size_is_an_error() {
        let (sink, _) = sink();
        let mut flow = lock(&sink.flow);
        flow.put(1024, &[0; 512]).unwrap();
        assert!(flow.put(512, &[0; 512]).is_err());
        assert!(flow.put(1536, &[0; 100]).is_err());
        assert!(flow.put(1700, &[0; 512]).is_err());
    }

    #[test]
    fn a_walk_without_page_one_is_an_error_and_a_visitors_error_is_kept() {
        let (empty, _) = sink();
        assert!(empty.finish().is_err());
        let (sink, _) = sink();
        let error = lock(&sink.flow).put(12 * 512, &[0; 512]).unwrap_err();
        assert_eq!(error.code(), ffi::SQLITE_FULL);
    }

    #[test]
    fn reads_beyond_page_one_are_short_and_zero() {
        let (sink, _) = sink();
        let mut target = [9; 16];
        assert!(!lock(&sink.flow).peek(0, &mut target));
        assert_eq!(target, [0; 16]);
    }
}
