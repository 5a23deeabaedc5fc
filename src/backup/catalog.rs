//! The catalog: `backup_manifest.json` in each backup directory.
//!
//! # Promise
//!
//! - The file is a JSON array with one [`Entry`] object a backup.
//! - Readers need no lock: the file is only ever replaced whole. Writers exclude each other with a lock on
//!   `backup_manifest.json.lock` beside it, and fields that this version does not know survive their rewrites.
//! - A manifest that is missing, or is no JSON array of catalog objects, is rebuilt from the hash files (see
//!   [`recover`](super::recover)); it is set aside, never overwritten. One that names a file outside its directory was written
//!   with intent: it is an error, and every action leaves everything as it is.
//! - **Deleting is crash-safe**: an entry is first marked `deleting`, then its file goes, then the entry. A crash in
//!   between leaves a marked entry, which no reader shows and the next writer completes.

use std::fs;
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::entry::Entry;
use super::{hashfile, recover};
use crate::error::{Error, Result};
use crate::files::{self, DirectoryLock, LiveFiles, Placed, Staged};
use crate::progress::Watch;

/// The catalog's file name.
pub const MANIFEST: &str = "backup_manifest.json";
/// Fifty thousand backups; a larger file is none of ours, and reading it could take all memory.
const LARGEST: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// The catalog of one directory.
pub struct Catalog<'a> {
    directory: PathBuf,
    live: &'a LiveFiles,
}

impl<'a> Catalog<'a> {
    /// The catalog of `directory`, which need not exist.
    ///
    /// # Errors
    ///
    /// When the process has no current directory to make the path absolute.
    pub fn of(directory: &Path, live: &'a LiveFiles) -> Result<Self> {
        let absolute =
            std::path::absolute(directory).map_err(|error| Error::io("resolve the directory", directory, &error))?;
        // `a/b/.` and `a//b` are `a/b`; `..` stays, since a symbolic link may be before it.
        let directory = absolute.components().collect();
        Ok(Self { directory, live })
    }

    /// The files that must not be touched.
    pub fn live(&self) -> &LiveFiles {
        self.live
    }

    /// Where it lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The backups, newest first.
    ///
    /// # Errors
    ///
    /// A manifest that cannot be read or is none.
    pub fn backups(&self) -> Result<Vec<Entry>> {
        let mut entries = match self.read()? {
            Manifest::Catalog(entries) => entries,
            Manifest::Missing | Manifest::Foreign => recover::all(&self.directory, self.live),
        };
        entries.retain(|entry| !entry.is_going());
        Ok(ordered(entries))
    }

    /// Whether there is nothing that a writer could read, complete or sweep.
    pub fn is_untouched(&self) -> bool {
        let manifest = fs::symlink_metadata(self.directory.join(MANIFEST)).is_err();
        manifest && recover::all(&self.directory, self.live).is_empty()
    }

    /// Takes the writers' lock and completes what a crashed writer left.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY`, `SQLITE_INTERRUPT`, or a manifest that cannot be read or is none.
    pub fn open(&self, watch: &mut Watch<'_>) -> Result<Writer<'_>> {
        let lock_path = self.directory.join(format!("{MANIFEST}.lock"));
        let lock = DirectoryLock::take(&lock_path, self.live, PATIENCE, watch)?;
        files::sweep(&self.directory, self.live);
        let manifest = self.read()?;
        let foreign = matches!(manifest, Manifest::Foreign);
        let (entries, changed) = match manifest {
            Manifest::Catalog(mut entries) => {
                let unlisted = recover::unlisted(&self.directory, self.live, &entries, watch)?;
                let changed = !unlisted.is_empty();
                entries.extend(unlisted);
                (entries, changed)
            }
            Manifest::Missing | Manifest::Foreign => {
                let entries = recover::all(&self.directory, self.live);
                let changed = foreign || !entries.is_empty();
                (entries, changed)
            }
        };
        if foreign {
            recover::set_aside(&self.directory)?;
        }
        let mut writer = Writer { catalog: self, entries, _lock: lock };
        if writer.entries.iter().any(Entry::is_going) {
            writer.complete_deletions()?;
        } else if changed {
            writer.save()?;
        }
        Ok(writer)
    }

    fn read(&self) -> Result<Manifest> {
        let path = self.directory.join(MANIFEST);
        let Some(file) = files::open_own(&path, self.live)? else {
            return Ok(Manifest::Missing);
        };
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text).map_err(|error| Error::io("read", &path, &error))?;
        let Ok(entries) = serde_json::from_slice::<Vec<Entry>>(&text) else {
            return Ok(Manifest::Foreign);
        };
        for entry in &entries {
            check_name(&entry.backup_path, &path)?;
        }
        Ok(Manifest::Catalog(entries))
    }
}

