//! Rebuilds a backup's database: decompresses, applies the chain, compares digests.
//!
//! # Promise
//!
//! The result is a plain database under a temporary name, whose pages are exactly the snapshot's: each
//! artifact of the chain has the checksum in the catalog, each delta builds on the one before, and the result
//! has the backup's `content_digest`. Anything else is an error that names the file, before anyone could use
//! the result. Expanding stops at the size in the catalog entry.

pub mod scratch;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::artifact;
use super::artifact::compression::{self, Compression};
use super::artifact::delta;
use super::artifact::kind::Geometry;
use super::catalog::Backup;
use super::catalog::chain::chain;
use super::catalog::entry::Entry;
use crate::error::{Error, Result};
use crate::files::{Directory, Staged};
use crate::memory;
use crate::phase::Phase;
use crate::progress::Watch;

const BUFFER: usize = 1 << 20;
/// Limits of a delta's size beyond its pages: per page, and in all.
const DELTA_EXTRA_A_PAGE: u64 = 8192;
const DELTA_EXTRA: u64 = 1 << 20;

/// Rebuilds a backup's database in `directory`.
pub fn rebuild(backup: &Backup<'_>, directory: &Directory, watch: &mut Watch<'_>) -> Result<Staged> {
    let job = Job { backup, directory };
    let chain = backup.chain()?;
    let stored = chain.iter().map(|link| link.size_bytes).fold(0, u64::saturating_add);
    let mut links = chain.into_iter().rev();
    let Some(first) = links.next() else {
        return Err(Error::internal("a chain of no backups"));
    };
    let geometry = geometry_of(first)?;
    let size = u64::from(geometry.page_size) * u64::from(geometry.page_count);
    watch.begin(Phase::Rebuilding, stored, geometry.page_size)?;
    let rebuilt = job.expand(first, size, watch)?;
    let mut parent = first;
    for link in links {
        job.apply(link, parent, &rebuilt, watch)?;
        parent = link;
    }
    watch.finish()?;
    job.compare(backup.entry, &rebuilt, watch)?;
    Ok(rebuilt)
}

/// Roughly the space that [`rebuild`] uses at once: the largest database of the chain, and one expanded
/// delta. Fails for an incomplete chain, or an entry without geometry.
pub fn space_for(entries: &[Entry], entry: &Entry) -> Result<u64> {
    let (mut database, mut delta) = (0, 0);
    for link in chain(entries, entry).map_err(Error::corrupt)? {
        let geometry = geometry_of(link)?;
        database = u64::from(geometry.page_size).saturating_mul(geometry.page_count.into()).max(database);
        if link.parent_id.is_some() {
            delta = expanded_delta(link, geometry).max(delta);
        }
    }
    Ok(database.saturating_add(delta))
}

/// Roughly the size of an incremental's plain file.
fn expanded_delta(link: &Entry, geometry: Geometry) -> u64 {
    /// The bytes of a delta's page for cells, and each cell's overhead.
    const ROOM: u64 = 65_500;
    const CELL: u64 = 16;
    if !link.compressed {
        return link.size_bytes;
    }
    let a_page = 65_536u64.checked_div(ROOM / (u64::from(geometry.page_size) + CELL)).unwrap_or(2 * 65_536);
    u64::from(link.pages_stored.unwrap_or_default()).saturating_mul(a_page).saturating_add(DELTA_EXTRA)
}

/// The geometry in a catalog entry.
pub fn geometry_of(entry: &Entry) -> Result<Geometry> {
    match (entry.page_size, entry.page_count) {
        (Some(page_size), Some(page_count)) if page_size.is_power_of_two() && (512..=65536).contains(&page_size) => {
            Ok(Geometry { page_size, page_count })
        }
        _ => Err(Error::corrupt(format!(
            "the catalog does not know the page size and count of '{}'",
            entry.backup_path
        ))),
    }
}

struct Job<'a> {
    backup: &'a Backup<'a>,
    directory: &'a Directory,
}

