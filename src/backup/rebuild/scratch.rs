//! Chooses where a backup is rebuilt for checking.
//!
//! # Promise
//!
//! In the backup's own directory, else, if that is not writable or full, in SQLite's directory for temporary
//! files. If both lack space, the error is `SQLITE_FULL` and names both: it says nothing about the backup. A
//! compressed file that no catalog lists must leave a margin on the disk.

use std::path::Path;

use rusqlite::ffi;

use crate::backup::catalog::Catalog;
use crate::backup::catalog::entry::Entry;
use crate::error::{Error, Result};
use crate::files::{self, Directory};

/// A directory with space for the `needed` bytes of the backup, preferably the catalog's; else SQLite's
/// temporary directory, where it sweeps the leftovers of crashed runs. Fails with `SQLITE_FULL`.
pub fn directory(catalog: &Catalog<'_>, needed: u64, entry: &Entry) -> Result<Directory> {
    let own = catalog.directory();
    let temporary = files::sqlite_directory(None);
    let mut refused = Vec::new();
    for place in [Some(own.to_path_buf()), temporary].into_iter().flatten() {
        match refusal(&place, needed, space_function(entry)) {
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

/// Whether the size does not depend on the file's word alone: it is in a catalog, or the file is not
/// compressed.
pub fn is_vouched_for(entry: &Entry) -> bool {
    !entry.id.is_empty() || !entry.compressed
}

/// The function that returns the space available for the backup.
fn space_function(entry: &Entry) -> fn(&Path) -> Result<u64> {
    if is_vouched_for(entry) { files::free_space } else { files::spare_space }
}

/// The largest size for a file of unknown length in any directory where the backup at `path` may be rebuilt,
/// including `targets`.
pub fn largest_expandable(path: &Path, targets: &[&Path]) -> Result<u64> {
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
        assert!(largest_expandable(&directory.path().join("x.db"), &[]).unwrap() > 0);
    }
}
