//! Finds the pages of a snapshot that are in the WAL.
//!
//! # Promise
//!
//! [`Frames`] has the offset of each page's last version in the WAL. Anything that contradicts the header of
//! the WAL index (another version of the format, a frame of another generation) gives `None`, never a guess.
//!
//! # How
//!
//! The header has the count of frames in the snapshot, their salts, and the checksum of the last one; each
//! frame's own header has its page number. The formats are documented and unchanged since WAL mode was
//! introduced: <https://www.sqlite.org/walformat.html>, section 2.1, and
//! <https://www.sqlite.org/fileformat2.html>, section 4.

use crate::error::Result;
use crate::memory;

/// Bytes of the header of the WAL index.
pub const HEADER: usize = 48;
/// The only version so far; SQLite refuses others, too.
const VERSION: u32 = 3_007_000;
const WAL_HEADER: u64 = 32;
const FRAME_HEADER: usize = 24;

/// The parsed header of the WAL index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// In the snapshot.
    frames: u32,
    page_size: u32,
    salts: [u8; 8],
    /// As stored.
    last_checksum: [u8; 8],
}

impl Index {
    /// Parses a header; `None` if it is invalid.
    pub fn parse(header: &[u8; HEADER]) -> Option<Self> {
        let number = |place: usize| bytes(header, place).map(u32::from_ne_bytes);
        let size = bytes(header, 14).map(u16::from_ne_bytes)?;
        let (first, second) = checksum(header.get(..40)?);
        let intact = (number(40)?, number(44)?) == (first, second);
        if number(0)? != VERSION || header[12] != 1 || !intact {
            return None;
        }
        let mut last_checksum = [0; 8];
        last_checksum[..4].copy_from_slice(&number(24)?.to_be_bytes());
        last_checksum[4..].copy_from_slice(&number(28)?.to_be_bytes());
        Some(Self {
            frames: number(16)?,
            // 65,536 does not fit, and is stored as 1.
            page_size: if size == 1 { 65_536 } else { size.into() },
            salts: bytes(header, 32)?,
            last_checksum,
        })
    }
}

/// `N` bytes at an offset.
fn bytes<const N: usize>(all: &[u8], place: usize) -> Option<[u8; N]> {
    all.get(place..place + N)?.try_into().ok()
}

/// SQLite's checksum, in native byte order.
fn checksum(content: &[u8]) -> (u32, u32) {
    content.chunks_exact(8).fold((0, 0), |(first, second): (u32, u32), pair| {
        let number = |place| bytes(pair, place).map_or(0, u32::from_ne_bytes);
        let first = first.wrapping_add(number(0)).wrapping_add(second);
        (first, second.wrapping_add(number(4)).wrapping_add(first))
    })
}

/// The pages in the WAL.
#[derive(Debug, Default)]
pub struct Frames {
    page_size: u32,
    /// Page numbers with the numbers of their last frames, both from 1, sorted by page number.
    last: Vec<(u32, u32)>,
}

impl Frames {
    /// Finds the frames of the snapshot of `index`; `read(buffer, offset)` reads the WAL. `None` if the WAL
    /// is not as expected.
    pub fn find(
        index: &Index,
        page_size: u32,
        mut read: impl FnMut(&mut [u8], u64) -> Result<()>,
    ) -> Result<Option<Self>> {
        let mut frames = Self { page_size, last: Vec::new() };
        if index.frames > 0 && index.page_size != page_size {
            return Ok(None);
        }
        memory::grow(&mut frames.last, index.frames as usize)?;
        let mut header = [0; FRAME_HEADER];
        for frame in 1..=index.frames {
            read(&mut header, frames.offset(frame))?;
            let Some(page) = bytes(&header, 0).map(u32::from_be_bytes) else { return Ok(None) };
            if header[8..16] != index.salts || page == 0 {
                return Ok(None);
            }
            frames.last.push((page, frame));
        }
        if index.frames > 0 && header[16..] != index.last_checksum {
            return Ok(None);
        }
        frames.last.sort_unstable();
        // Keeps the last of a page's frames.
        frames.last.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        Ok(Some(frames))
    }

