//! Pointers to backups outside the default directory, by which `latest` finds them.
//!
//! # Promise
//!
//! - A backup into another directory adds a pointer to the default directory, if that has a catalog. So
//!   `latest` there finds the newest backup instead of silently using an older one.
//! - A pointer is only a hint. Its backup must be in the other catalog with the same id, intact and of the
//!   same source, and its file must be complete. Otherwise the pointer is skipped, with a note. A pointer
//!   file that is damaged, or larger than any of ours, has no pointers. If a pointer cannot be written, the
//!   backup has a note.
//! - For each source the newest pointers are kept ([`MOST_OF_ONE`]), and at most [`MOST`] in all.
//!
//! # How
//!
//! Pointers have their own file: version 0.1.0 refuses a whole manifest with an entry outside its directory.
//! The file is replaced like the manifest, under the same lock. A pointer's sequence ranks its backup among
//! those of the default directory's catalog.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Found;
use super::directory;
use super::source::{Key, Made, Source};
use crate::backup::artifact::kind::BEFORE_RESTORE;
use crate::backup::catalog::bounded::{self, Listed};
use crate::backup::catalog::entry::{Entry, LARGEST_SEQUENCE};
use crate::backup::catalog::{Catalog, MANIFEST};
use crate::bounds;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles};
use crate::json;
use crate::progress::Watch;

/// The suffix to the manifest's name.
pub const SUFFIX: &str = ".elsewhere";
/// Pointers kept for each source.
const MOST_OF_ONE: usize = 8;
/// Pointers kept in all.
const MOST: usize = 256;

/// Points to a backup elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    pub id: String,
    /// As in the catalog object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_name: Option<String>,
    /// As in the catalog object.
    pub source_path: String,
    /// The artifact's absolute path.
    pub backup_path: String,
    /// As in the catalog object.
    pub created_at: String,
    /// The rank in the default directory's catalog.
    pub sequence: u64,
}

impl<'a> From<&'a Pointer> for Made<'a> {
    fn from(pointer: &'a Pointer) -> Self {
        Self { name: pointer.queue_name.as_deref(), path: &pointer.source_path }
    }
}

impl Pointer {
    /// Whether its backup was made after `entry`.
    pub fn is_newer_than(&self, entry: &Entry) -> bool {
        self.sequence > entry.made()
    }

    /// Finds its backup. The error says why there is none.
    pub fn follow<'a>(
        &self,
        source: Option<&Source>,
        live: &'a LiveFiles,
        watch: &mut Watch<'_>,
    ) -> Result<Found<'a>> {
        let path = Path::new(&self.backup_path);
        live.refuse(path)?;
        let catalog = Catalog::of(files::parent_of(path), live)?;
        let listing = catalog.listing(watch)?;
        let listed = listing.backups.iter().find(|&entry| {
            entry.id == self.id
                && entry.place(catalog.directory()) == path
                && source.is_none_or(|own| own.owns(entry))
        });
        let Some(entry) = listed.filter(|entry| entry.is_intact()).cloned() else {
            return Err(Error::usage("the catalog there does not list it (any more)"));
        };
        match catalog.metadata_of(path)? {
            Some(found) if found.is_file() && found.length() == entry.size_bytes => {
                Ok(Found::named(catalog, listing.known(), entry))
            }
            Some(_) => Err(Error::usage("the file is not as long as it was")),
            None => Err(Error::usage("the file is missing")),
        }
    }
}

/// A directory's pointers, newest first.
pub fn pointers(catalog: &Catalog<'_>) -> Vec<Pointer> {
    let path = files::with_suffix(&catalog.directory().join(MANIFEST), SUFFIX);
    let Ok(Some(file)) = catalog.open_file(&path) else { return Vec::new() };
    let mut text = Vec::new();
    match file.take(bounds::POINTERS_BYTES + 1).read_to_end(&mut text) {
        Ok(_) if text.len() as u64 <= bounds::POINTERS_BYTES => parse(&text),
        _ => Vec::new(),
    }
}

/// Parses a pointer file.
pub(crate) fn parse(text: &[u8]) -> Vec<Pointer> {
    let listed = bounded::each(text, bounds::POINTERS, |text| serde_json::from_str::<Pointer>(text).ok());
    let Ok(Listed::All(mut found)) = listed else { return Vec::new() };
    found.retain(|pointer| {
        let path = Path::new(&pointer.backup_path);
        path.is_absolute() && !pointer.backup_path.contains('\0') && pointer.sequence < LARGEST_SEQUENCE
    });
    // Of equal sequences the last in the file is the newest.
    found.reverse();
    found.sort_by_key(|pointer| Reverse(pointer.sequence));
    found.truncate(MOST);
    found
}

/// Adds a pointer to a backup, if it is elsewhere; returns a note if that fails. `entry` is as in results,
/// `place` the artifact's path.
pub fn add_pointer(
    caller: &Caller,
    entry: &Entry,
    place: &Path,
    live: &LiveFiles,
    watch: &mut Watch<'_>,
) -> Option<String> {
    let why = leave_pointer(caller, entry, place, live, watch).err()?;
    Some(format!("'latest' will not find this backup without {{\"dir\": …}}: no pointer to it could be left ({why})"))
}

