//! The catalog: `backup_manifest.json` in each backup directory.
//!
//! # Promise
//!
//! - The file is a JSON array with one [`Entry`] object per backup.
//! - The directory is opened once. Wherever its path leads meanwhile, everything read, listed, created,
//!   compared and deleted for the catalog is in that directory, including the artifacts.
//! - Readers need no lock, since the file is replaced atomically. Writers exclude each other with a lock on
//!   `backup_manifest.json.lock` beside it, and keep unknown fields.
//! - A manifest that is missing, or is no JSON array of catalog objects, is rebuilt from the hash files (see
//!   [`recover`]); it is set aside, never overwritten. One that names a file outside its directory is
//!   malicious: every operation fails and changes nothing.
//! - In a world-writable directory nothing is deleted because of a stranger's catalog or hash file
//!   ([`stranger`](files::stranger)).
//! - **Deleting is crash-safe**: an entry is first marked `deleting`, then its file is deleted, then the
//!   entry. A crash in between leaves a marked entry, which readers hide and the next writer completes. If a
//!   file cannot be deleted, its entry stays, is shown with the error (see [`Listing`]), and every writer
//!   tries again.

pub mod adopted;
mod backup;
pub mod bounded;
pub mod chain;
mod deletion;
pub mod entry;
pub mod hash_file;
mod listing;
pub(crate) mod manifest;
pub mod orphans;
pub mod recover;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::entry::Entry;
use self::manifest::{Manifest, read};
use crate::error::{Error, Result};
use crate::files::{self, Directory, FileLock, Found, Heir, LiveFiles, Ownership, Users};
use crate::progress::{RETRY, Watch};
pub use backup::Backup;
pub use deletion::combined as combined_errors;
pub use listing::{Listing, newest_first};
pub use writer::Writer;

pub const MANIFEST: &str = "backup_manifest.json";
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Catalog<'a> {
    directory: PathBuf,
    /// Pinned when the catalog was created; `None` if it did not exist.
    opened: Option<Directory>,
    live: &'a LiveFiles,
    heir: Option<Heir>,
    leaders: Option<Users>,
    is_passed_on: bool,
}

impl<'a> Catalog<'a> {
    /// The catalog of `directory`, which need not exist.
    pub fn of(directory: &Path, live: &'a LiveFiles) -> Result<Self> {
        let absolute =
            std::path::absolute(directory).map_err(|error| Error::io("resolve the directory", directory, &error))?;
        // `a/b/.` and `a//b` become `a/b`; `..` stays, since a symbolic link may precede it.
        let directory: PathBuf = absolute.components().collect();
        let opened = Directory::find(&directory)?;
        let leaders = opened.as_ref().and_then(files::leaders);
        Ok(Self { directory, opened, live, heir: None, leaders, is_passed_on: false })
    }

    /// The files that must not be touched.
    pub fn live(&self) -> &LiveFiles {
        self.live
    }

    /// Limits rebuilding to artifacts of the user who gets the result, if one is given.
    pub fn restrict(&mut self, heir: Option<Heir>) {
        self.heir = heir;
    }

    /// Extends [`Catalog::check`] by [`Catalog::refuse_redirected`]: the content goes to a caller who named
    /// the path.
    pub fn pass_on(&mut self) {
        self.is_passed_on = true;
    }

    /// Refuses an open artifact that must not be used for a rebuild.
    pub fn check(&self, file: &File, path: &Path) -> Result<()> {
        self.heir.map_or(Ok(()), |heir| files::refuse_to_pass(file, path, heir))?;
        if self.is_passed_on { self.refuse_redirected(path) } else { Ok(()) }
    }

