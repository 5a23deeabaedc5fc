//! Hash files without their artifact.
//!
//! # Promise
//!
//! - A set of backups copied into a directory arrives in any order, large artifacts last. So a hash file
//!   whose artifact is missing or different is kept for [`WAITS`] after the last change of either. Once the
//!   artifact is complete, the next writer lists it in the catalog.
//! - Later, the next backup renames it to `NAME.hashes.orphan-STAMP`, and says so in its `note`. It is never
//!   deleted, and the renaming never replaces anything.
//! - A new backup does not use a name for which a hash file waits. If the caller chose that name, the hash
//!   file is set aside at once.
//!
//! # How
//!
//! A change is the later of modification and status change (on Windows: creation): copying tools preserve the
//! former, but cannot set the latter.

use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};

use super::hash_file;
use crate::clock;
use crate::error::Result;
use crate::files::{self, Directory, LiveFiles, SetAside};

/// How long a hash file waits for its artifact.
const WAITS: TimeDelta = TimeDelta::hours(48);

/// Sets a hash file aside; returns the note.
pub fn set_aside(directory: &Directory, path: &Path) -> Result<String> {
    let aside = SetAside::orphan(directory, path, &clock::file_stamp(clock::now()))?;
    aside.sync()?;
    Ok(format!(
        "the hash file '{}' has no artifact that it fits, and was set aside as '{}'",
        files::text_of(path),
        files::text_of(aside.path())
    ))
}

/// Sets the hash file of the artifact at `path` aside, if there is one; returns the note.
pub fn clear(directory: &Directory, path: &Path, live: &LiveFiles) -> Result<Option<String>> {
    let path = hash_file::path_of(path);
    if directory.is_free(&path)? {
        return Ok(None);
    }
    live.refuse_in(directory, &path)?;
    set_aside(directory, &path).map(Some)
}

/// Whether a hash file has waited long enough: neither it nor the file at its artifact's path was changed
/// lately. A failed look-up counts as a change.
pub fn is_overdue(directory: &Directory, hash_file: &Path, artifact: &Path, now: DateTime<Utc>) -> bool {
    let Ok(Some(own)) = directory.metadata_of(hash_file) else { return false };
    let Ok(beside) = directory.metadata_of(artifact) else { return false };
    let changes = [Some(own), beside].into_iter().flatten().map(|found| found.last_change());
    changes.collect::<Option<Vec<_>>>().is_some_and(|changes| changes.iter().all(|&change| is_over(change, now)))
}

fn is_over(change: SystemTime, now: DateTime<Utc>) -> bool {
    now.signed_duration_since(DateTime::<Utc>::from(change)) > WAITS
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_copy_with_an_old_time_is_young() {
        let directory = tempfile::tempdir().unwrap();
        let (hashes, artifact) = (directory.path().join("a.db.hashes"), directory.path().join("a.db"));
        fs::write(&hashes, "hashes").unwrap();
        let old = SystemTime::now() - Duration::from_secs(90 * 86_400);
        File::options().write(true).open(&hashes).unwrap().set_modified(old).unwrap();
        let opened = Directory::open(directory.path()).unwrap();
        let is_overdue = |hashes: &Path, artifact: &Path, now| super::is_overdue(&opened, hashes, artifact, now);
        let later = |hours| Utc::now() + TimeDelta::hours(hours);
        assert!(!is_overdue(&hashes, &artifact, later(0)));
        assert!(!is_overdue(&hashes, &artifact, later(47)));
        assert!(is_overdue(&hashes, &artifact, later(49)));
        // An artifact still being copied.
        fs::write(&artifact, "half").unwrap();
        let ahead = SystemTime::now() + Duration::from_secs(10 * 3_600);
        File::options().write(true).open(&artifact).unwrap().set_modified(ahead).unwrap();
        assert!(!is_overdue(&hashes, &artifact, later(49)));
        assert!(is_overdue(&hashes, &artifact, later(59)));
        assert!(!is_overdue(&directory.path().join("other"), &artifact, later(59)));
        // A clock that is slow.
        assert!(!is_overdue(&hashes, &artifact, later(-1_000)));
    }

    #[test]
    fn it_is_set_aside_over_nothing_and_the_name_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let live = LiveFiles::among(Vec::new());
        let artifact = directory.path().join("a.db");
        assert_eq!(clear(&Directory::open(directory.path()).unwrap(), &artifact, &live).unwrap(), None);
        for content in ["first", "second"] {
            fs::write(directory.path().join("a.db.hashes"), content).unwrap();
            let note = clear(&Directory::open(directory.path()).unwrap(), &artifact, &live).unwrap().unwrap();
            let aside = note.rsplit('\'').nth(1).unwrap();
            assert!(aside.contains("a.db.hashes.orphan-"), "{note}");
            assert_eq!(fs::read_to_string(aside).unwrap(), content);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
