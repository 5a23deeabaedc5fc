//! The hash file: what the next incremental and a lost catalog need to know of an artifact.
//!
//! # Promise
//!
//! `ARTIFACT.hashes` is beside its artifact and holds each page's hash and a copy of the catalog object. So
//! an incremental reads only the live database, and a catalog can be rebuilt. Any damage is detected, and a
//! damaged file counts as missing.
//!
//! # Format
//!
//! The 20 bytes `queuekeeper hashes 1`; the length of the object (4 bytes), the object (JSON, without
//! `object_digest` and `hash_file_checksum`); page size and page count (4 bytes each); 16 bytes for each
//! page; the SHA-256 of all that (32 bytes). Numbers are little-endian.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::entry::Entry;
use crate::backup::artifact::kind::Geometry;
use crate::backup::artifact::{self, PageHash};
use crate::backup::catalog::bounded;
use crate::backup::pipeline::sha256::Sha256Writer;
use crate::bounds;
use crate::error::{Error, Result};
use crate::files::{self, Directory, LiveFiles};
use crate::json;
use crate::memory;

const MAGIC: &[u8; 20] = b"queuekeeper hashes 1";

/// How many hashes are read at once when they are not kept.
const PIECE: usize = 1024;

pub const SUFFIX: &str = ".hashes";

#[derive(Debug)]
pub struct HashFile {
    pub entry: Entry,
    /// The length of the entry's text.
    pub object_bytes: u64,
    /// Only tests and fuzzers compare it.
    #[cfg_attr(not(any(test, feature = "fuzzing")), expect(dead_code))]
    pub geometry: Geometry,
    /// Empty if they were not requested.
    pub hashes: Vec<PageHash>,
    /// SHA-256 of the whole file.
    pub checksum: String,
}

/// The path of an artifact's hash file.
pub fn path_of(artifact: &Path) -> PathBuf {
    files::with_suffix(artifact, SUFFIX)
}

/// Opens the file at a hash file's path, if it is empty or begins with the magic.
pub fn opened(directory: &Directory, path: &Path, live: &LiveFiles) -> Result<Option<File>> {
    if is_no_file(directory, path)? {
        return Ok(None);
    }
    let Some(mut file) = files::open_own(directory, path, live)? else { return Ok(None) };
    let mut beginning = [0; MAGIC.len()];
    let length = artifact::read_at_start(&mut file, &mut beginning, path)?;
    Ok((beginning[..length] == MAGIC[..length]).then_some(file))
}

/// Whether something other than a file has a hash file's name; it holds nothing that a deletion would lose.
pub fn is_no_file(directory: &Directory, path: &Path) -> Result<bool> {
    Ok(directory.metadata_of(path)?.is_some_and(|found| !found.is_file()))
}

/// Writes to the empty `out`; returns the SHA-256 of the whole file. `path` is for errors.
pub fn write(out: impl Write, path: &Path, entry: &Entry, geometry: Geometry, hashes: &[PageHash]) -> Result<String> {
    let mut bare = entry.clone();
    bare.object_digest = None;
    bare.hash_file_checksum = None;
    let object = json::bytes(&bare)?;
    let length = u32::try_from(object.len()).map_err(|_| Error::internal("the catalog object is too long"))?;
    let mut out = Sha256Writer::new(BufWriter::new(out));
    let mut put = || -> io::Result<String> {
        out.write_all(MAGIC)?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&object)?;
        out.write_all(&geometry.page_size.to_le_bytes())?;
        out.write_all(&geometry.page_count.to_le_bytes())?;
        out.write_all(hashes.as_flattened())?;
        let digest = out.sha256();
        out.write_all(&digest)?;
        out.flush()?;
        Ok(out.fingerprint().checksum)
    };
    put().map_err(|error| Error::io("write the hash file", path, &error))
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads a hash file; `None` if it is damaged.
pub fn read(file: File, path: &Path) -> Result<Option<HashFile>> {
    parsed(file, path, true)
}

