//! Changes a catalog while its lock is held.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::deletion::{self, Deletions};
use super::entry::Entry;
use super::manifest::require_room;
use super::recover;
use super::{Catalog, Listing};
use crate::backup::catalog::bounded;
use crate::error::{Error, Result};
use crate::files::{self, Directory, FileLock, Ownership, Placed, Staged};
use crate::json;

/// A catalog whose lock is held.
pub struct Writer<'a> {
    catalog: &'a Catalog<'a>,
    directory: &'a Directory,
    entries: Vec<Entry>,
    deletions: Deletions,
    /// Of what was set aside.
    notes: Vec<String>,
    /// The owner of an untrusted catalog, which cannot cause deletions.
    stranger: Option<u32>,
    _lock: FileLock,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        catalog: &'a Catalog<'a>,
        directory: &'a Directory,
        entries: Vec<Entry>,
        notes: Vec<String>,
        lock: FileLock,
        stranger: Option<u32>,
    ) -> Self {
        Self { catalog, directory, entries, deletions: Deletions::default(), notes, stranger, _lock: lock }
    }

    /// Whether an unfinished deletion exists.
    pub(super) fn has_deletions(&self) -> bool {
        self.entries.iter().any(Entry::is_deleting)
    }

    pub fn directory(&self) -> &Directory {
        self.directory
    }

    pub fn listing(&self) -> Listing {
        Listing::of(self.entries.clone())
    }

    /// Newest first.
    pub fn backups(&self) -> Vec<Entry> {
        self.listing().backups
    }

    /// Sets aside the hash files that have waited too long for their artifact. Returns notes of all that this
    /// writer set aside.
    pub fn set_orphans_aside(&mut self, now: DateTime<Utc>) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(recover::set_orphans_aside(self.directory, self.catalog.live, &self.entries, now));
        notes
    }

    /// Writes the catalog to a temporary file, with `entry` in place of any with the same artifact. Whatever
    /// can fail for lack of space fails here, before the artifact is placed. A new catalog gets the
    /// database's permissions and owner.
    pub fn stage(&self, entry: &Entry, like: Option<Ownership>) -> Result<StagedCatalog> {
        require_room(&self.entries)?;
        let mut entries = self.entries.clone();
        entries.retain(|other| other.backup_path != entry.backup_path);
        let mut sealed = entry.clone();
        sealed.seal();
        bounded::check_new_entry(json::pretty(&sealed)?.len())?;
        entries.push(sealed.clone());
        let staged = self.write(&entries, like, true)?;
        Ok(StagedCatalog { staged, entry: sealed })
    }

    /// Renames a staged catalog into place. Returns the entry as stored, and the error if it may not be
    /// durable. After a failure the catalog is unchanged.
    pub fn commit(&self, staged: StagedCatalog) -> Result<(Entry, Option<Error>)> {
        match staged.staged.place(&self.catalog.manifest(), true)? {
            Placed::Fragile(error) => Ok((staged.entry, Some(error))),
            Placed::Durable | Placed::Taken => Ok((staged.entry, None)),
        }
    }

    /// Deletes the backups with these ids: marks them, then removes their files. [`Writer::deletions`] has
    /// the result, including earlier unfinished deletions.
    pub fn delete(&mut self, ids: &[String]) -> Result<()> {
        if let Some(owner) = self.stranger.filter(|_| !ids.is_empty()) {
            return Err(files::refusal_of_stranger(&self.catalog.manifest(), owner));
        }
        let doomed: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let mut marked = false;
        for entry in &mut self.entries {
            // A modified entry must not cause a deletion.
            if doomed.contains(entry.id.as_str()) && entry.is_intact() && !entry.is_deleting() {
                entry.mark_deleting();
                marked = true;
            }
        }
        if !marked {
            return Ok(());
        }
        self.save()?;
        self.complete_deletions()
    }

    /// Whether completing an unfinished deletion removed this backup.
    pub fn has_deleted(&self, backup: &Entry) -> bool {
        self.deletions.gone.iter().any(|entry| entry.is_same(backup))
    }

    /// Takes the results of all deletions, including those begun before this writer.
    pub fn deletions(&mut self) -> Deletions {
        std::mem::take(&mut self.deletions)
    }

    /// Removes the files of marked entries, then the entries. Entries whose files resist stay, with the
    /// error.
    pub(super) fn complete_deletions(&mut self) -> Result<()> {
        let (going, mut kept): (Vec<Entry>, Vec<Entry>) =
            self.entries.drain(..).partition(|entry| entry.is_deleting() && entry.is_intact());
        let mut done = deletion::remove(going, self.directory, self.catalog.live);
        let mut changed = !done.gone.is_empty();
        for (entry, error) in &mut done.resisted {
            if entry.deletion_error().as_deref() != Some(error.message()) {
                entry.mark_deletion_failed(error.message());
                changed = true;
            }
            kept.push(entry.clone());
        }
        self.entries = kept;
        self.deletions.gone.append(&mut done.gone);
        self.deletions.resisted = done.resisted;
        if !changed {
            return Ok(());
        }
        self.directory.sync()?;
        self.save()
    }

    /// Marks the entry of an artifact that is about to be replaced, if there is one. Committing the new entry
    /// removes it; after a crash the next writer checks which of the two artifacts exists.
    pub fn mark_replacing(&mut self, backup_path: &str) -> Result<()> {
        let mut announced = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.backup_path == backup_path && entry.is_intact()) {
            entry.mark_replacing(true);
            announced = true;
        }
        if announced { self.save() } else { Ok(()) }
    }

    pub fn mark_wrong_clocks(&mut self, ids: &HashSet<String>) -> Result<()> {
        let mut marked = false;
        for entry in self.entries.iter_mut().filter(|entry| ids.contains(&entry.id) && entry.is_intact()) {
            entry.mark_wrong_clock();
            marked = true;
        }
        if marked { self.save() } else { Ok(()) }
    }

    /// Changes this backup's entry, if it still exists.
    pub fn update(&mut self, backup: &Entry, change: impl FnOnce(&mut Entry)) -> Result<()> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.is_same(backup)) else {
            return Ok(());
        };
        change(entry);
        entry.seal();
        self.save()
    }

    pub(super) fn save(&self) -> Result<()> {
        match self.write(&self.entries, None, false)?.place(&self.catalog.manifest(), true)? {
            Placed::Fragile(error) => Err(error),
            Placed::Durable | Placed::Taken => Ok(()),
        }
    }

    /// Writes a file beside the manifest, named with `suffix`, replacing an older one.
    pub fn write_companion(&self, suffix: &str, text: &[u8]) -> Result<()> {
        let path = files::with_suffix(&self.catalog.manifest(), suffix);
        let like = Ownership::of_replaced(self.directory, &self.catalog.manifest());
        match self.staged(&path, text, like)?.place(&path, true)? {
            Placed::Fragile(error) => Err(error),
            Placed::Durable | Placed::Taken => Ok(()),
        }
    }

    fn write(&self, entries: &[Entry], first: Option<Ownership>, new: bool) -> Result<Staged> {
        let path = self.catalog.manifest();
        let text = json::pretty(entries)?;
        bounded::check_written(&self.catalog.directory, entries.len(), text.len(), new)?;
        let old = Ownership::of_replaced(self.directory, &path);
        self.staged(&path, &text, old.or(first).or_else(|| Ownership::of_writers(self.directory)))
    }

    fn staged(&self, path: &Path, text: &[u8], like: Option<Ownership>) -> Result<Staged> {
        let staged = Staged::new(self.directory)?;
        let mut file = staged.handle()?;
        file.write_all(text)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|error| Error::io("write", path, &error))?;
        if let Some(like) = like {
            staged.permit(&like)?;
        }
        staged.sync()?;
        Ok(staged)
    }
}

/// A catalog under a temporary name.
pub struct StagedCatalog {
    staged: Staged,
    entry: Entry,
}
