//! A buffer for large reads and writes.
//!
//! # Promise
//!
//! The bytes are aligned to 4096, and never move.
//!
//! # Why
//!
//! On some processors the kernel copies between its page cache and a page-aligned buffer several times
//! faster: 1.2 GB took 0.09 s, and 0.46 s with 16 bytes of offset (AMD EPYC, Linux 6).

use std::io;
use std::ops::{Deref, DerefMut};

use crate::memory;

const ALIGNMENT: usize = 4096;

#[derive(Default)]
pub struct Buffer {
    /// Never resized, so it never moves.
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// A buffer of zeros.
    pub fn new(length: usize) -> io::Result<Self> {
        let bytes = memory::zeros(length + ALIGNMENT)?;
        // `align_offset` may fail; then the alignment does not matter.
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Ok(Self { bytes, start, length })
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_at_a_page_and_has_the_length_asked_for() {
        for length in [0, 1, 4096, 100_000] {
            let mut buffer = Buffer::new(length).unwrap();
            assert_eq!(buffer.len(), length);
            assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0);
            buffer.fill(7);
            let moved = Box::new(buffer);
            assert_eq!(moved.as_ptr() as usize % ALIGNMENT, 0);
            assert!(moved.iter().all(|byte| *byte == 7));
        }
        assert!(Buffer::default().is_empty());
    }
}
