//! Whether an artifact is what it was meant to be.
//!
//! # Promise
//!
//! Three levels, each with all that the one before it does:
//!
//! - `checksum`: the file is byte for byte what was written (length and SHA-256), and so are those that it builds on;
//! - `quick`: its pages are those of the snapshot (`content_digest`), and `PRAGMA quick_check` finds nothing;
//! - `full`: `PRAGMA integrity_check` and `PRAGMA foreign_key_check` find nothing, and the tasks by status are those
//!   that were counted when the snapshot was taken.
//!
//! Where a table needs a function or collation that only the application has, all else is checked, and what was not is named. The level
//! that was reached is then `checksum`, though the pages were compared as well.
//!
//! A plain artifact is opened where it lies, as immutable. A compressed one or an incremental is rebuilt in a temporary file
//! first, through its whole chain: in its own directory, or where there is space (see [`scratch`]).

mod database;

use std::fs::File;
use std::path::Path;

use rusqlite::ffi;

pub use database::check_database;

use super::catalog::Catalog;
use super::entry::Entry;
use super::frames::Compression;
use super::options::Kind;
use super::{artifact, hashfile, newer, parent, rebuild, recognize, scratch};
use crate::error::{Error, Result};
use crate::files::{self, Staged};
use crate::host::reading;
use crate::progress::Watch;
use crate::soundness::Soundness;

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The file is what was written.
    Checksum,
    /// And its pages make a sound database, as far as a quick look tells.
    Quick,
    /// And every index, constraint and count is right.
    Full,
}

impl Level {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// The level of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Checksum, Self::Quick, Self::Full].into_iter().find(|level| level.word() == word)
    }
}

/// Where what a schema needs and is missing here can be had.
const ELSEWHERE: &str = "open the backup there and run PRAGMA integrity_check";

impl Soundness {
    /// The level that a verification without findings has reached.
    pub fn level(&self, asked: Level) -> Level {
        if self.unjudged.is_empty() { asked } else { Level::Checksum }
    }

    /// What a verification could not judge, if anything.
    pub fn verification_note(&self) -> Option<String> {
        self.note(ELSEWHERE)
    }
}

/// What is known of a backup.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong, and what could not be judged.
    pub soundness: Soundness,
    /// Its pages are what was written, and only a SQLite older than the one that made it finds fault with them.
    pub by_older: bool,
}

impl From<Error> for Verdict {
    fn from(damage: Error) -> Self {
        let soundness = Soundness { findings: vec![damage.message().to_owned()], unjudged: Vec::new() };
        Self { soundness, by_older: false }
    }
}

/// What is wrong with the backup of `entry`, and what could not be judged. `file` is where its artifact lies, if that is not
/// its place in the directory yet.
///
/// # Errors
///
/// When the question could not be answered: an unreadable file, a full disk, an interrupt, a schema of another SQLite.
pub fn findings(
    catalog: &Catalog<'_>,
    entry: &Entry,
    file: Option<&Path>,
    level: Level,
    watch: &mut Watch<'_>,
) -> Result<Verdict> {
    let place = entry.place(catalog.directory());
    let path = file.unwrap_or(&place);
    let plain = entry.compression == Compression::None.word() && entry.backup_type != Kind::Incremental.word();
    let proved = if level == Level::Checksum {
        check_files(catalog, entry, path, watch)
            .and_then(|()| refuse_lone_delta(catalog, entry, path, plain, watch))
            .map(|()| None)
    } else if plain {
        check_files(catalog, entry, path, watch).and_then(|()| check_pages(entry, path, watch)).map(|()| None)
    } else {
        check_hash_file(entry, path, catalog, watch)
            .and_then(|()| rebuild_aside(catalog, entry, file, watch))
            .map(Some)
    };
    let rebuilt = match proved {
        Err(error) if is_damage(&error) => return Ok(Verdict::from(error)),
        proved => proved?,
    };
    if level == Level::Checksum {
        return Ok(Verdict::default());
    }
    let database = rebuilt.as_ref().map_or(path, |rebuilt| rebuilt.path());
    let mut verdict = match check_database(database, entry, level, watch) {
        Err(error) if is_damage(&error) => Verdict::from(error),
        outcome => Verdict { soundness: outcome?, by_older: false },
    };
    let faulty = !verdict.soundness.findings.is_empty();
    verdict.by_older = faulty && entry.content_digest.is_some() && newer::is_newer(database, entry);
    Ok(verdict)
}

