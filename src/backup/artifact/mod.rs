//! Artifacts: the files that backups are, and the hashes that tell whether they still are what they were.
//!
//! # Promise
//!
//! - Every artifact is a SQLite database, as it is or in standard gzip or zstd frames: `full` is the snapshot itself,
//!   `snapshot` its compact copy, `incremental` a database of the pages that differ from the parent's (see
//!   [`delta`](self::delta)).
//! - `checksum` is the SHA-256 of the file as it lies on disk, so that `sha256sum` checks it.
//! - `content_digest` is a digest of the snapshot's pages, the same for every way of storing them, so that a rebuilt
//!   database can be proved equal to the snapshot. It is the SHA-256 (hex) of: the ASCII text
//!   `queuekeeper content 1`, the page size and the page count (each 4 bytes, little-endian), then each page's 128-bit
//!   xxh3 hash (16 bytes, little-endian), in page order. xxh3 is no cryptographic hash: the digest proves that nothing happened to the
//!   pages by accident, not that nobody chose them so that they have the same hashes.
//!
//! # Why page 1 is special
//!
//! SQLite's backup API writes its own values into page 1: the change counter and its twin (bytes 24–27, 92–95), the
//! schema cookie (40–43), the version of the writing library (96–99); and we clear the WAL marks (18–19). Those bytes
//! say nothing of the content, so they count as zero in its hash.

pub mod compression;
pub mod delta;
pub mod full;
pub mod kind;
pub mod recognize;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::ops::Range;
use std::path::Path;

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use twox_hash::XxHash3_128;

use self::compression::Compression;
use self::kind::Geometry;
use crate::bounds;
use crate::error::{Error, Result};
use crate::host::unnamed::{self, Access};
use crate::memory;
use crate::progress::Watch;

/// One page's hash.
pub type PageHash = [u8; 16];

const PAGE_ONE_BLANKS: [Range<usize>; 4] = [18..20, 24..28, 40..44, 92..100];
const BUFFER: usize = 1 << 20;

/// The hash of page `number`.
pub fn page_hash(number: u32, content: &[u8]) -> PageHash {
    if number != 1 {
        return xxh3(content);
    }
    let mut blanked = content.to_vec();
    for blank in PAGE_ONE_BLANKS {
        if let Some(bytes) = blanked.get_mut(blank) {
            bytes.fill(0);
        }
    }
    xxh3(&blanked)
}

fn xxh3(content: &[u8]) -> PageHash {
    XxHash3_128::oneshot(content).to_le_bytes()
}

/// The digest of all pages, in hexadecimal.
pub fn content_digest(geometry: Geometry, hashes: &[PageHash]) -> String {
    let mut digest = Sha256::new();
    digest.update(b"queuekeeper content 1");
    digest.update(geometry.page_size.to_le_bytes());
    digest.update(geometry.page_count.to_le_bytes());
    digest.update(hashes.as_flattened());
    hex(&digest.finalize())
}

/// SHA-256 of some bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The hashes of all pages, as they become known; in place of older ones, if there are any.
#[derive(Debug, Default)]
pub struct HashList {
    page_size: usize,
    hashes: Vec<PageHash>,
    /// So many at the front are known; what stands behind is old, and so is that of page 1 until it comes.
    known: usize,
}

impl HashList {
    /// A list that takes the place of `old`, so that there is memory for one of the two only.
    pub fn replacing(old: Vec<PageHash>) -> Self {
        Self { hashes: old, ..Self::default() }
    }

    /// Takes the hash of a page; whether it is another than the old one. Pages come in ascending order, except for page 1, which
    /// comes last.
    ///
    /// # Errors
    ///
    /// When there is no memory for a longer list.
    pub fn put(&mut self, number: u32, content: &[u8]) -> Result<bool> {
        self.page_size = content.len();
        let hash = page_hash(number, content);
        let index = (number - 1) as usize;
        grow(&mut self.hashes, index + 1)?;
        self.fill(index);
        self.known = self.known.max(index + 1);
        match self.hashes.get_mut(index) {
            Some(old) => Ok(std::mem::replace(old, hash) != hash),
            None => {
                self.hashes.push(hash);
                Ok(true)
            }
        }
    }

    /// The list for a database of this many pages.
    pub fn finish(&mut self, page_count: u32) -> Vec<PageHash> {
        self.fill(page_count as usize);
        self.hashes.truncate(page_count as usize);
        std::mem::take(&mut self.hashes)
    }

