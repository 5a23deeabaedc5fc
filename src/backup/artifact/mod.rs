//! Artifacts: the files that backups are, and the hashes that detect damage.
//!
//! # Promise
//!
//! - Every artifact is a SQLite database, plain or in standard gzip or zstd frames: `full` is the snapshot
//!   itself, `snapshot` its compact copy, `incremental` a database of the pages that differ from the parent's
//!   (see [`delta`]).
//! - `checksum` is the SHA-256 of the file, so `sha256sum` checks it.
//! - `content_digest` is a digest of the snapshot's pages, however they are stored, so a rebuilt database can
//!   be proved equal to the snapshot. It is the SHA-256 (hex) of: the ASCII text `queuekeeper content 1`, the
//!   page size and the page count (each 4 bytes, little-endian), then each page's 128-bit xxh3 hash (16
//!   bytes, little-endian), in page order. xxh3 is not cryptographic: the digest detects accidental changes,
//!   not crafted collisions.

pub mod compression;
pub mod delta;
pub mod full;
pub mod kind;
mod page_hashes;
pub mod recognize;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::Path;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use self::compression::Compression;
use self::page_hashes::grow;
pub use self::page_hashes::{HashList, PageHash, content_digest, page_hash};
use crate::bounds;
use crate::error::{Error, Result};
use crate::host::unnamed_files::{self, Access};
use crate::memory;
use crate::progress::Watch;

const BUFFER: usize = 1 << 20;

/// SHA-256 in hexadecimal.
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

/// A file's checksum and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// SHA-256 of the file, in hexadecimal.
    pub checksum: String,
    /// In bytes.
    pub size: u64,
}

/// Reads a file from its beginning for its SHA-256 and length.
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
        watch.advance(length as u64)?;
    }
}

/// The first bytes of an artifact's plain content, as many as the largest page has; fewer if it ends or is
/// damaged.
pub fn plain_beginning(file: File, compression: Compression, path: &Path) -> Result<Vec<u8>> {
    const LARGEST_PAGE: u64 = 65_536;
    let failed = |error: std::io::Error| Error::io("read", path, &compression::as_io_error(error));
    let mut beginning = Vec::new();
    let plain = compression::reader(file.take(bounds::BEGINNING), compression).map_err(failed)?;
    match plain.take(LARGEST_PAGE).read_to_end(&mut beginning) {
        Err(error) if compression::is_no_damage(&error) => Err(failed(error)),
        _ => Ok(beginning),
    }
}

/// Opens a plain artifact as a database (see [`unnamed_files`]), without locks or writes. `path` is for errors.
pub fn open_immutable(file: File, path: &Path) -> Result<Connection> {
    unnamed_files::connect(file, Access::Read)
        .map_err(|error| error.context(format!("cannot open '{}'", path.display())))
}

/// The hashes of all pages of a plain artifact; an incomplete last page counts as one.
pub fn page_hashes(file: &mut File, path: &Path, page_size: u32, watch: &mut Watch<'_>) -> Result<Vec<PageHash>> {
    let mut hashes = Vec::new();
    let mut page = vec![0; page_size as usize];
    rewind(file, path)?;
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
        watch.advance(length as u64)?;
    }
}

/// Reads from the beginning of a file; returns the count of bytes. The next read continues there.
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
