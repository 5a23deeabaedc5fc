//! What a crash or a loss left of a catalog, put together again from the hash files.
//!
//! # Promise
//!
//! A manifest that is missing, truncated or not ours never loses backups: each hash file carries its artifact's catalog object.
//! Readers rebuild the list in memory; the next writer puts it on disk, after setting a foreign manifest aside under a name of
//! its own. The same completes a backup that crashed after its artifact had its name. The hash file of one that crashed before may as well be one
//! whose artifact is on its way: see [`orphans`]. What was verified since is forgotten, which costs a new verification and no backup.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::entry::Entry;
use super::{hash_file, orphans};
use crate::backup::artifact;
use crate::bounds;
use crate::clock;
use crate::error::{Error, Result};
use crate::files::{self, Directory, Found, LiveFiles, SetAside};
use crate::memory;
use crate::progress::Watch;

/// A hash file whose artifact the catalog does not list.
struct Stray {
    path: PathBuf,
    entry: Entry,
}

impl Stray {
    /// The artifact beside it, with its length, if it is there.
    fn artifact(&self, directory: &Directory) -> Result<Option<(PathBuf, u64)>> {
        let path = self.entry.place(directory.path());
        Ok(directory.metadata_of(&path)?.filter(Found::is_file).map(|found| (path, found.length())))
    }
}

/// The backups of a directory without a usable manifest, oldest first: those whose artifact is there in its full length.
///
/// # Errors
///
/// More of them than a catalog may have.
pub fn all(directory: &Directory, live: &LiveFiles) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = strays(directory, live, &[])?
        .into_iter()
        .filter(|stray| matches!(stray.artifact(directory), Ok(Some((_, size))) if size == stray.entry.size_bytes))
        .map(|stray| stray.entry)
        .collect();
    entries.sort_by_key(Entry::made);
    Ok(entries)
}

/// The backups that crashed between getting their name and getting into the catalog, which has `entries`, and those that were copied
/// into the directory.
///
/// # Errors
///
/// `SQLITE_INTERRUPT`, or an artifact that cannot be read.
pub fn unlisted(
    directory: &Directory,
    live: &LiveFiles,
    entries: &[Entry],
    watch: &mut Watch<'_>,
) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for stray in strays(directory, live, entries)? {
        let complete = match stray.artifact(directory)? {
            Some((path, size)) if size == stray.entry.size_bytes => {
                is_artifact(&stray.entry, directory, &path, live, watch)?
            }
            _ => false,
        };
        if complete {
            found.push(stray.entry);
        }
    }
    Ok(found)
}

/// Sets aside the hash files that have waited for their artifact long enough; `entries` are all that the catalog has. Notes that say so.
pub fn set_orphans_aside(
    directory: &Directory,
    live: &LiveFiles,
    entries: &[Entry],
    now: DateTime<Utc>,
) -> Vec<String> {
    let overdue = strays(directory, live, entries)
        .unwrap_or_default()
        .into_iter()
        .filter(|stray| orphans::is_overdue(directory, &stray.path, &stray.entry.place(directory.path()), now));
    // One that cannot be moved is tried again by the next backup.
    overdue.filter_map(|stray| orphans::set_aside(directory, &stray.path).ok()).collect()
}

/// Settles the entries whose artifact was about to be replaced when a writer crashed: the new artifact has the entry of its hash
/// file, the old one keeps its own. `None` when there were none, else notes of what was set aside.
///
/// # Errors
///
/// `SQLITE_INTERRUPT`, or a file that cannot be read.
pub fn settle(
    directory: &Directory,
    live: &LiveFiles,
    entries: &mut [Entry],
    watch: &mut Watch<'_>,
) -> Result<Option<Vec<String>>> {
    let stale = look(directory, live, entries, watch)?;
    if stale.is_empty() {
        return Ok(None);
    }
    // Its artifact was never placed. Where it cannot be moved, it is no entry's hash file any more.
    let set_aside = |hash_path: &PathBuf| orphans::set_aside(directory, hash_path).ok();
    Ok(Some(stale.iter().flatten().filter_map(set_aside).collect()))
}

