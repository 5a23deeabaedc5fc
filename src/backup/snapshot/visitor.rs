//! The receiver of a snapshot's pages.

use std::sync::{Arc, Mutex};

use crate::error::Result;
use crate::host::threads::lock;

pub trait PageVisitor: Send {
    /// Takes page `number` (from 1). All pages have the same length.
    fn page(&mut self, number: u32, content: &[u8]) -> Result<()>;

    /// Takes consecutive pages from `first` on, at most `most`, which `fill(first, buffer)` writes into the
    /// visitor's own buffer; returns their count.
    fn run(&mut self, first: u32, most: u32, page_size: usize, fill: Fill<'_>) -> Result<u32>;
}

/// Fills a buffer with the pages from a number on.
pub type Fill<'f> = &'f mut dyn FnMut(u32, &mut [u8]) -> Result<()>;

/// A shared visitor, whose results can be read after the walk.
impl<V: PageVisitor> PageVisitor for Arc<Mutex<V>> {
    fn page(&mut self, number: u32, content: &[u8]) -> Result<()> {
        lock(self).page(number, content)
    }

    fn run(&mut self, first: u32, most: u32, page_size: usize, fill: Fill<'_>) -> Result<u32> {
        lock(self).run(first, most, page_size, fill)
    }
}

/// Zero bytes in pieces, for a page that is never delivered.
pub fn zeros(mut count: u64) -> impl Iterator<Item = &'static [u8]> {
    const ZEROS: [u8; 4096] = [0; 4096];
    std::iter::from_fn(move || {
        let now = usize::try_from(count).map_or(ZEROS.len(), |count| count.min(ZEROS.len()));
        count -= now as u64;
        (now > 0).then(|| &ZEROS[..now])
    })
}
