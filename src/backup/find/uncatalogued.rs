//! Describes backups that no catalog lists: other tools' files, or ours without their catalog.
//!
//! # Promise
//!
//! - A file with a complete SQLite database, plain or in gzip or zstd frames, can be verified and restored
//!   although nothing is recorded of it: then only its own soundness can be judged (`quick_check`), not
//!   whether it is what was written. If its hash file is beside it, that has what was written, and counts.
//! - A delta is useless without the backups that it builds on, so without a catalog it is refused: by its
//!   hash file or by its content (see [`recognize`](crate::backup::artifact::recognize)).
//! - A file that this process has open is refused if that can be detected (Linux): it may be a live database,
//!   and closing a second descriptor of one drops its locks.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::backup::artifact;
use crate::backup::artifact::compression::{self, Compression};
use crate::backup::artifact::kind::{Kind, SQLITE_MAGIC};
use crate::backup::catalog::Catalog;
use crate::backup::catalog::entry::Entry;
use crate::backup::catalog::hash_file;
use crate::backup::rebuild::scratch;
use crate::backup::verify::newer_sqlite;
use crate::bounds;
use crate::clock;
use crate::error::{Error, Result};
use crate::files;
use crate::phase::Phase;
use crate::progress::Watch;

/// Bytes of a database's header (<https://www.sqlite.org/fileformat.html>, section 1.3).
const HEADER: usize = 100;

/// Describes the artifact at `path`, which may be rebuilt in one of the directories `targets`. Fails if it is
/// no database.
pub fn describe(catalog: &Catalog<'_>, path: &Path, targets: &[&Path], watch: &mut Watch<'_>) -> Result<Entry> {
    if files::open_in_this_process(path) {
        return Err(Error::usage(format!(
            "'{}' is open in this process and not in a catalog, so it may be a live database; pass a backup",
            path.display()
        )));
    }
    if let Some(companion) = catalog.journal_of(path)? {
        return Err(Error::usage(format!(
            "'{}' lies beside '{}', which is no complete backup without it; open the database with SQLite and back it up with \
             queue_backup()",
            companion.display(),
            path.display()
        )));
    }
    if let Some(entry) = beside(catalog, path)? {
        return Ok(entry);
    }
    let Some(mut file) = catalog.open_file(path)? else {
        return Err(Error::new(
            rusqlite::ffi::SQLITE_CANTOPEN,
            format!(
                "there is no backup '{}'; queue_backups() lists those that there are; of an id, four characters are enough",
                path.display()
            ),
        ));
    };
    watch.begin_uncounted(Phase::Reading)?;
    let compression = compression_of(&mut file, path)?;
    let fingerprint = artifact::fingerprint(&mut file, path, watch)?;
    let page_size = page_size_of(&mut file, compression, path)?;
    let plain = match compression {
        Compression::None => fingerprint.size,
        _ => plain_length(&mut file, compression, path, targets, watch)?,
    };
    let page_count = u32::try_from(plain / u64::from(page_size)).unwrap_or(u32::MAX);
    let mut entry = Entry {
        backup_type: Kind::Full.word().into(),
        backup_path: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        created_at: modified(&file),
        size_bytes: fingerprint.size,
        compressed: compression != Compression::None,
        compression: compression.word().into(),
        checksum: fingerprint.checksum,
        page_count: Some(page_count),
        page_size: Some(page_size),
        pages_stored: Some(page_count),
        ..Entry::default()
    };
    entry.seal();
    Ok(entry)
}

/// The catalog object in the hash file beside it; refuses an incremental.
fn beside(catalog: &Catalog<'_>, path: &Path) -> Result<Option<Entry>> {
    let hash_path = hash_file::path_of(path);
    let Some(file) = catalog.open_file(&hash_path)? else { return Ok(None) };
    let Some(found) = hash_file::read_entry(file, &hash_path)? else { return Ok(None) };
    let mut entry = found.entry;
    if entry.parent_id.is_some() {
        return Err(Error::usage(format!(
            "'{}' is an incremental, and the catalog of its directory does not list it; put it beside the backups that it builds \
             on, with their hash files",
            path.display()
        )));
    }
    // The catalog may list the original of this copy; operations on one must not affect the other.
    entry.id.clear();
    entry.unmark();
    // It may have been renamed.
    entry.backup_path = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    entry.seal();
    Ok(Some(entry))
}

fn compression_of(file: &mut File, path: &Path) -> Result<Compression> {
    let mut magic = [0; 4];
    let length = artifact::read_at_start(file, &mut magic, path)?;
    Ok(match magic.get(..length) {
        Some([0x1f, 0x8b, ..]) => Compression::Gzip,
        Some([0x28, 0xb5, 0x2f, 0xfd]) => Compression::Zstd,
        _ => Compression::None,
    })
}

fn page_size_of(file: &mut File, compression: Compression, path: &Path) -> Result<u32> {
    let mut header = [0; HEADER];
    artifact::read_at_start(file, &mut [], path)?;
    let beginning = Read::take(file, bounds::BEGINNING);
    let read = compression::reader(beginning, compression).and_then(|mut plain| plain.read_exact(&mut header));
    let not_one = || {
        Error::new(
            rusqlite::ffi::SQLITE_NOTADB,
            format!("'{}' is not a backup: it holds no SQLite database", path.display()),
        )
    };
    match read {
        Err(error) if compression::is_no_damage(&error) => {
            return Err(Error::io("read", path, &compression::as_io_error(error)));
        }
        Err(_) => return Err(not_one()),
        Ok(()) => {}
    }
    if &header[..16] != SQLITE_MAGIC {
        return Err(not_one());
    }
    newer_sqlite::refuse_format(&header, path)?;
    match u16::from_be_bytes([header[16], header[17]]) {
        1 => Ok(65_536),
        size if size.is_power_of_two() && size >= 512 => Ok(u32::from(size)),
        _ => Err(not_one()),
    }
}

/// The length of the plain content. A decompression bomb is detected by the space that it would take wherever
/// it could be rebuilt.
fn plain_length(
    file: &mut File,
    compression: Compression,
    path: &Path,
    targets: &[&Path],
    watch: &mut Watch<'_>,
) -> Result<u64> {
    let limit = scratch::largest_expandable(path, targets)?;
    artifact::read_at_start(file, &mut [], path)?;
    let mut length = 0;
    compression::expand(file, compression, path, watch, |piece| {
        length += piece.len() as u64;
        if length <= limit {
            return Ok(());
        }
        Err(Error::new(
            rusqlite::ffi::SQLITE_FULL,
            format!(
                "'{}' expands to more than {limit} bytes, the most that there is for it where it could be rebuilt, with a margin of the disk that a \
                 file in no catalog leaves to others; free some space, or expand it yourself",
                path.display()
            ),
        ))
    })?;
    Ok(length)
}

fn modified(file: &File) -> String {
    let time = file.metadata().and_then(|found| found.modified());
    time.map_or_else(|_| String::new(), |time| clock::rfc3339(time.into()))
}