/// The same without touching a file, for those who only read: for each such entry there was, the hash file that has no artifact.
pub fn look(
    directory: &Directory,
    live: &LiveFiles,
    entries: &mut [Entry],
    watch: &mut Watch<'_>,
) -> Result<Vec<Option<PathBuf>>> {
    let mut stale = Vec::new();
    for entry in entries.iter_mut().filter(|entry| entry.is_replacing() && entry.is_intact()) {
        let path = entry.place(directory.path());
        let hash_path = hash_file::path_of(&path);
        let hashes = match open_trusted(directory, &hash_path, live)? {
            Some(file) => hash_file::read_entry(file, &hash_path)?,
            None => None,
        };
        let new = hashes.map(|hashes| {
            let mut new = hashes.entry;
            new.hash_file_checksum = Some(hashes.checksum);
            new.unmark();
            new.seal();
            new
        });
        match new.filter(|new| new.backup_path == entry.backup_path && new.id != entry.id) {
            Some(new) if is_artifact(&new, directory, &path, live, watch)? => {
                *entry = new;
                stale.push(None);
            }
            early => {
                if early.is_some() {
                    // Its own is gone, which is no fault of the artifact.
                    entry.hash_file_checksum = None;
                }
                entry.mark_replacing(false);
                stale.push(early.map(|_| hash_path));
            }
        }
    }
    Ok(stale)
}

fn is_artifact(
    entry: &Entry,
    directory: &Directory,
    path: &Path,
    live: &LiveFiles,
    watch: &mut Watch<'_>,
) -> Result<bool> {
    match files::open_own(directory, path, live)? {
        Some(mut file) => Ok(artifact::fingerprint(&mut file, path, watch)?.checksum == entry.checksum),
        None => Ok(false),
    }
}

/// A hash file; a stranger's is none: what it says would stand in the catalog as our own word.
fn open_trusted(directory: &Directory, path: &Path, live: &LiveFiles) -> Result<Option<File>> {
    let Some(file) = files::open_own(directory, path, live)? else { return Ok(None) };
    Ok(if files::stranger(&file, directory, path)?.is_none() { Some(file) } else { None })
}

fn strays(directory: &Directory, live: &LiveFiles, entries: &[Entry]) -> Result<Vec<Stray>> {
    let known: HashSet<&str> = entries.iter().map(|entry| entry.backup_path.as_str()).collect();
    let ids: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let (mut strays, mut bytes) = (Vec::new(), 0);
    for name in directory.readable_names()? {
        let Ok(name) = name.into_string() else { continue };
        let Some(artifact) = name.strip_suffix(hash_file::SUFFIX) else { continue };
        if known.contains(artifact) {
            continue;
        }
        let path = directory.path().join(&name);
        // What is no hash file, or one of another artifact, is somebody else's.
        let Ok(Some(file)) = open_trusted(directory, &path, live) else { continue };
        let Ok(Some(hashes)) = hash_file::read_entry(file, &path) else { continue };
        let mut entry = hashes.entry;
        if entry.backup_path == artifact && !ids.contains(entry.id.as_str()) {
            entry.hash_file_checksum = Some(hashes.checksum);
            entry.unmark();
            entry.seal();
            bytes += hashes.object_bytes;
            if strays.len() >= bounds::CATALOG_ENTRIES || bytes > bounds::CATALOG_BYTES {
                return Err(too_many(directory.path()));
            }
            memory::push(&mut strays, Stray { path, entry })?;
        }
    }
    memory::check()?;
    Ok(strays)
}

fn too_many(directory: &Path) -> Error {
    Error::corrupt(format!(
        "the .hashes files in '{}' that its catalog does not list are more than {} bytes or {} backups, more than a catalog may have; nothing \
         was changed; move those away that queuekeeper did not write",
        directory.display(),
        bounds::CATALOG_BYTES,
        bounds::CATALOG_ENTRIES
    ))
}

/// Moves a manifest that is none of ours out of the way, never over anything.
pub fn set_aside(directory: &Directory, manifest: &str) -> Result<()> {
    let manifest = directory.path().join(manifest);
    SetAside::of(directory, &manifest, &[], &clock::file_stamp(clock::now()))?.sync()
}