fn leave_pointer(
    caller: &Caller,
    entry: &Entry,
    place: &Path,
    live: &LiveFiles,
    watch: &mut Watch<'_>,
) -> Result<()> {
    if caller.file().is_none() || entry.name.as_deref() == Some(BEFORE_RESTORE) {
        return Ok(());
    }
    let directory = directory::default_directory(caller, watch)?;
    let there = files::parent_of(place);
    let catalog = Catalog::of(&directory, live)?;
    let has_catalog = catalog.metadata_of(Path::new(MANIFEST))?.is_some();
    if !has_catalog || files::same_file(&directory, there) {
        return Ok(());
    }
    // Resolved: a link on the path may change later.
    let place = if cfg!(windows) {
        place.to_path_buf()
    } else {
        std::fs::canonicalize(place).unwrap_or_else(|_| place.into())
    };
    let Some(backup_path) = place.to_str().map(str::to_owned) else {
        return Err(Error::usage(format!("'{}' is not UTF-8", place.display())));
    };
    let writer = catalog.open(watch)?;
    let entries = writer.backups();
    let mut known = pointers(&catalog);
    Source::of(caller, watch)?.resolved_in(made(&entries, &known))?;
    known.retain(|pointer| pointer.backup_path != backup_path);
    // Ranks it as if it were added to this catalog.
    let mut placed = entry.clone();
    placed.rank_after(&entries);
    let sequence = after(placed.made(), &known);
    known.insert(
        0,
        Pointer {
            sequence,
            id: entry.id.clone(),
            queue_name: entry.queue_name.clone(),
            source_path: entry.source_path.clone(),
            backup_path,
            created_at: entry.created_at.clone(),
        },
    );
    let mut kept = newest_of_each(known);
    kept.reverse();
    let text = json::pretty(&kept)?;
    writer.write_companion(SUFFIX, &text)
}

/// The sequence, or the first one after all pointers.
pub fn after(sequence: u64, pointers: &[Pointer]) -> u64 {
    pointers.iter().map(|pointer| pointer.sequence + 1).fold(sequence, u64::max).min(LARGEST_SEQUENCE - 1)
}

/// The sources of entries and pointers, each newest first.
pub fn made<'a>(entries: &'a [Entry], pointers: &'a [Pointer]) -> impl Iterator<Item = Made<'a>> + Clone {
    entries.iter().map(Made::from).chain(pointers.iter().map(Made::from))
}

/// Limits the pointers for each source; `pointers` are newest first.
fn newest_of_each(pointers: Vec<Pointer>) -> Vec<Pointer> {
    let mut seen: HashMap<(bool, String), usize> = HashMap::new();
    let mut kept: Vec<Pointer> = pointers
        .into_iter()
        .filter(|pointer| {
            let key = Key::of(pointer);
            let count = seen.entry((matches!(key, Key::Named(_)), key.text().to_owned())).or_default();
            *count += 1;
            *count <= MOST_OF_ONE
        })
        .collect();
    kept.truncate(MOST);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(number: usize, name: Option<&str>) -> Pointer {
        Pointer {
            id: number.to_string(),
            queue_name: name.map(str::to_owned),
            source_path: "/q.db".into(),
            backup_path: format!("/elsewhere/{number}.db"),
            created_at: "2026-01-01T00:00:00.000Z".into(),
            sequence: number as u64,
        }
    }

    fn pointer_with(number: usize, sequence: u64) -> Pointer {
        Pointer { sequence, ..pointer(number, None) }
    }

    #[test]
    fn one_source_pushes_no_pointer_of_another_out() {
        let mut pointers: Vec<Pointer> = (0..20).rev().map(|number| pointer(number, Some("busy"))).collect();
        pointers.push(pointer(0, None));
        let kept = newest_of_each(pointers);
        assert_eq!(kept.len(), MOST_OF_ONE + 1);
        assert_eq!((kept[0].id.as_str(), kept[MOST_OF_ONE].queue_name.as_deref()), ("19", None));
        let many = (0..1000).map(|number| pointer(1, Some(&number.to_string()))).collect();
        assert_eq!(newest_of_each(many).len(), MOST);
    }

    #[test]
    fn whatever_is_no_list_of_pointers_is_none() {
        let written = serde_json::to_vec(&[pointer(1, None), pointer(2, Some("b"))]).unwrap();
        assert_eq!(parse(&written).iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["2", "1"]);
        for length in 0..written.len() {
            assert!(parse(&written[..length]).is_empty());
        }
        let lost = [br#"{"a":1}"#.as_slice(), b"[1]", b"[{}]", b"\xff\xfe", b"null"];
        assert!(lost.into_iter().all(|text| parse(text).is_empty()));
        let relative = Pointer { backup_path: "b.db".into(), ..pointer(1, None) };
        let last = |id| pointer_with(id, LARGEST_SEQUENCE - 1);
        let both = [last(1), last(2)];
        assert_eq!(after(0, &both), LARGEST_SEQUENCE - 1);
        assert_eq!(parse(&serde_json::to_vec(&both).unwrap())[0].id, "2");
        let endless = Pointer { sequence: u64::MAX, ..pointer(1, None) };
        assert!(parse(&serde_json::to_vec(&[relative, endless]).unwrap()).is_empty());
    }
}