/// What lies at the manifest's name.
enum Manifest {
    Missing,
    /// A file, but no catalog.
    Foreign,
    Catalog(Vec<Entry>),
}

/// An artifact lies in the directory itself: anything else could name any file of the machine.
fn check_name(name: &str, manifest: &Path) -> Result<()> {
    let mut parts = Path::new(name).components();
    if matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !name.contains('\0') {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "'{}' names '{name}', which is not a file of its own directory; queuekeeper did not write that; nothing was \
         changed; move the manifest away or correct it",
        manifest.display()
    )))
}

/// Orders entries that stand as in a catalog, or are ordered already.
fn ordered(mut entries: Vec<Entry>) -> Vec<Entry> {
    // Within one millisecond the one that stands later in the file is newer.
    entries.reverse();
    newest_first(&mut entries);
    entries
}

/// Orders entries by time, the newest first; those of one time keep their order.
pub fn newest_first(entries: &mut [Entry]) {
    entries.sort_by(|a, b| b.created_at.cmp(&a.created_at));
}

/// The catalog while its lock is held.
pub struct Writer<'a> {
    catalog: &'a Catalog<'a>,
    entries: Vec<Entry>,
    _lock: DirectoryLock,
}

impl Writer<'_> {
    /// The backups, newest first.
    pub fn backups(&self) -> Vec<Entry> {
        ordered(self.entries.clone())
    }

    /// Prepares the catalog with `entry` in it, in place of any that has the same artifact. Everything that can
    /// fail for want of space fails here, before the artifact is put in place. A first catalog gets `permissions`.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn stage(&self, entry: &Entry, permissions: Option<fs::Permissions>) -> Result<StagedCatalog> {
        let mut entries = self.entries.clone();
        entries.retain(|other| other.backup_path != entry.backup_path);
        let mut sealed = entry.clone();
        sealed.seal();
        entries.push(sealed.clone());
        let staged = self.write(&entries, permissions)?;
        Ok(StagedCatalog { staged, entry: sealed })
    }

    /// Puts a prepared catalog in place; the entry as it stands there, and what the disk said if it may not be durable.
    ///
    /// # Errors
    ///
    /// What the file system says; the catalog is as it was then.
    pub fn commit(&self, staged: StagedCatalog) -> Result<(Entry, Option<Error>)> {
        match staged.staged.place(&self.manifest(), true)? {
            Placed::Fragile(error) => Ok((staged.entry, Some(error))),
            Placed::Durable | Placed::Taken => Ok((staged.entry, None)),
        }
    }

    /// Deletes the backups with these ids, artifacts first marked, then removed. The number that is gone.
    ///
    /// # Errors
    ///
    /// What the file system says; what could not be deleted stays marked and is tried again by the next writer.
    pub fn delete(&mut self, ids: &[String]) -> Result<usize> {
        let mut marked = 0;
        for entry in &mut self.entries {
            // On the word of an entry that somebody changed, nothing is deleted.
            if ids.contains(&entry.id) && entry.is_intact() {
                entry.mark_deleting();
                marked += 1;
            }
        }
        if marked == 0 {
            return Ok(0);
        }
        self.save()?;
        match self.complete_deletions()? {
            None => Ok(marked),
            Some(error) => {
                Err(error.advice("the other backups to delete are gone, this one is tried again next time"))
            }
        }
    }

    /// Removes the artifacts of marked entries, then those entries. The first artifact that resisted is returned; its
    /// entry stays marked.
    fn complete_deletions(&mut self) -> Result<Option<Error>> {
        let mut resisted = None;
        let mut kept = Vec::new();
        for entry in self.entries.drain(..) {
            if !(entry.is_going() && entry.is_intact()) {
                kept.push(entry);
                continue;
            }
            if let Err(error) = remove_artifact(&entry.place(&self.catalog.directory), self.catalog.live) {
                resisted.get_or_insert(error);
                kept.push(entry);
            }
        }
        self.entries = kept;
        files::sync_directory(&self.catalog.directory)?;
        self.save()?;
        Ok(resisted)
    }

    /// Takes the entry of an artifact that is to be replaced out of the catalog, so that at no time the catalog describes
    /// what is not there.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn forget(&mut self, backup_path: &str) -> Result<()> {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.backup_path != backup_path);
        if self.entries.len() == before { Ok(()) } else { self.save() }
    }

    /// Changes the entry with this id, if it is still there.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn update(&mut self, id: &str, change: impl FnOnce(&mut Entry)) -> Result<()> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) else {
            return Ok(());
        };
        change(entry);
        entry.seal();
        self.save()
    }

    fn save(&self) -> Result<()> {
        match self.write(&self.entries, None)?.place(&self.manifest(), true)? {
            Placed::Fragile(error) => Err(error),
            Placed::Durable | Placed::Taken => Ok(()),
        }
    }

    fn manifest(&self) -> PathBuf {
        self.catalog.directory.join(MANIFEST)
    }

    fn write(&self, entries: &[Entry], first: Option<fs::Permissions>) -> Result<Staged> {
        let staged = Staged::new(&self.catalog.directory)?;
        let path = self.manifest();
        let text = serde_json::to_vec_pretty(entries)
            .map_err(|error| Error::internal(format!("the catalog cannot be written as JSON ({error})")))?;
        let mut file = staged.handle()?;
        file.write_all(&text)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|error| Error::io("write", &path, &error))?;
        let old = fs::symlink_metadata(&path).map(|found| found.permissions()).ok();
        if let Some(permissions) = old.or(first) {
            staged.permit(permissions)?;
        }
        staged.sync()?;
        Ok(staged)
    }
}