    /// Pages that never come (the lock-byte page) are zero.
    fn fill(&mut self, count: usize) {
        if self.known < count {
            let zero = xxh3(&vec![0; self.page_size]);
            // Page 1 has yet to come.
            self.hashes.iter_mut().take(count).skip(self.known.max(1)).for_each(|hash| *hash = zero);
            self.hashes.resize(self.hashes.len().max(count), zero);
            self.known = count;
        }
    }
}

/// Makes room for a list of this length.
fn grow(hashes: &mut Vec<PageHash>, length: usize) -> Result<()> {
    memory::grow(hashes, length.saturating_sub(hashes.len()))
}

/// What a file holds, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// SHA-256 of the file, in hexadecimal.
    pub checksum: String,
    /// Its length in bytes.
    pub size: u64,
}

/// The SHA-256 and the length of a file, from its beginning.
///
/// # Errors
///
/// What the disk says, or `SQLITE_INTERRUPT`.
pub fn fingerprint(file: &mut File, path: &Path, watch: &mut Watch<'_>) -> Result<Fingerprint> {
    let mut digest = Sha256::new();
    let mut buffer = memory::zeros(BUFFER).map_err(|error| Error::io("read", path, &error))?;
    let mut size = 0;
    rewind(file, path)?;
    loop {
        let length = read_full(file, &mut buffer, path)?;
        if length == 0 {
            let checksum = hex(&digest.finalize());
            return Ok(Fingerprint { checksum, size });
        }
        digest.update(&buffer[..length]);
        size += length as u64;
        watch.check()?;
    }
}

/// The first bytes of the plain content of an artifact, as many as the largest page has; fewer where it ends or is damaged.
///
/// # Errors
///
/// A file that is missing or must not be opened, or what the disk says.
pub fn plain_beginning(file: File, compression: Compression, path: &Path) -> Result<Vec<u8>> {
    const LARGEST_PAGE: u64 = 65_536;
    let failed = |error: std::io::Error| Error::io("read", path, &compression::told(error));
    let mut beginning = Vec::new();
    let plain = compression::reader(file.take(bounds::BEGINNING), compression).map_err(failed)?;
    match plain.take(LARGEST_PAGE).read_to_end(&mut beginning) {
        Err(error) if compression::is_no_damage(&error) => Err(failed(error)),
        _ => Ok(beginning),
    }
}

/// Reads a plain artifact, a file that is open, as a database (see [`unnamed`]): nothing is locked, nothing is written. Errors speak of
/// `path`.
///
/// # Errors
///
/// What SQLite says.
pub fn open_immutable(file: File, path: &Path) -> Result<Connection> {
    unnamed::connect(file, Access::Read).map_err(|error| error.context(format!("cannot open '{}'", path.display())))
}

/// The hashes of all pages of a plain artifact; a broken last page counts as one.
///
/// # Errors
///
/// What the disk says, or `SQLITE_INTERRUPT`.
pub fn page_hashes(file: &mut File, path: &Path, page_size: u32, watch: &mut Watch<'_>) -> Result<Vec<PageHash>> {
    let mut hashes = Vec::new();
    let mut page = vec![0; page_size as usize];
    rewind(file, path)?;
    let bytes = file.metadata().map_err(|error| Error::io("read", path, &error))?.len();
    let total = bytes.div_ceil(u64::from(page_size.max(1)));
    memory::require(BUFFER)?;
    let mut input = std::io::BufReader::with_capacity(BUFFER, file);
    let mut number = 0;
    loop {
        let length = read_full(&mut input, &mut page, path)?;
        if length == 0 {
            return Ok(hashes);
        }
        number += 1;
        grow(&mut hashes, number as usize)?;
        hashes.push(page_hash(number, &page[..length]));
        watch.progress(u64::from(number), total)?;
    }
}

/// Reads from the beginning of a file; how much there was. The next read goes on behind that.
///
/// # Errors
///
/// What the disk says.
pub fn read_at_start(file: &mut File, buffer: &mut [u8], path: &Path) -> Result<usize> {
    rewind(file, path)?;
    read_full(file, buffer, path)
}

fn rewind(file: &mut File, path: &Path) -> Result<()> {
    let rewound = file.rewind();
    rewound.map_err(|error| Error::io("read", path, &error))
}

