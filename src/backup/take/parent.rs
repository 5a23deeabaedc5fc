//! Finds the parent of an incremental backup, or the reason why there is none.
//!
//! # Promise
//!
//! The parent is the newest full or incremental backup of the same source and series, if a restore through it
//! would find all it needs: the artifacts of its chain, and its hash file as the catalog describes it. A
//! chain has at most `full_every` backups. Without such a parent the backup becomes a full one, and its
//! result has the reason.

use crate::backup::artifact::delta::Parent;
use crate::backup::artifact::kind::Kind;
use crate::backup::catalog::Catalog;
use crate::backup::catalog::chain::chain;
use crate::backup::catalog::entry::Entry;
use crate::backup::catalog::hash_file;
use crate::backup::take::Job;
use crate::error::Result;

/// Looks among `entries`.
pub fn find(
    job: &Job<'_>,
    entries: &[Entry],
    page_size: u32,
    full_every: u64,
) -> Result<std::result::Result<Parent, String>> {
    let catalog = job.catalog;
    let kinds = [Kind::Full.word(), Kind::Incremental.word()];
    let newest = entries.iter().find(|entry| {
        job.source.owns(*entry)
            && entry.name == job.options.name
            && kinds.contains(&entry.backup_type.as_str())
            && entry.is_intact()
    });
    let Some(newest) = newest else {
        return Ok(Err("there is no earlier backup of this series to build on".into()));
    };
    let chain = match chain(entries, newest) {
        Ok(chain) => chain,
        Err(reason) => return Ok(Err(reason)),
    };
    if chain.len() as u64 >= full_every {
        return Ok(Err(format!("the chain has {} backups, as many as full_every allows", chain.len())));
    }
    for entry in &chain {
        let length =
            catalog.metadata_of(&entry.place(catalog.directory())).ok().flatten().map(|found| found.length());
        if entry.is_damaged() || length != Some(entry.size_bytes) {
            return Ok(Err(format!("the earlier backup '{}' is missing or damaged", entry.backup_path)));
        }
    }
    if newest.page_size != Some(page_size) {
        return Ok(Err("the page size has changed since the last backup".into()));
    }
    read_hashes(catalog, newest)
}

/// Whether the entry's parent was deleted since.
pub fn is_gone(entry: &Entry, entries: &[Entry]) -> bool {
    let is_parent = |other: &Entry| Some(&other.id) == entry.parent_id.as_ref() && !other.is_deleting();
    entry.parent_id.is_some() && !entries.iter().any(is_parent)
}

fn read_hashes(catalog: &Catalog<'_>, newest: &Entry) -> Result<std::result::Result<Parent, String>> {
    let path = hash_file::path_of(&newest.place(catalog.directory()));
    let unusable =
        || Ok(Err(format!("the hash file of the last backup, '{}', is missing or damaged", path.display())));
    let Some(file) = catalog.open_file(&path)? else { return unusable() };
    let Some(found) = hash_file::read(file, &path)? else { return unusable() };
    if newest.hash_file_checksum.as_ref() != Some(&found.checksum) {
        return unusable();
    }
    let Some(digest) = newest.content_digest.clone() else { return unusable() };
    Ok(Ok(Parent { id: newest.id.clone(), digest, hashes: found.hashes }))
}