/// Removes an artifact, then its hash file; a hash file alone is swept by the next writer.
fn remove_artifact(path: &Path, live: &LiveFiles) -> Result<()> {
    live.refuse(path)?;
    for path in [path, &hashfile::path_of(path)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("delete the backup", path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A catalog that is on disk under a temporary name.
pub struct StagedCatalog {
    staged: Staged,
    entry: Entry,
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;

    #[test]
    fn only_bare_names_are_taken_from_a_manifest() {
        let manifest = Path::new("/b/backup_manifest.json");
        assert!(check_name("queue_backup_20260101_000000.db", manifest).is_ok());
        for name in ["../x.db", "/etc/passwd", "a/b.db", "..", ".", "", "a/../b", "a\0b"] {
            let error = check_name(name, manifest).unwrap_err();
            assert!(error.message().contains("nothing was"), "{name}: {error}");
        }
    }

    #[test]
    fn newest_first_and_the_later_of_two_at_one_time() {
        let entries = vec![
            entry("old", "2026-01-01T00:00:00.000Z"),
            entry("first", "2026-01-02T00:00:00.000Z"),
            entry("second", "2026-01-02T00:00:00.000Z"),
        ];
        let entries = ordered(entries);
        let names: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(names, ["second", "first", "old"]);
    }
}