/// Like [`read`]; checks the hashes, but does not keep them.
pub fn read_entry(file: File, path: &Path) -> Result<Option<HashFile>> {
    parsed(file, path, false)
}

fn parsed(file: File, path: &Path, keep: bool) -> Result<Option<HashFile>> {
    // An I/O error must not count as damage: the file would be replaced.
    let length = file.metadata().map_err(|error| Error::io("look at", path, &error))?.len();
    match parse(BufReader::new(file), length, keep) {
        Ok(found) => Ok(found),
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => Ok(None),
        Err(error) => Err(Error::io("read the hash file", path, &error)),
    }
}

/// Parses a hash file of this length; `None` if it is damaged. Fails with `UnexpectedEof` if it is truncated,
/// and with `InvalidData`.
pub(crate) fn parse(input: impl Read, length: u64, keep: bool) -> io::Result<Option<HashFile>> {
    let input = &mut Sha256Writer::new(input);
    if array::<20>(input)? != *MAGIC {
        return Ok(None);
    }
    let object_length = u32::from_le_bytes(array(input)?);
    let object_bytes = object_length as usize;
    if object_bytes > bounds::ENTRY_BYTES {
        return Ok(None);
    }
    let mut object = memory::zeros(object_bytes)?;
    input.read_exact(&mut object)?;
    let page_size = u32::from_le_bytes(array(input)?);
    let page_count = u32::from_le_bytes(array(input)?);
    // The count decides how much memory is allocated, so it must match the file's length.
    let fixed = 20 + 4 + u64::from(object_length) + 8 + 32;
    if length != fixed + 16 * u64::from(page_count) {
        return Ok(None);
    }
    let mut hashes: Vec<PageHash> = Vec::new();
    let mut left = page_count as usize;
    if !keep {
        while left > 0 {
            hashes.resize(left.min(PIECE), [0; 16]);
            input.read_exact(hashes.as_flattened_mut())?;
            left -= hashes.len();
        }
        hashes.clear();
    }
    if left > 0 {
        hashes = memory::filled(left, [0; 16])?;
        input.read_exact(hashes.as_flattened_mut())?;
    }
    let digest = input.sha256();
    if array::<32>(input)? != digest {
        return Ok(None);
    }
    let Some(entry) = entry_of(&object) else { return Ok(None) };
    let checksum = input.fingerprint().checksum;
    let geometry = Geometry { page_size, page_count };
    Ok(Some(HashFile { entry, object_bytes: u64::from(object_length), geometry, hashes, checksum }))
}

fn entry_of(object: &[u8]) -> Option<Entry> {
    let text = str::from_utf8(object).ok().filter(|text| !bounded::is_deep(text))?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;

    #[test]
    fn what_was_written_is_read_and_any_flipped_byte_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.hashes");
        let geometry = Geometry { page_size: 512, page_count: 3 };
        let hashes = [[1; 16], [2; 16], [3; 16]];
        let entry = entry("a.db", "2026-01-01T00:00:00.000Z");
        let checksum = write(File::create(&path).unwrap(), &path, &entry, geometry, &hashes).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(checksum, artifact::sha256(&bytes));
        let found = read(File::open(&path).unwrap(), &path).unwrap().unwrap();
        assert_eq!((found.geometry, found.hashes.as_slice(), found.checksum), (geometry, &hashes[..], checksum));
        assert_eq!(found.entry.id, "a.db");
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert!(read(File::open(&path).unwrap(), &path).unwrap().is_none(), "byte {place}");
        }
        for length in [0, 10, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read(File::open(&path).unwrap(), &path).unwrap().is_none(), "length {length}");
        }
        std::fs::write(&path, [bytes.as_slice(), b"x"].concat()).unwrap();
        assert!(read(File::open(&path).unwrap(), &path).unwrap().is_none());
    }
}