/// Rebuilds the database where there is space for it.
fn rebuild_aside(catalog: &Catalog<'_>, entry: &Entry, file: Option<&Path>, watch: &mut Watch<'_>) -> Result<Staged> {
    let needed = rebuild::space_for(&catalog.known()?, entry)?;
    let directory = scratch::directory(catalog.directory(), needed, entry, catalog.live())?;
    rebuild::rebuild(catalog, entry, file, &directory, watch)
}

/// Every artifact of the chain is what was written.
fn check_files(catalog: &Catalog<'_>, entry: &Entry, path: &Path, watch: &mut Watch<'_>) -> Result<()> {
    let entries = catalog.known()?;
    for link in parent::chain(&entries, entry).map_err(Error::corrupt)? {
        let place = link.place(catalog.directory());
        let path = if link.id == entry.id { path } else { &place };
        let Some(mut file) = files::open_own(path, catalog.live())? else {
            return Err(Error::corrupt(format!("the backup '{}' is missing", path.display())));
        };
        check_hash_file(link, path, catalog, watch)?;
        let found = artifact::fingerprint(&mut file, path, watch)?;
        if found.size != link.size_bytes || found.checksum != link.checksum {
            return Err(Error::corrupt(format!(
                "'{}' has {} bytes with SHA-256 {}, but {} bytes with {} were written",
                path.display(),
                found.size,
                found.checksum,
                link.size_bytes,
                link.checksum
            )));
        }
    }
    Ok(())
}

/// The hash file is what was written. Without it nothing is wrong with the backup; only the next incremental has to be full.
fn check_hash_file(entry: &Entry, path: &Path, catalog: &Catalog<'_>, watch: &mut Watch<'_>) -> Result<()> {
    let Some(checksum) = &entry.hash_file_checksum else { return Ok(()) };
    let path = hashfile::path_of(path);
    let opened = files::open_own(&path, catalog.live()).map_err(|error| match error.primary_code() {
        // Anything but a regular file in its place was not written by us; what the disk refuses is no damage.
        ffi::SQLITE_ERROR => Error::corrupt(error.message()),
        _ => error,
    });
    let Some(mut file) = opened? else { return Ok(()) };
    if artifact::fingerprint(&mut file, &path, watch)?.checksum == *checksum {
        return Ok(());
    }
    Err(Error::corrupt(format!("the hash file '{}' is not what was written", path.display())))
}

fn check_pages(entry: &Entry, path: &Path, watch: &mut Watch<'_>) -> Result<()> {
    if entry.content_digest.is_none() {
        // Nobody recorded what a foreign backup should be.
        return Ok(());
    }
    let geometry = rebuild::geometry_of(entry)?;
    let mut file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let hashes = artifact::page_hashes(&mut file, path, geometry.page_size, watch)?;
    if Some(artifact::content_digest(geometry, &hashes)) == entry.content_digest {
        return Ok(());
    }
    Err(Error::corrupt(format!("the pages of '{}' are not those of the snapshot", path.display())))
}

/// Refuses a delta of which nothing but the file itself says what it is, without expanding files that are none.
fn refuse_lone_delta(
    catalog: &Catalog<'_>,
    entry: &Entry,
    path: &Path,
    plain: bool,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let Some(file) = files::open_own(path, catalog.live())? else { return Ok(()) };
    let compression = Compression::from_word(&entry.compression).unwrap_or(Compression::None);
    if entry.content_digest.is_some()
        || !recognize::may_be_delta(&artifact::plain_beginning(file, compression, path)?)
    {
        return Ok(());
    }
    let expanded = match plain {
        true => None,
        false => Some(rebuild_aside(catalog, entry, Some(path), watch)?),
    };
    let conn = artifact::open_immutable(expanded.as_ref().map_or(path, |expanded| expanded.path()))?;
    match watch.over(&conn, || recognize::refuse_delta(&conn, path))?.map_err(|error| reading::told(&conn, error)) {
        // Whether the content is sound is not the question at this level.
        Err(error) if is_damage(&error) => Ok(()),
        outcome => outcome,
    }
}

/// Whether an error says that content is not what it should be.
pub fn is_damage(error: &Error) -> bool {
    error.is_damage()
}
