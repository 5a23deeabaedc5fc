//! What takes the pages of a snapshot.

use std::sync::{Arc, Mutex};

use crate::error::Result;
use crate::host::threads::lock;

/// Takes the pages of one snapshot.
pub trait PageVisitor: Send {
    /// Takes page `number` (from 1). All pages have the same length.
    fn page(&mut self, number: u32, content: &[u8]) -> Result<()>;

    /// Takes consecutive pages from `first` on, at most `most`, which `fill(first, buffer)` puts into the visitor's own buffer; how
    /// many it has taken.
    fn run(&mut self, first: u32, most: u32, page_size: usize, fill: Fill<'_>) -> Result<u32>;
}

/// Puts the pages from a number on into a buffer.
pub type Fill<'f> = &'f mut dyn FnMut(u32, &mut [u8]) -> Result<()>;

/// A visitor that somebody else keeps a share of, to ask it for its results after the walk.
impl<V: PageVisitor> PageVisitor for Arc<Mutex<V>> {
    fn page(&mut self, number: u32, content: &[u8]) -> Result<()> {
        lock(self).page(number, content)
    }

    fn run(&mut self, first: u32, most: u32, page_size: usize, fill: Fill<'_>) -> Result<u32> {
        lock(self).run(first, most, page_size, fill)
    }
}

/// So many zero bytes, in pieces: what stands in the place of a page that never comes.
pub fn zeros(mut count: u64) -> impl Iterator<Item = &'static [u8]> {
    const ZEROS: [u8; 4096] = [0; 4096];
    std::iter::from_fn(move || {
        let now = usize::try_from(count).map_or(ZEROS.len(), |count| count.min(ZEROS.len()));
        count -= now as u64;
        (now > 0).then(|| &ZEROS[..now])
    })
}
