//! Where a backup is rebuilt that is only to be looked at.
//!
//! # Promise
//!
//! In the backup's own directory, or, if that cannot be written to or has no space, in SQLite's directory for temporary files. If neither has
//! the space, the error is `SQLITE_FULL` and names both: a lack of space says nothing of the backup.

use std::path::{Path, PathBuf};

use rusqlite::ffi;

use crate::error::{Error, Result};
use crate::files::{self, LiveFiles};

/// The directory in which `needed` bytes can be written, preferably `own`. What crashed runs left there is swept.
///
/// # Errors
///
/// `SQLITE_FULL` if there is none.
pub fn directory(own: &Path, needed: u64, live: &LiveFiles) -> Result<PathBuf> {
    let temporary = files::sqlite_directory(None);
    let mut refused = Vec::new();
    for place in [Some(own.to_path_buf()), temporary].into_iter().flatten() {
        match refusal(&place, needed) {
            None => {
                if place != own {
                    files::sweep(&place, live);
                }
                return Ok(place);
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

/// The most bytes that could be written in any of the places where the backup at `path` may be rebuilt, these among them.
pub fn most_room(path: &Path, targets: &[&Path]) -> Result<u64> {
    let temporary = files::sqlite_directory(None);
    let own = files::free_space(files::parent_of(path));
    let others =
        targets.iter().copied().chain(temporary.as_deref()).filter_map(|place| files::free_space(place).ok());
    match others.max() {
        Some(most) => Ok(most.max(own.unwrap_or_default())),
        None => own,
    }
}

fn refusal(place: &Path, needed: u64) -> Option<String> {
    if !files::can_be_written(place) {
        return Some("cannot be written to".into());
    }
    match files::free_space(place) {
        Ok(free) if free >= needed => None,
        Ok(free) => Some(format!("has {free} left")),
        Err(error) => Some(format!("cannot be asked for its free space ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_not_there_or_too_small_is_refused_in_words() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(refusal(directory.path(), 1), None);
        assert!(refusal(directory.path(), u64::MAX).unwrap().contains(" left"));
        assert_eq!(refusal(&directory.path().join("none"), 1).unwrap(), "cannot be written to");
        assert!(most_room(&directory.path().join("x.db"), &[]).unwrap() > 0);
    }
}
