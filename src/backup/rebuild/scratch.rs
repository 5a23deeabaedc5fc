//! Where a backup is rebuilt that is only to be looked at.
//!
//! # Promise
//!
//! In the backup's own directory, or, if that cannot be written to or has no space, in SQLite's directory for temporary files. If neither has
//! the space, the error is `SQLITE_FULL` and names both: a lack of space says nothing of the backup. A compressed file that no catalog lists
//! leaves a margin of the disk.

use std::path::Path;

use rusqlite::ffi;

use crate::backup::catalog::Catalog;
use crate::backup::catalog::entry::Entry;
use crate::error::{Error, Result};
use crate::files::{self, Directory};

/// The directory in which the `needed` bytes of the backup of `entry` can be written, preferably the catalog's. What crashed runs left there is swept.
///
/// # Errors
///
/// `SQLITE_FULL` if there is none.
pub fn directory(catalog: &Catalog<'_>, needed: u64, entry: &Entry) -> Result<Directory> {
    let own = catalog.directory();
    let temporary = files::sqlite_directory(None);
    let mut refused = Vec::new();
    for place in [Some(own.to_path_buf()), temporary].into_iter().flatten() {
        match refusal(&place, needed, room_for(entry)) {
            None if place == own => return Ok(catalog.opened()?.clone()),
            None => {
                let directory = Directory::open(&place)?;
                files::sweep(&directory, catalog.live());
                return Ok(directory);
            }
            Some(refusal) => refused.push(format!("'{}' {refusal}", place.display())),
        }
    }
    Err(Error::new(
        ffi::SQLITE_FULL,
        format!(
            "to rebuild the backup takes {needed} bytes, but {}; free some space, or set SQLITE_TMPDIR to a directory that has it before \
             the program starts",
            refused.join(", and ")
        ),
    ))
}

/// Whether anything but the file itself says how large the backup of an entry is: a catalog, or that it is not compressed.
pub fn is_vouched_for(entry: &Entry) -> bool {
    !entry.id.is_empty() || !entry.compressed
}

/// How much space there is for the backup of an entry.
fn room_for(entry: &Entry) -> fn(&Path) -> Result<u64> {
    if is_vouched_for(entry) { files::free_space } else { files::spare_space }
}

/// The most bytes that a file of unknown length may take in any of the places where the backup at `path` may be rebuilt, these among them.
pub fn most_room(path: &Path, targets: &[&Path]) -> Result<u64> {
    let temporary = files::sqlite_directory(None);
    let own = files::spare_space(files::parent_of(path));
    let others =
        targets.iter().copied().chain(temporary.as_deref()).filter_map(|place| files::spare_space(place).ok());
    match others.max() {
        Some(most) => Ok(most.max(own.unwrap_or_default())),
        None => own,
    }
}

fn refusal(place: &Path, needed: u64, room: impl Fn(&Path) -> Result<u64>) -> Option<String> {
    if !files::can_be_written(place) {
        return Some("cannot be written to".into());
    }
    match room(place) {
        Ok(free) if free >= needed => None,
        Ok(free) => Some(format!("has {free} left for it")),
        Err(error) => Some(format!("cannot be asked for its free space ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_not_there_or_too_small_is_refused_in_words() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(refusal(directory.path(), 1, files::free_space), None);
        assert!(refusal(directory.path(), u64::MAX, files::free_space).unwrap().contains(" left"));
        assert_eq!(refusal(&directory.path().join("none"), 1, files::free_space).unwrap(), "cannot be written to");
        let free = files::free_space(directory.path()).unwrap();
        assert!(files::spare_space(directory.path()).unwrap() < free);
        assert!(most_room(&directory.path().join("x.db"), &[]).unwrap() > 0);
    }
}
