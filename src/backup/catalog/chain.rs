//! The chain of an incremental backup.

use std::collections::{HashMap, HashSet};

use super::entry::Entry;
use crate::backup::artifact::kind::Kind;

/// The backups that `last` builds on, starting with `last` and ending with the full one. Linear, since a
/// chain may be as long as the catalog. The error is a sentence about what is missing.
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

/// The ids of the backups that are marked as damaged, or build on such. Linear.
pub fn on_damaged(entries: &[Entry]) -> HashSet<&str> {
    let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
    for entry in entries {
        if let Some(parent) = entry.parent_id.as_deref() {
            children.entry(parent).or_default().push(&entry.id);
        }
    }
    let mut found = HashSet::new();
    let mut open: Vec<&str> =
        entries.iter().filter(|entry| entry.is_damaged()).map(|entry| entry.id.as_str()).collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(children.get(id).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;

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
    fn what_builds_on_a_damaged_one_is_found_in_one_pass() {
        let mut entries = vec![entry("0", "2026-01-01T00:00:00.000Z"), incremental(1, 0), incremental(2, 1)];
        entries.extend([incremental(3, 4), incremental(4, 3), incremental(5, 0)]);
        assert!(on_damaged(&entries).is_empty());
        for number in [1, 3] {
            entries[number].record(None, "2026-01-02T00:00:00.000Z");
        }
        let mut found: Vec<&str> = on_damaged(&entries).into_iter().collect();
        found.sort_unstable();
        assert_eq!(found, ["1", "2", "3", "4"]);
    }

    #[test]
    fn a_circle_has_an_end() {
        let entries = [incremental(1, 2), incremental(2, 3), incremental(3, 2)];
        for last in &entries {
            assert!(chain(&entries, last).unwrap_err().contains("in a circle"));
        }
    }
}
