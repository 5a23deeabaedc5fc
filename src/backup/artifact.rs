//! Artifacts: the files that backups are, and the hashes that tell whether they still are what they were.
//!
//! # Promise
//!
//! - A `full` artifact is an ordinary SQLite database: every page of the snapshot at its place.
//! - `checksum` is the SHA-256 of the file as it lies on disk, so that `sha256sum` checks it.
//! - `content_digest` is a digest of the snapshot's pages, the same for every way of storing them, so that a rebuilt
//!   database can be proved equal to the snapshot. It is the SHA-256 (hex) of: the ASCII text
//!   `queuekeeper content 1`, the page size and the page count (each 4 bytes, little-endian), then each page's 128-bit
//!   xxh3 hash (16 bytes, little-endian), in page order.
//!
//! # Why page 1 is special
//!
//! SQLite's backup API writes its own values into page 1: the change counter and its twin (bytes 24–27, 92–95), the
//! schema cookie (40–43), the version of the writing library (96–99); and we clear the WAL marks (18–19). Those bytes
//! say nothing of the content, so they count as zero in its hash.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_128;

use super::sink::{Geometry, PageVisitor};
use crate::error::{Error, Result};
use crate::progress::Watch;

/// One page's hash.
pub type PageHash = [u8; 16];

const PAGE_ONE_BLANKS: [Range<usize>; 4] = [18..20, 24..28, 40..44, 92..100];
const BUFFER: usize = 1 << 20;

/// The hash of page `number`.
pub fn page_hash(number: u32, content: &[u8]) -> PageHash {
    if number != 1 {
        return xxh3_128(content).to_le_bytes();
    }
    let mut blanked = content.to_vec();
    for blank in PAGE_ONE_BLANKS {
        if let Some(bytes) = blanked.get_mut(blank) {
            bytes.fill(0);
        }
    }
    xxh3_128(&blanked).to_le_bytes()
}

/// The digest of all pages, in hexadecimal.
pub fn content_digest(geometry: Geometry, hashes: &[PageHash]) -> String {
    let mut digest = Sha256::new();
    digest.update(b"queuekeeper content 1");
    digest.update(geometry.page_size.to_le_bytes());
    digest.update(geometry.page_count.to_le_bytes());
    for hash in hashes {
        digest.update(hash);
    }
    hex(&digest.finalize())
}

/// SHA-256 of some bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Writes the pages to their places in a file, and remembers their hashes.
pub struct PlainWriter {
    out: BufWriter<File>,
    path: PathBuf,
    position: u64,
    page_size: u32,
    hashes: Vec<PageHash>,
}

impl PlainWriter {
    /// Writes to `file`, which is empty; errors speak of `path`.
    pub fn new(file: File, path: &Path) -> Self {
        Self {
            out: BufWriter::with_capacity(BUFFER, file),
            path: path.to_path_buf(),
            position: 0,
            page_size: 0,
            hashes: Vec::new(),
        }
    }

    /// Completes the file after the walk; the hashes of all pages.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn finish(&mut self, geometry: Geometry) -> Result<Vec<PageHash>> {
        let size = u64::from(geometry.page_size) * u64::from(geometry.page_count);
        let done = self.out.flush().and_then(|()| self.out.get_ref().set_len(size));
        done.map_err(|error| Error::io("write the backup", &self.path, &error))?;
        self.grow_hashes(geometry.page_count);
        Ok(std::mem::take(&mut self.hashes))
    }

    /// Pages that never come (the lock-byte page) are zero.
    fn grow_hashes(&mut self, count: u32) {
        let count = count as usize;
        if self.hashes.len() < count {
            let zero = xxh3_128(&vec![0; self.page_size as usize]).to_le_bytes();
            self.hashes.resize(count, zero);
        }
    }

    fn put(&mut self, offset: u64, content: &[u8]) -> std::io::Result<()> {
        if offset != self.position {
            self.out.seek(SeekFrom::Start(offset))?;
        }
        self.out.write_all(content)?;
        self.position = offset + content.len() as u64;
        Ok(())
    }
}

impl PageVisitor for PlainWriter {
    fn page(&mut self, number: u32, content: &[u8]) -> Result<()> {
        self.page_size = u32::try_from(content.len()).unwrap_or_default();
        let offset = u64::from(number - 1) * u64::from(self.page_size);
        self.put(offset, content).map_err(|error| Error::io("write the backup", &self.path, &error))?;
        let hash = page_hash(number, content);
        let index = (number - 1) as usize;
        if index < self.hashes.len() {
            self.hashes[index] = hash;
        } else {
            self.grow_hashes(number - 1);
            self.hashes.push(hash);
        }
        Ok(())
    }
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
    let mut buffer = vec![0; BUFFER];
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

/// The hashes of all pages of a plain artifact; a broken last page counts as one.
///
/// # Errors
///
/// What the disk says, or `SQLITE_INTERRUPT`.
pub fn page_hashes(file: &mut File, path: &Path, page_size: u32, watch: &mut Watch<'_>) -> Result<Vec<PageHash>> {
    let mut hashes = Vec::new();
    let mut page = vec![0; page_size as usize];
    rewind(file, path)?;
    let mut input = std::io::BufReader::with_capacity(BUFFER, file);
    let mut number = 0;
    loop {
        let length = read_full(&mut input, &mut page, path)?;
        if length == 0 {
            return Ok(hashes);
        }
        number += 1;
        hashes.push(page_hash(number, &page[..length]));
        watch.check()?;
    }
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
    fn the_writer_puts_pages_at_their_places_and_a_page_that_never_comes_is_zero() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let mut writer = PlainWriter::new(File::create(&path).unwrap(), &path);
        writer.page(2, &[2; 512]).unwrap();
        writer.page(4, &[4; 512]).unwrap();
        writer.page(1, &[1; 512]).unwrap();
        let geometry = Geometry { page_size: 512, page_count: 4 };
        let hashes = writer.finish(geometry).unwrap();
        let stored = std::fs::read(&path).unwrap();
        assert_eq!(stored.len(), 2048);
        assert_eq!((stored[0], stored[512], stored[1024], stored[2047]), (1, 2, 0, 4));
        let expected: Vec<PageHash> =
            (1..=4u32).map(|number| page_hash(number, &stored[(number as usize - 1) * 512..][..512])).collect();
        assert_eq!(hashes, expected);
        let swapped = [expected[0], expected[2], expected[1], expected[3]];
        assert_ne!(content_digest(geometry, &expected), content_digest(geometry, &swapped));
    }
}