    fn offset(&self, frame: u32) -> u64 {
        WAL_HEADER + u64::from(frame - 1) * (FRAME_HEADER as u64 + u64::from(self.page_size))
    }

    /// The pages from `first` up to `end`, exclusive, that are in the WAL, with the offsets of their
    /// contents.
    pub fn within(&self, first: u32, end: u32) -> impl Iterator<Item = (u32, u64)> {
        let from = self.last.partition_point(|(page, _)| *page < first);
        let found = self.last[from..].iter().take_while(move |(page, _)| *page < end);
        found.map(|(page, frame)| (*page, self.offset(*frame) + FRAME_HEADER as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALTS: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    /// A header for this many frames.
    fn header(frames: u32) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&VERSION.to_ne_bytes());
        header[12] = 1;
        header[14..16].copy_from_slice(&512_u16.to_ne_bytes());
        header[16..20].copy_from_slice(&frames.to_ne_bytes());
        header[24..28].copy_from_slice(&7_u32.to_ne_bytes());
        header[28..32].copy_from_slice(&9_u32.to_ne_bytes());
        header[32..40].copy_from_slice(&SALTS);
        let (first, second) = checksum(&header[..40]);
        header[40..44].copy_from_slice(&first.to_ne_bytes());
        header[44..].copy_from_slice(&second.to_ne_bytes());
        header
    }

    /// A WAL with a frame for each of these pages.
    fn wal(pages: &[u32]) -> Vec<u8> {
        let mut wal = vec![0; 32];
        for page in pages {
            wal.extend_from_slice(&page.to_be_bytes());
            wal.extend_from_slice(&[0; 4]);
            wal.extend_from_slice(&SALTS);
            wal.extend_from_slice(&[0, 0, 0, 7, 0, 0, 0, 9]);
            wal.extend_from_slice(&[0; 512]);
        }
        wal
    }

    fn find(frames: u32, wal: &[u8]) -> Option<Frames> {
        let index = Index::parse(&header(frames)).unwrap();
        let read = |buffer: &mut [u8], offset: u64| {
            buffer.fill(0);
            let rest = wal.get(offset as usize..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(())
        };
        Frames::find(&index, 512, read).unwrap()
    }

    #[test]
    fn the_last_frame_of_a_page_counts_and_those_behind_the_snapshot_do_not() {
        let frames = find(5, &wal(&[3, 9, 3, 2, 4, 9])).unwrap();
        let at = |frame: u64| 32 + (frame - 1) * 536 + 24;
        assert_eq!(frames.within(1, 10).collect::<Vec<_>>(), [(2, at(4)), (3, at(3)), (4, at(5)), (9, at(2))]);
        assert_eq!(frames.within(3, 4).collect::<Vec<_>>(), [(3, at(3))]);
        assert_eq!(frames.within(5, 9).count(), 0);
        assert_eq!(find(0, &[]).unwrap().within(0, u32::MAX).count(), 0);
    }

    #[test]
    fn what_is_not_as_the_index_says_is_not_taken() {
        let sound = wal(&[3, 9]);
        assert!(find(2, &sound).is_some());
        assert!(find(3, &sound).is_none(), "a frame is missing");
        for place in [32 + 8, 32 + 536 + 15, 32 + 536 + 16, 32 + 536 + 23] {
            let mut other = sound.clone();
            other[place] ^= 1;
            assert!(find(2, &other).is_none(), "byte {place}");
        }
        let none = |_: &mut [u8], _: u64| -> Result<()> { panic!("read") };
        let index = Index::parse(&header(2)).unwrap();
        assert!(Frames::find(&index, 1024, none).unwrap().is_none(), "another page size");
    }

    #[test]
    fn a_header_that_was_changed_anywhere_is_none() {
        for place in 0..HEADER {
            let mut other = header(2);
            other[place] ^= 4;
            assert_eq!(Index::parse(&other), None, "byte {place}");
        }
        let mut large = header(2);
        large[14..16].copy_from_slice(&1_u16.to_ne_bytes());
        let (first, second) = checksum(&large[..40]);
        large[40..44].copy_from_slice(&first.to_ne_bytes());
        large[44..].copy_from_slice(&second.to_ne_bytes());
        assert_eq!(Index::parse(&large).unwrap().page_size, 65_536);
    }
}