    /// Refuses a file that is not owned by those who could have redirected the catalog's path.
    pub fn refuse_redirected(&self, path: &Path) -> Result<()> {
        let Some((leaders, directory)) = self.leaders.zip(self.opened.as_ref()) else { return Ok(()) };
        files::refuse_redirected(directory, path, leaders)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The open directory, in which all work for the catalog is done.
    pub fn opened(&self) -> Result<&Directory> {
        let missing = || Error::io("open the directory", &self.directory, &std::io::ErrorKind::NotFound.into());
        self.opened.as_ref().ok_or_else(missing)
    }

    /// The metadata of a file in the directory, if it exists.
    pub fn metadata_of(&self, path: &Path) -> Result<Option<Found>> {
        self.opened.as_ref().map_or(Ok(None), |directory| directory.metadata_of(path))
    }

    /// The non-empty journal of a file in the directory, if there is one: the file is in use as a database.
    pub fn journal_of(&self, path: &Path) -> Result<Option<PathBuf>> {
        for companion in ["-wal", "-journal"].map(|companion| files::with_suffix(path, companion)) {
            if self.metadata_of(&companion)?.is_some_and(|found| found.length() > 0) {
                return Ok(Some(companion));
            }
        }
        Ok(None)
    }

    /// Opens a file in the directory for reading, if it exists.
    pub fn open_file(&self, path: &Path) -> Result<Option<File>> {
        self.opened.as_ref().map_or(Ok(None), |directory| files::open_own(directory, path, self.live))
    }

    /// Reads the listing as stored.
    pub fn read(&self) -> Result<Listing> {
        let Some(directory) = &self.opened else { return Ok(Listing::default()) };
        let entries = match read(directory, &self.manifest(), self.live)? {
            Manifest::Catalog(entries, _) => entries,
            Manifest::Missing | Manifest::Foreign => recover::all(directory, self.live)?,
        };
        Ok(Listing::of(entries))
    }

    /// Reads the listing, and checks which artifact exists where a crash interrupted a replacement. So a
    /// backup that has just replaced another can be used at once, before the next writer settles it.
    pub fn listing(&self, watch: &mut Watch<'_>) -> Result<Listing> {
        let mut listing = self.read()?;
        if let Some(directory) = &self.opened {
            recover::settled_in_memory(directory, self.live, &mut listing.backups, watch)?;
        }
        Ok(listing)
    }

    /// Whether there is nothing for a writer to read, complete or sweep.
    pub fn is_untouched(&self) -> bool {
        let Some(directory) = &self.opened else { return true };
        let without = matches!(directory.is_free(&self.manifest()), Ok(true));
        without && recover::all(directory, self.live).is_ok_and(|entries| entries.is_empty())
    }

    /// Takes the writers' lock, rereads the entries, and completes what a crashed writer left. Fails with
    /// `SQLITE_BUSY` after 30 s.
    pub fn open(&self, watch: &mut Watch<'_>) -> Result<Writer<'_>> {
        let directory = self.opened()?;
        let lock_path = files::with_suffix(&self.manifest(), ".lock");
        // Not the database's: other databases' backups may share the directory.
        let like = Ownership::of_writers(directory);
        let mut pause = || watch.pause(RETRY);
        let lock = FileLock::take(directory, &lock_path, self.live, like.as_ref(), PATIENCE, &mut pause)?;
        files::sweep(directory, self.live);
        let manifest = read(directory, &self.manifest(), self.live)?;
        let foreign = matches!(manifest, Manifest::Foreign);
        let mut notes = Vec::new();
        let mut stranger = None;
        let (entries, changed) = match manifest {
            Manifest::Catalog(mut entries, owner) => {
                stranger = owner;
                let settled = recover::settle(directory, self.live, &mut entries, watch)?;
                let unlisted = recover::unlisted(directory, self.live, &entries, watch)?;
                let changed = settled.is_some() || !unlisted.is_empty();
                notes = settled.unwrap_or_default();
                entries.extend(unlisted);
                (entries, changed)
            }
            Manifest::Missing | Manifest::Foreign => {
                let entries = recover::all(directory, self.live)?;
                let changed = foreign || !entries.is_empty();
                (entries, changed)
            }
        };
        if foreign {
            recover::set_aside(directory, MANIFEST)?;
        }
        let mut writer = Writer::new(self, directory, entries, notes, lock, stranger);
        if changed {
            writer.save()?;
        }
        if stranger.is_none() && writer.has_deletions() {
            writer.complete_deletions()?;
        }
        Ok(writer)
    }

    fn manifest(&self) -> PathBuf {
        self.directory.join(MANIFEST)
    }
}

/// The backups, newest first, of a catalog file of any name whose artifacts are elsewhere, such as on another
/// machine.
pub fn elsewhere(path: &Path, live: &LiveFiles) -> Result<Vec<Entry>> {
    let directory = Directory::open(files::parent_of(path))?;
    let Manifest::Catalog(entries, _) = read(&directory, path, live)? else {
        return Err(Error::usage(format!(
            "'{}' is no catalog; pass a backup directory, or a copy of a {MANIFEST}",
            path.display()
        )));
    };
    Ok(Listing::of(entries).backups)
}