impl Job<'_> {
    /// Expands an artifact to a temporary file.
    fn expand(&self, entry: &Entry, limit: u64, watch: &mut Watch<'_>) -> Result<Staged> {
        let (path, file) = self.open(entry)?;
        let path = path.as_path();
        let compression = Compression::from_word(&entry.compression).ok_or_else(|| {
            Error::usage(format!("'{}' has the unknown compression {}", path.display(), entry.compression))
        })?;
        let staged = Staged::new(self.directory)?;
        let mut digesting = HashingReader { inner: file, digest: Sha256::new(), size: 0 };
        copy(&mut digesting, compression, &staged.handle()?, limit, path, watch)?;
        let found = digesting.finish(path, watch)?;
        if found != (entry.size_bytes, entry.checksum.clone()) {
            return Err(Error::corrupt(format!(
                "'{}' is not what was written: {} bytes with SHA-256 {}, not {} bytes with {}",
                path.display(),
                found.0,
                found.1,
                entry.size_bytes,
                entry.checksum
            )));
        }
        Ok(staged)
    }

    fn apply(&self, link: &Entry, parent: &Entry, base: &Staged, watch: &mut Watch<'_>) -> Result<()> {
        let path = link.place(self.backup.catalog.directory());
        let geometry = geometry_of(link)?;
        if Some(geometry.page_size) != parent.page_size {
            return Err(Error::corrupt(format!("'{}' is for a database of another shape", path.display())));
        }
        let page_size = u64::from(geometry.page_size);
        let limit = if link.compressed {
            // A blob that does not fit into the page of another takes up to twice its size.
            let pages = u64::from(link.pages_stored.unwrap_or_default());
            pages.saturating_mul(2 * page_size + DELTA_EXTRA_A_PAGE).saturating_add(DELTA_EXTRA)
        } else {
            link.size_bytes
        };
        let plain = self.expand(link, limit, watch)?;
        let digest = parent.content_digest.as_deref().unwrap_or_default();
        delta::apply(plain.handle()?, plain.path(), &mut base.handle()?, digest, geometry, watch)
            .map_err(|error| error.context(format!("cannot apply '{}'", path.display())))
    }

    /// Opens an artifact at its beginning, with its path for errors.
    fn open(&self, link: &Entry) -> Result<(PathBuf, File)> {
        let path = self.backup.path_of(link);
        let file = self.backup.open(link)?.ok_or_else(|| {
            Error::new(rusqlite::ffi::SQLITE_CANTOPEN, format!("the backup '{}' is missing", path.display()))
        })?;
        self.backup.catalog.check(&file, &path)?;
        Ok((path, file))
    }

    fn compare(&self, entry: &Entry, staged: &Staged, watch: &mut Watch<'_>) -> Result<()> {
        if entry.content_digest.is_none() {
            // Nothing is recorded of a foreign backup.
            return Ok(());
        }
        let geometry = geometry_of(entry)?;
        watch.begin(Phase::Comparing, staged.length()?, geometry.page_size)?;
        let hashes = artifact::page_hashes(&mut staged.handle()?, staged.path(), geometry.page_size, watch)?;
        if Some(artifact::content_digest(geometry, &hashes)) == entry.content_digest {
            return Ok(());
        }
        Err(Error::corrupt(format!("the pages of '{}' are not those of the snapshot", entry.backup_path)))
    }
}

/// Counts and hashes what is read.
struct HashingReader {
    inner: File,
    digest: Sha256,
    size: u64,
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.digest.update(&buffer[..length]);
        self.size += length as u64;
        Ok(length)
    }
}

impl HashingReader {
    /// Reads what the decoder left; returns the file's length and SHA-256.
    fn finish(mut self, path: &Path, watch: &mut Watch<'_>) -> Result<(u64, String)> {
        let failed = |error: io::Error| Error::io("read", path, &error);
        let mut rest = memory::zeros(BUFFER).map_err(failed)?;
        while self.read(&mut rest).map_err(failed)? > 0 {
            watch.check()?;
        }
        Ok((self.size, artifact::hex(&self.digest.finalize())))
    }
}

/// Writes an artifact's plain content. Fails if it is longer than `limit` or damaged. `path` is for errors.
pub(crate) fn copy(
    from: impl Read,
    compression: Compression,
    mut to: impl Write,
    limit: u64,
    path: &Path,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let mut size = 0;
    compression::expand(from, compression, path, watch, |piece| {
        size += piece.len() as u64;
        if size > limit {
            return Err(Error::corrupt(format!(
                "'{}' expands to more than the {limit} bytes that its catalog entry allows",
                path.display()
            )));
        }
        to.write_all(piece).map_err(|error| Error::io("rebuild from", path, &error))
    })
}
