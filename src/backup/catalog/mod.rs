//! The catalog: `backup_manifest.json` in each backup directory.
//!
//! # Promise
//!
//! - The file is a JSON array with one [`Entry`] object a backup.
//! - The directory is opened once. Whatever its path leads to meanwhile, all that is read, listed, made, compared and deleted for the catalog
//!   lies in that directory, the artifacts included.
//! - Readers need no lock: the file is only ever replaced whole. Writers exclude each other with a lock on
//!   `backup_manifest.json.lock` beside it, and fields that this version does not know survive their rewrites.
//! - A manifest that is missing, or is no JSON array of catalog objects, is rebuilt from the hash files (see
//!   [`recover`](self::recover)); it is set aside, never overwritten. One that names a file outside its directory was written
//!   with intent: it is an error, and every action leaves everything as it is.
//! - In a directory that everybody may write, nothing is deleted on the word of a stranger's catalog or hash file
//!   ([`stranger`](files::stranger)).
//! - **Deleting is crash-safe**: an entry is first marked `deleting`, then its file goes, then the entry. A crash in
//!   between leaves a marked entry, which no reader shows and the next writer completes. A file that cannot be deleted leaves the
//!   entry with the error, which is shown (see [`listing`](Listing)), and every writer tries again.

pub mod adopted;
mod backup;
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
use crate::files::{self, Directory, DirectoryLock, Found, Heir, LiveFiles, Ownership, Users};
use crate::progress::{RETRY, Watch};
pub use backup::Backup;
pub use deletion::told as told_of_deletions;
pub use listing::{Listing, newest_first};
pub use writer::Writer;

/// The catalog's file name.
pub const MANIFEST: &str = "backup_manifest.json";
const PATIENCE: Duration = Duration::from_secs(30);

/// The catalog of one directory.
pub struct Catalog<'a> {
    directory: PathBuf,
    /// The directory, whatever its path leads to meanwhile; `None` if it was not there.
    opened: Option<Directory>,
    live: &'a LiveFiles,
    heir: Option<Heir>,
    leaders: Option<Users>,
    is_passed_on: bool,
}

impl<'a> Catalog<'a> {
    /// The catalog of `directory`, which need not exist.
    ///
    /// # Errors
    ///
    /// When the process has no current directory to make the path absolute, or a directory that cannot be opened.
    pub fn of(directory: &Path, live: &'a LiveFiles) -> Result<Self> {
        let absolute =
            std::path::absolute(directory).map_err(|error| Error::io("resolve the directory", directory, &error))?;
        // `a/b/.` and `a//b` are `a/b`; `..` stays, since a symbolic link may be before it.
        let directory: PathBuf = absolute.components().collect();
        let opened = Directory::find(&directory)?;
        let leaders = opened.as_ref().and_then(files::leaders);
        Ok(Self { directory, opened, live, heir: None, leaders, is_passed_on: false })
    }

    /// The files that must not be touched.
    pub fn live(&self) -> &LiveFiles {
        self.live
    }

    /// Has backups rebuilt only from artifacts of the user who gets the result, if one is given.
    pub fn restrict(&mut self, heir: Option<Heir>) {
        self.heir = heir;
    }

    /// Has artifacts opened as what somebody gets who asked for it by this path.
    pub fn pass_on(&mut self) {
        self.is_passed_on = true;
    }

    /// Refuses an open artifact that a backup must not be rebuilt from.
    pub fn check(&self, file: &File, path: &Path) -> Result<()> {
        self.heir.map_or(Ok(()), |heir| files::refuse_to_pass(file, path, heir))?;
        if self.is_passed_on { self.refuse_redirected(path) } else { Ok(()) }
    }

    /// Refuses a file that is not theirs who may have led the catalog's path to another directory.
    pub fn refuse_redirected(&self, path: &Path) -> Result<()> {
        let Some((leaders, directory)) = self.leaders.zip(self.opened.as_ref()) else { return Ok(()) };
        files::refuse_redirected(directory, path, leaders)
    }

    /// Where it lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory, in which all is done that is done for the catalog.
    pub fn opened(&self) -> Result<&Directory> {
        let missing = || Error::io("open the directory", &self.directory, &std::io::ErrorKind::NotFound.into());
        self.opened.as_ref().ok_or_else(missing)
    }

    /// What has a name in the directory, if anything.
    pub fn look(&self, path: &Path) -> Result<Option<Found>> {
        self.opened.as_ref().map_or(Ok(None), |directory| directory.metadata_of(path))
    }

    /// The journal with content beside a file in the directory, if there is one: somebody uses the file as a database.
    pub fn journal_of(&self, path: &Path) -> Result<Option<PathBuf>> {
        for companion in ["-wal", "-journal"].map(|companion| files::with_suffix(path, companion)) {
            if self.look(&companion)?.is_some_and(|found| found.length() > 0) {
                return Ok(Some(companion));
            }
        }
        Ok(None)
    }

    /// Opens a file in the directory for reading, if it is there.
    pub fn open_file(&self, path: &Path) -> Result<Option<File>> {
        self.opened.as_ref().map_or(Ok(None), |directory| files::open_own(directory, path, self.live))
    }

    /// What it lists, as that stands there.
    ///
    /// # Errors
    ///
    /// A manifest that cannot be read or is none.
    pub fn read(&self) -> Result<Listing> {
        let Some(directory) = &self.opened else { return Ok(Listing::default()) };
        let entries = match read(directory, &self.manifest(), self.live)? {
            Manifest::Catalog(entries, _) => entries,
            Manifest::Missing | Manifest::Foreign => recover::all(directory, self.live)?,
        };
        Ok(Listing::of(entries))
    }

    /// The same, after a look at which artifact lies there where a crash cut a replacement short. So a backup that has just
    /// replaced another can be seen and used at once, before the next writer settles it.
    ///
    /// # Errors
    ///
    /// The same, `SQLITE_INTERRUPT`, or a file that cannot be read.
    pub fn listing(&self, watch: &mut Watch<'_>) -> Result<Listing> {
        let mut listing = self.read()?;
        if let Some(directory) = &self.opened {
            recover::look(directory, self.live, &mut listing.backups, watch)?;
        }
        Ok(listing)
    }

    /// Whether there is nothing that a writer could read, complete or sweep.
    pub fn is_untouched(&self) -> bool {
        let Some(directory) = &self.opened else { return true };
        let without = matches!(directory.is_free(&self.manifest()), Ok(true));
        without && recover::all(directory, self.live).is_ok_and(|entries| entries.is_empty())
    }

    /// Takes the writers' lock, reads what is listed now, whoever wrote since it was first read, and completes what a crashed writer left.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY`, `SQLITE_INTERRUPT`, or a manifest that cannot be read or is none.
    pub fn open(&self, watch: &mut Watch<'_>) -> Result<Writer<'_>> {
        let directory = self.opened()?;
        let lock_path = files::with_suffix(&self.manifest(), ".lock");
        // Not that of one database: others' backups may come into the same directory.
        let like = Ownership::of_writers(directory);
        let mut pause = || watch.pause(RETRY);
        let lock = DirectoryLock::take(directory, &lock_path, self.live, like.as_ref(), PATIENCE, &mut pause)?;
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

/// The backups, newest first, of a catalog that is a file of any name and whose artifacts lie elsewhere, such as on
/// another machine.
///
/// # Errors
///
/// A file that cannot be read or is no catalog.
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
