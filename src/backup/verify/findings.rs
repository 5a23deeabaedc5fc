//! Checks an artifact.
//!
//! # Promise
//!
//! Three levels, each including the ones before:
//!
//! - `checksum`: the artifacts of the chain are byte for byte what was written (length and SHA-256), and their
//!   hash files where they exist (from `quick` on, of a compressed or incremental backup only its own);
//! - `quick`: the pages are those of the snapshot (`content_digest`), and `PRAGMA quick_check` finds nothing;
//! - `full`: `PRAGMA integrity_check` and `PRAGMA foreign_key_check` find nothing, and the tasks by status
//!   are those counted in the snapshot.
//!
//! No level checks `CHECK` constraints: SQLite omits them from a schema read from a read-only file. A row
//! that violates one did so in the source, so the backup is faithful.
//!
//! If a table needs a function or collation that only the application has, everything else is checked, and a
//! note names what was not. The reached level is then `checksum`, although the pages were compared, too.
//!
//! A plain artifact is opened in place, as immutable. A compressed one or an incremental is first rebuilt
//! from its chain in a temporary file: in its own directory, or where there is space (see [`scratch`]).

use std::fs::File;
use std::io::Seek;
use std::path::PathBuf;

use rusqlite::ffi;

pub use super::database::check_database;

use super::newer_sqlite;
use crate::backup::artifact::compression::Compression;
use crate::backup::artifact::kind::{Kind, Level};
use crate::backup::artifact::recognize;
use crate::backup::catalog::Backup;
use crate::backup::catalog::entry::Entry;
use crate::backup::catalog::hash_file;
use crate::backup::rebuild::scratch;
use crate::backup::{artifact, rebuild};
use crate::error::{Error, Result};
use crate::files::{self, Staged};
use crate::host::disk_errors;
use crate::phase::Phase;
use crate::progress::Watch;
use crate::sqlite_checks::Soundness;

/// SQLite's default, for the progress of an entry without a page size.
const USUAL_PAGE: u32 = 4096;

/// The advice for a schema that needs the application.
const ELSEWHERE: &str = "open the backup there and run PRAGMA integrity_check";

impl Soundness {
    /// The level reached by a verification without findings.
    pub fn level(&self, asked: Level) -> Level {
        if self.unjudged.is_empty() { asked } else { Level::Checksum }
    }

    /// A note on what could not be judged.
    pub fn verification_note(&self) -> Option<String> {
        self.note(ELSEWHERE)
    }
}

/// The result of checking a backup.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The findings, and what could not be judged.
    pub soundness: Soundness,
    /// The pages are as written, and only a SQLite older than the one that made them has findings.
    pub by_older: bool,
}

impl From<Error> for Verdict {
    fn from(damage: Error) -> Self {
        let soundness = Soundness { findings: vec![damage.message().to_owned()], unjudged: Vec::new() };
        Self { soundness, by_older: false }
    }
}

/// Checks a backup. Fails if it cannot be checked: an unreadable file, a full disk, an interrupt, a schema of
/// another SQLite.
pub fn check_backup(backup: &Backup<'_>, level: Level, watch: &mut Watch<'_>) -> Result<Verdict> {
    let entry = backup.entry;
    let plain = entry.compression == Compression::None.word() && entry.backup_type != Kind::Incremental.word();
    let proved = if level == Level::Checksum {
        backup.check_files(watch).and_then(|file| backup.refuse_lone_delta(file, plain, watch)).map(|()| None)
    } else if plain {
        backup.check_files(watch).and_then(|file| backup.check_pages(file, watch)).map(Some)
    } else {
        backup.check_hash_file(entry, watch).and_then(|()| backup.rebuild_aside(watch)).map(Some)
    };
    let database = match proved {
        Err(error) if error.is_damage() => return Ok(Verdict::from(error)),
        Ok(None) => return Ok(Verdict::default()),
        Ok(Some(database)) => database,
        Err(error) => return Err(error),
    };
    let mut verdict = match check_database(&database.file, &database.path, entry, level, watch) {
        Err(error) if error.is_damage() => Verdict::from(error),
        outcome => Verdict { soundness: outcome?, by_older: false },
    };
    let faulty = !verdict.soundness.findings.is_empty();
    verdict.by_older = faulty && entry.content_digest.is_some() && newer_sqlite::is_newer(&database.file, entry);
    Ok(verdict)
}

/// An open plain database.
struct Database {
    file: File,
    /// The path for errors.
    path: PathBuf,
    /// Deleted on drop.
    _rebuilt: Option<Staged>,
}

