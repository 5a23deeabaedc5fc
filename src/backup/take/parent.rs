//! Which backup an incremental builds on, or why there is none.
//!
//! # Promise
//!
//! The parent is the newest full or incremental backup of the same source in the same series, if everything that a
//! restore through it would need is there: the artifacts of its whole chain, and its own hash file as the catalog describes
//! it. A chain has at most `full_every` backups. When there is no such parent, the reason is a sentence for the result, and
//! the backup becomes a full one.

use std::collections::{HashMap, HashSet};

use super::options::Kind;
use crate::backup::artifact::delta::Parent;
use crate::backup::catalog::Catalog;
use crate::backup::catalog::entry::Entry;
use crate::backup::catalog::hash_file;
use crate::backup::find::source::Source;
use crate::error::Result;

/// The parent for a new incremental, or the reason why it has to be a full backup.
///
/// # Errors
///
/// What the disk says to reading the hash file.
pub fn find(
    catalog: &Catalog<'_>,
    source: &Source,
    name: Option<&str>,
    page_size: u32,
    full_every: u64,
) -> Result<std::result::Result<Parent, String>> {
    let entries = catalog.backups()?;
    let kinds = [Kind::Full.word(), Kind::Incremental.word()];
    let newest = entries.iter().find(|entry| {
        source.owns(*entry)
            && entry.name.as_deref() == name
            && kinds.contains(&entry.backup_type.as_str())
            && entry.is_intact()
    });
    let Some(newest) = newest else {
        return Ok(Err("there is no earlier backup of this series to build on".into()));
    };
    let chain = match chain(&entries, newest) {
        Ok(chain) => chain,
        Err(reason) => return Ok(Err(reason)),
    };
    if chain.len() as u64 >= full_every {
        return Ok(Err(format!("the chain has {} backups, as many as full_every allows", chain.len())));
    }
    for entry in &chain {
        let length = catalog.look(&entry.place(catalog.directory())).ok().flatten().map(|found| found.length());
        if entry.is_damaged() || length != Some(entry.size_bytes) {
            return Ok(Err(format!("the earlier backup '{}' is missing or damaged", entry.backup_path)));
        }
    }
    if newest.page_size != Some(page_size) {
        return Ok(Err("the page size has changed since the last backup".into()));
    }
    read_hashes(catalog, newest)
}

/// The backups that `last` builds on, itself first and the full one last. A chain may be as long as the catalog, so none of it is
/// looked through twice.
///
/// # Errors
///
/// A sentence about what is missing.
pub fn chain<'a>(entries: &'a [Entry], last: &'a Entry) -> std::result::Result<Vec<&'a Entry>, String> {
    let mut chain = vec![last];
    let mut child = last;
    if child.backup_type != Kind::Incremental.word() {
        return Ok(chain);
    }
    let mut by_id: HashMap<&str, &Entry> = HashMap::with_capacity(entries.len());
    for entry in entries {
        by_id.entry(&entry.id).or_insert(entry);
    }
    let mut seen = HashSet::from([last.id.as_str()]);
    while child.backup_type == Kind::Incremental.word() {
        let parent = child.parent_id.as_deref().and_then(|id| by_id.get(id).copied());
        match parent {
            Some(parent) if seen.insert(&parent.id) => {
                chain.push(parent);
                child = parent;
            }
            Some(_) => return Err(format!("the backups that '{}' builds on go in a circle", last.backup_path)),
            None => return Err(format!("the backup that '{}' builds on is not in the catalog", child.backup_path)),
        }
    }
    Ok(chain)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::catalog::entry::tests::entry;

    fn incremental(id: usize, parent: usize) -> Entry {
        let backup_type = Kind::Incremental.word().into();
        Entry {
            backup_type,
            parent_id: Some(parent.to_string()),
            ..entry(&id.to_string(), "2026-01-01T00:00:00.000Z")
        }
    }

    #[test]
    fn a_chain_is_followed_once_however_long() {
        let most = crate::bounds::CATALOG_ENTRIES / 5;
        let mut entries: Vec<Entry> = (1..most).map(|id| incremental(id, id - 1)).collect();
        let last = entries.last().cloned().unwrap();
        assert!(chain(&entries, &last).unwrap_err().contains("not in the catalog"));
        entries.push(entry("0", "2026-01-01T00:00:00.000Z"));
        let found = chain(&entries, &last).unwrap();
        assert_eq!((found.len(), found[most - 1].id.as_str()), (most, "0"));
    }

    #[test]
    fn a_circle_has_an_end() {
        let entries = [incremental(1, 2), incremental(2, 3), incremental(3, 2)];
        for last in &entries {
            assert!(chain(&entries, last).unwrap_err().contains("in a circle"));
        }
    }
}