/// Reads until the buffer is full or the input ends.
fn read_full(input: &mut impl Read, buffer: &mut [u8], path: &Path) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path, &error)),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_hash_that_the_reference_implementation_gives_it() {
        // Of xxHash 0.8.4 in C; its hexadecimal form is big-endian.
        let known = [
            (512, 0xe24a_8b99_1fd3_69a9_2f11_dab1_fc04_b0b7),
            (1024, 0xb8c0_e3ee_f735_74e6_7b3d_0d58_0423_1abc),
            (4096, 0xa06f_fa1b_365e_8adb_f277_e5ff_d871_9798),
            (32768, 0xb360_6259_20c8_2388_491c_2bcc_66e1_0c89),
            (65536, 0x61f8_f389_3e12_2034_e84b_e5e1_e6ba_6253),
        ];
        for (size, hash) in known {
            let page: Vec<u8> = (0..size).map(|i: u32| (i * 131 + (i >> 8) * 17) as u8).collect();
            assert_eq!(u128::from_le_bytes(page_hash(2, &page)), hash, "{size}");
        }
    }

    #[test]
    fn bookkeeping_bytes_of_page_one_do_not_count_and_all_others_do() {
        let page: Vec<u8> = (0..512).map(|i| (i % 251) as u8).collect();
        for index in 0..page.len() {
            let mut changed = page.clone();
            changed[index] ^= 0x40;
            let blank = PAGE_ONE_BLANKS.iter().any(|range| range.contains(&index));
            assert_eq!(page_hash(1, &page) == page_hash(1, &changed), blank, "byte {index}");
            assert_ne!(page_hash(2, &page), page_hash(2, &changed), "byte {index}");
        }
    }

    #[test]
    fn a_list_in_place_of_another_is_the_same_and_tells_what_differs() {
        let page = |number: u32, version: u8| [number as u8 ^ version; 512];
        let list_of = |mut list: HashList, numbers: &[u32], version: u8, count: u32| {
            let order = numbers.iter().filter(|&&number| number > 1).chain([&1]);
            let mut differing: Vec<u32> = Vec::new();
            for &number in order {
                // Every third page stays as it is.
                let version = if number % 3 == 0 { 0 } else { version };
                if list.put(number, &page(number, version)).unwrap() {
                    differing.push(number);
                }
            }
            (list.finish(count), differing)
        };
        let full: Vec<u32> = (1..=9).collect();
        let (old, all) = list_of(HashList::default(), &full, 0, 9);
        assert_eq!(all, [2, 3, 4, 5, 6, 7, 8, 9, 1]);
        // As long, longer, shorter, one page; without the last page, without one in the middle, without both.
        for (numbers, count) in [
            (vec![1, 2, 3, 4, 5, 6, 7, 8, 9], 9),
            ((1..=12).collect(), 12),
            (vec![1, 2, 3, 4], 4),
            (vec![1], 1),
            (vec![1, 2, 3, 4, 5, 6, 7, 8], 9),
            (vec![1, 2, 3, 5, 6], 6),
            (vec![1, 3, 4], 5),
        ] {
            for version in [0, 128] {
                let (fresh, _) = list_of(HashList::default(), &numbers, version, count);
                let (found, differing) = list_of(HashList::replacing(old.clone()), &numbers, version, count);
                assert_eq!(found, fresh, "{numbers:?}");
                let wanted = |&number: &u32| number > 9 || (version > 0 && number % 3 != 0);
                let order = numbers.iter().copied().filter(|&number| number > 1).chain([1]);
                assert_eq!(differing, order.filter(wanted).collect::<Vec<_>>(), "{numbers:?}");
            }
        }
    }

    #[test]
    fn a_page_that_never_comes_is_zero_and_order_matters_to_the_digest() {
        let mut list = HashList::default();
        for number in [2u32, 4, 1] {
            list.put(number, &[number as u8; 512]).unwrap();
        }
        let hashes = list.finish(5);
        let expected: Vec<PageHash> = (1u32..=5)
            .map(|number| page_hash(number, &[if matches!(number, 3 | 5) { 0 } else { number as u8 }; 512]))
            .collect();
        assert_eq!(hashes, expected);
        let geometry = Geometry { page_size: 512, page_count: 5 };
        let swapped = [expected[0], expected[2], expected[1], expected[3], expected[4]];
        assert_ne!(content_digest(geometry, &expected), content_digest(geometry, &swapped));
    }
}