/// Opens each file once: SQLite reads what was compared.
impl Backup<'_> {
    /// Rebuilds the database where there is space for it.
    fn rebuild_aside(&self, watch: &mut Watch<'_>) -> Result<Database> {
        let needed = rebuild::space_for(self.known, self.entry)?;
        let directory = scratch::directory(self.catalog, needed, self.entry)?;
        let rebuilt = rebuild::rebuild(self, &directory, watch)?;
        Ok(Database { file: rebuilt.handle()?, path: rebuilt.path().to_path_buf(), _rebuilt: Some(rebuilt) })
    }

    /// Checks every artifact of the chain; returns the backup's own.
    fn check_files(&self, watch: &mut Watch<'_>) -> Result<File> {
        let mut own = None;
        let chain = self.chain()?;
        let stored = chain.iter().map(|link| link.size_bytes).fold(0, u64::saturating_add);
        watch.begin(Phase::Reading, stored, self.entry.page_size.unwrap_or(USUAL_PAGE))?;
        for link in chain {
            let path = self.path_of(link);
            let missing = || Error::corrupt(format!("the backup '{}' is missing", path.display()));
            let mut file = self.open(link)?.ok_or_else(missing)?;
            self.check_hash_file(link, watch)?;
            let found = artifact::fingerprint(&mut file, &path, watch)?;
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
            own = own.or(Some(file));
        }
        watch.finish()?;
        own.ok_or_else(|| Error::internal("a chain of no backups"))
    }

    /// Checks the hash file. If it is missing, the backup is sound; only the next incremental must be a full
    /// one.
    fn check_hash_file(&self, link: &Entry, watch: &mut Watch<'_>) -> Result<()> {
        let Some(checksum) = &link.hash_file_checksum else { return Ok(()) };
        let path = hash_file::path_of(&self.path_of(link));
        let opened = self.catalog.open_file(&path).map_err(|error| match error.primary_code() {
            // Not a regular file: not written by us. An I/O error is no damage.
            ffi::SQLITE_ERROR => Error::corrupt(error.message()),
            _ => error,
        });
        let Some(mut file) = opened? else { return Ok(()) };
        if artifact::fingerprint(&mut file, &path, watch)?.checksum == *checksum {
            return Ok(());
        }
        Err(Error::corrupt(format!("the hash file '{}' is not what was written", path.display())))
    }

    /// Compares the pages of a plain artifact with the snapshot's.
    fn check_pages(&self, mut file: File, watch: &mut Watch<'_>) -> Result<Database> {
        let path = self.path_of(self.entry);
        // Nothing is recorded of a foreign backup.
        if self.entry.content_digest.is_some() {
            let geometry = rebuild::geometry_of(self.entry)?;
            let size = file.metadata().map_err(|error| Error::io("look at", &path, &error))?.len();
            watch.begin(Phase::Comparing, size, geometry.page_size)?;
            let hashes = artifact::page_hashes(&mut file, &path, geometry.page_size, watch)?;
            if Some(artifact::content_digest(geometry, &hashes)) != self.entry.content_digest {
                return Err(Error::corrupt(format!(
                    "the pages of '{}' are not those of the snapshot",
                    path.display()
                )));
            }
        }
        Ok(Database { file, path, _rebuilt: None })
    }

    /// Refuses an uncatalogued delta, recognized by its content, without expanding other files.
    fn refuse_lone_delta(&self, mut file: File, plain: bool, watch: &mut Watch<'_>) -> Result<()> {
        let path = self.path_of(self.entry);
        let compression = Compression::from_word(&self.entry.compression).unwrap_or(Compression::None);
        if self.entry.content_digest.is_some() {
            return Ok(());
        }
        file.rewind().map_err(|error| Error::io("read", &path, &error))?;
        if !recognize::may_be_delta(&artifact::plain_beginning(files::duplicate(&file, &path)?, compression, &path)?)
        {
            return Ok(());
        }
        let database = match plain {
            true => Database { file, path: path.clone(), _rebuilt: None },
            false => self.rebuild_aside(watch)?,
        };
        let conn = artifact::open_immutable(files::duplicate(&database.file, &path)?, &database.path)?;
        match watch
            .run(&conn, || recognize::refuse_delta(&conn, &path))?
            .map_err(|error| disk_errors::told(&conn, error))
        {
            // This level does not check the content.
            Err(error) if error.is_damage() => Ok(()),
            outcome => outcome,
        }
    }
}
