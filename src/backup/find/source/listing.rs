//! Lists a catalog's sources, for errors.

use std::collections::HashMap;
use std::path::Path;

use crate::backup::catalog::entry::Entry;
use crate::backup::find::source::{Made, Source};
use crate::error::Error;

/// Sources listed in an error.
const MOST_LISTED: usize = 8;

/// A backup's source, as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// A queue's name.
    Named(&'a str),
    /// A database's path.
    At(&'a str),
}

impl<'a> Key<'a> {
    pub fn of(backup: impl Into<Made<'a>>) -> Self {
        let made = backup.into();
        made.name.map_or(Self::At(made.path), Self::Named)
    }

    pub fn text(self) -> &'a str {
        match self {
            Self::Named(text) | Self::At(text) => text,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Named(name) => format!("the queue '{}'", name.escape_debug()),
            Self::At("") => "a database in memory".into(),
            Self::At(path) => format!("'{}'", path.escape_debug()),
        }
    }
}

/// The source, if all backups are of one.
pub fn only(entries: &[Entry]) -> Option<Key<'_>> {
    let first = Key::of(entries.first()?);
    entries.iter().all(|entry| Key::of(entry) == first).then_some(first)
}

/// The error for a caller who has no backup, but others do. `entries` are newest first.
pub fn no_own_backup(source: &Source, directory: &Path, entries: &[Entry]) -> Error {
    let there = listed(entries);
    if !source.is_known() {
        return Error::usage(format!(
            "'{}' holds backups of several databases, and this one has neither a file nor a queue_name that says whose are meant: \
             {there}; pass the path or the id of a backup",
            directory.display()
        ));
    }
    let whose = Key::of(Made { name: source.name(), path: source.path() }).words();
    Error::usage(format!(
        "'{}' holds no backups of {whose}, only of others: {there}. If one of these was this database before it moved, say so \
         with queue_set('former_paths', '[\"…\"]'), or give it that name with queue_set('queue_name', '…'); else pass the path or the id \
         of a backup",
        directory.display()
    ))
}

/// Describes the sources.
fn listed(entries: &[Entry]) -> String {
    let mut order: Vec<Key<'_>> = Vec::new();
    let mut found: HashMap<Key<'_>, (usize, &str)> = HashMap::new();
    for entry in entries {
        let key = Key::of(entry);
        found.entry(key).or_insert_with(|| {
            order.push(key);
            (0, &entry.created_at)
        });
        if let Some((count, _)) = found.get_mut(&key) {
            *count += 1;
        }
    }
    let mut words: Vec<String> = order
        .iter()
        .take(MOST_LISTED)
        .map(|key| {
            let (count, newest) = found.get(key).copied().unwrap_or_default();
            let backups =
                if count == 1 { "1 backup, made".into() } else { format!("{count} backups, the newest made") };
            format!("{} ({backups} {})", key.words(), newest.escape_debug())
        })
        .collect();
    if order.len() > MOST_LISTED {
        words.push(format!("{} more", order.len() - MOST_LISTED));
    }
    words.join(", ")
}
