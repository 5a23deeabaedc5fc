//! A batch of pages, as it circulates in the [`pipeline`](crate::backup::pipeline).

use rusqlite::ffi;

use super::buffer::Buffer;
use crate::error::{Error, Result};
use crate::memory;

/// Bytes per batch: enough for one efficient write.
pub const BATCH: usize = 1 << 20;

/// Consecutive pages.
pub struct Batch {
    bytes: Buffer,
    length: usize,
    /// The number of the first page.
    pub first: u32,
    pub page_size: usize,
}

impl Batch {
    pub fn new() -> Result<Self> {
        memory::require(BATCH)?;
        let bytes = Buffer::new(BATCH).map_err(|error| Error::new(ffi::SQLITE_NOMEM, error.to_string()))?;
        Ok(Self { bytes, length: 0, first: 0, page_size: 0 })
    }

    /// The pages, concatenated.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The pages with their numbers.
    pub fn pages(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (self.first..).zip(self.bytes().chunks_exact(self.page_size.max(1)))
    }

    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// The buffer for `count` pages from `first` on, which become the batch's pages. Fails if they exceed a
    /// batch.
    pub fn room(&mut self, first: u32, count: u32, page_size: usize) -> Result<&mut [u8]> {
        let length = count as usize * page_size;
        (self.first, self.page_size, self.length) = (first, page_size, length);
        let room = self.bytes.get_mut(..length).filter(|room| !room.is_empty());
        room.ok_or_else(|| Error::internal("a page is larger than a batch of pages"))
    }

    /// Appends a page, if it is the next and fits.
    pub fn take(&mut self, number: u32, content: &[u8]) -> bool {
        if self.length == 0 {
            (self.first, self.page_size) = (number, content.len());
        } else if u64::from(number) != u64::from(self.first) + (self.length / self.page_size) as u64 {
            return false;
        }
        let Some(room) = self.bytes.get_mut(self.length..self.length + content.len()) else { return false };
        room.copy_from_slice(content);
        self.length += content.len();
        true
    }
}
