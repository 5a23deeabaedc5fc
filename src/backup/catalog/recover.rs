//! Restores a catalog from the hash files after a crash or a loss.
//!
//! # Promise
//!
//! A missing, truncated or foreign manifest loses no backups: each hash file holds its artifact's catalog
//! object. Readers rebuild the list in memory; the next writer stores it, after renaming a foreign manifest.
//! This also completes a backup that crashed after its artifact was placed. A hash file whose backup crashed
//! before that looks like one whose artifact is still being copied: see [`orphans`]. Verification results are
//! lost, which costs only a new verification.

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
struct UnlistedHashFile {
    path: PathBuf,
    entry: Entry,
}

impl UnlistedHashFile {
    /// The artifact's path and length, if it exists.
    fn artifact(&self, directory: &Directory) -> Result<Option<(PathBuf, u64)>> {
        let path = self.entry.place(directory.path());
        Ok(directory.metadata_of(&path)?.filter(Found::is_file).map(|found| (path, found.length())))
    }
}

/// The backups of a directory without a usable manifest, oldest first: those whose artifact has its full
/// length.
pub fn all(directory: &Directory, live: &LiveFiles) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = strays(directory, live, &[])?
        .into_iter()
        .filter(|stray| matches!(stray.artifact(directory), Ok(Some((_, size))) if size == stray.entry.size_bytes))
        .map(|stray| stray.entry)
        .collect();
    entries.sort_by_key(Entry::made);
    Ok(entries)
}

/// Backups that are not among `entries`: placed before a crash but not listed yet, or copied into the
/// directory.
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

/// Sets aside the hash files that have waited too long; `entries` are all of the catalog's. Returns notes.
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
    // The next backup retries a failed move.
    overdue.filter_map(|stray| orphans::set_aside(directory, &stray.path).ok()).collect()
}

/// Settles the entries whose artifact was being replaced when a writer crashed: the new artifact gets its
/// hash file's entry, the old one keeps its own. `None` if there were none, else notes of what was set aside.
pub fn settle(
    directory: &Directory,
    live: &LiveFiles,
    entries: &mut [Entry],
    watch: &mut Watch<'_>,
) -> Result<Option<Vec<String>>> {
    let stale = settled_in_memory(directory, live, entries, watch)?;
    if stale.is_empty() {
        return Ok(None);
    }
    // Its artifact was never placed. If it cannot be moved, it still belongs to no entry.
    let set_aside = |hash_path: &PathBuf| orphans::set_aside(directory, hash_path).ok();
    Ok(Some(stale.iter().flatten().filter_map(set_aside).collect()))
}

/// Like [`settle`], for readers: changes no file. For each such entry, returns the hash file without an
/// artifact, if any.
pub fn settled_in_memory(
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
                    // The old artifact's hash file is gone; the artifact itself is fine.
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

/// Opens a hash file, but not a stranger's: its content would enter the catalog as ours.
fn open_trusted(directory: &Directory, path: &Path, live: &LiveFiles) -> Result<Option<File>> {
    let Some(file) = files::open_own(directory, path, live)? else { return Ok(None) };
    Ok(if files::stranger(&file, directory, path)?.is_none() { Some(file) } else { None })
}

fn strays(directory: &Directory, live: &LiveFiles, entries: &[Entry]) -> Result<Vec<UnlistedHashFile>> {
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
        // No hash file, or another artifact's: it belongs to someone else.
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
            memory::push(&mut strays, UnlistedHashFile { path, entry })?;
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

/// Moves a foreign manifest aside; replaces nothing.
pub fn set_aside(directory: &Directory, manifest: &str) -> Result<()> {
    let manifest = directory.path().join(manifest);
    SetAside::of(directory, &manifest, &[], &clock::file_stamp(clock::now()))?.sync()
}
