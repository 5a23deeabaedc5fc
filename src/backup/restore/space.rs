//! Checks the disk space for a restore.
//!
//! # Promise
//!
//! Before anything is written, these are checked: the target's directory for the rebuilt copy and a live
//! target's WAL or journal; the safety backup's directory; SQLite's directory for temporary files if the page
//! size must be converted. Needs on one file system are summed. A compressed file that no catalog lists must
//! leave a margin on the disk where it is rebuilt.

use std::path::{Path, PathBuf};

use super::live::Target;
use crate::backup::artifact::kind::Geometry;
use crate::backup::catalog::entry::Entry;
use crate::backup::rebuild::{self, scratch};
use crate::error::Result;
use crate::files;

const ADVICE: &str = "free some space there";
const SPARING: &str = "restore of a compressed file that no catalog lists, with a margin of the disk,";

/// In bytes.
pub fn size_of(geometry: Geometry) -> u64 {
    u64::from(geometry.page_size) * u64::from(geometry.page_count)
}

/// Checks the space in `directory` for a new target, or for one whose broken predecessor is moved aside.
/// Fails with `SQLITE_FULL`.
pub fn for_new(directory: &Path, entry: &Entry) -> Result<()> {
    let (what, margin) = margin_for(directory, entry)?;
    let bytes = size_of(rebuild::geometry_of(entry)?).saturating_add(margin);
    files::require_space(directory, bytes, what, ADVICE)
}

/// The operation's name, and the margin that it leaves.
fn margin_for(directory: &Path, entry: &Entry) -> Result<(&'static str, u64)> {
    Ok(if scratch::is_vouched_for(entry) { ("restore", 0) } else { (SPARING, files::margin_of(directory)?) })
}

/// Checks the space for a restore into a live target in `directory`, with its safety backup in `safety`.
/// Fails with `SQLITE_FULL`.
pub fn for_live(directory: &Path, entry: &Entry, target: &Target<'_>, safety: &Path) -> Result<()> {
    let geometry = rebuild::geometry_of(entry)?;
    let (new, old) = (size_of(geometry), target.size());
    // A WAL holds all new pages; a journal holds the old ones, and the file grows.
    let log = if target.is_wal() { new } else { old.saturating_add(new.saturating_sub(old)) };
    let (what, margin) = margin_for(directory, entry)?;
    let mut needs = vec![(directory.to_path_buf(), what, new.saturating_add(log).saturating_add(margin))];
    needs.push((existing(safety)?, "backup of what the target holds", old));
    if target.page_size() != geometry.page_size {
        needs.extend(files::sqlite_directory(None).map(|place| (place, "conversion of the page size", new)));
    }
    for (place, what, bytes) in sums(needs, files::may_share_space) {
        files::require_space(&place, bytes, &what, ADVICE)?;
    }
    Ok(())
}

/// The nearest existing ancestor: the first backup creates the default directory.
fn existing(directory: &Path) -> Result<PathBuf> {
    let mut place = directory;
    while !files::exists(place)? {
        let parent = files::parent_of(place);
        if parent == place {
            break;
        }
        place = parent;
    }
    Ok(place.to_path_buf())
}

/// Sums the needs on each file system.
fn sums(needs: Vec<(PathBuf, &str, u64)>, share: impl Fn(&Path, &Path) -> bool) -> Vec<(PathBuf, String, u64)> {
    let mut sums: Vec<(PathBuf, String, u64)> = Vec::new();
    for (place, what, bytes) in needs {
        match sums.iter_mut().find(|(other, ..)| share(other, &place)) {
            Some((_, whats, sum)) => {
                *whats = format!("{whats} with the {what}");
                *sum = sum.saturating_add(bytes);
            }
            None => sums.push((place, what.to_owned(), bytes)),
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_system_gets_its_own_sum() {
        let needs = || {
            vec![(PathBuf::from("/a"), "one", 1), (PathBuf::from("/b"), "two", 2), (PathBuf::from("/c"), "three", 4)]
        };
        let found = |share: fn(&Path, &Path) -> bool| -> Vec<u64> {
            sums(needs(), share).into_iter().map(|(_, _, bytes)| bytes).collect()
        };
        assert_eq!(found(|_, _| true), [7]);
        assert_eq!(found(|_, _| false), [1, 2, 4]);
        assert_eq!(found(|one, other| one != Path::new("/b") && other != Path::new("/b")), [5, 2]);
        let all = sums(needs(), |_, _| true);
        assert_eq!(all[0].1, "one with the two with the three");
    }

    #[test]
    fn a_directory_that_is_still_to_be_made_lies_where_the_one_above_it_does() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(existing(&directory.path().join("a/b/c")).unwrap(), directory.path());
        assert_eq!(existing(directory.path()).unwrap(), directory.path());
    }
}
