//! One SQLite for each file: noticing that another SQLite of this process has a file open that we use.
//!
//! # Promise
//!
//! Two SQLites in one process that use one file cancel each other's POSIX locks, without any error, until a database is
//! broken. The binding keeps queuekeeper on one SQLite; this keeps a file that is opened through the C ABI to that one:
//!
//! - before a file is opened, and before each call on it, descriptors of this process on that file which were not there after
//!   the last call belong to somebody else. If a second copy of SQLite is in the process, they may be its own, and the call is
//!   refused. The embedder, who knows better, can say so with `qk_bind`;
//! - then the connection is not closed either, but left open for good: closing is what drops the other one's locks.
//!
//! This is known on Linux alone, from `/proc/self`; nothing is opened for it, only `stat` is used on the database. What stays
//! unseen: another copy that opens the file in the middle of a call, or whose descriptor has the number of one that was
//! closed since the last call. Windows needs none of it: there, locks belong to handles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::copies;
use crate::error::{Error, Result};

/// Device and inode.
type FileId = (u64, u64);

/// What is known of a file that handles are open on.
#[derive(Default)]
struct Seen {
    handles: usize,
    calls: usize,
    descriptors: BTreeSet<u32>,
}

static FILES: Mutex<BTreeMap<FileId, Seen>> = Mutex::new(BTreeMap::new());

fn files() -> MutexGuard<'static, BTreeMap<FileId, Seen>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that a handle uses.
pub struct Sole {
    path: PathBuf,
    id: Option<FileId>,
}

/// The time of one call, at whose end the descriptors on the file are counted as known.
pub struct Call<'a>(&'a Sole);

impl Sole {
    /// Begins the use of a file, before it is opened.
    ///
    /// # Errors
    ///
    /// Another SQLite may have it open.
    pub fn claim(path: &Path) -> Result<Self> {
        let sole = Self { path: path.to_owned(), id: id_of(path) };
        if let Some(id) = sole.id {
            files().entry(id).or_default().handles += 1;
        }
        sole.call().map(drop)?;
        Ok(sole)
    }

    /// Begins a call on the file.
    ///
    /// # Errors
    ///
    /// Another SQLite may have opened it in the meantime.
    pub fn call(&self) -> Result<Call<'_>> {
        let Some(id) = self.id else { return Ok(Call(self)) };
        let mut files = files();
        let seen = files.entry(id).or_default();
        if seen.calls == 0 && !super::is_told() && !descriptors(id).is_subset(&seen.descriptors) {
            refuse_copy(&self.path, super::anchor())?;
        }
        seen.calls += 1;
        Ok(Call(self))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Some(id) = self.0.id else { return };
        if let Some(seen) = files().get_mut(&id) {
            seen.calls = seen.calls.saturating_sub(1);
            if seen.calls == 0 {
                seen.descriptors = descriptors(id);
            }
        }
    }
}

impl Drop for Sole {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut files = files();
        if let Some(seen) = files.get_mut(&id) {
            seen.handles = seen.handles.saturating_sub(1);
            if seen.handles == 0 {
                files.remove(&id);
            }
        }
    }
}

/// Refuses a file that is open in this process although no SQLite is to be found in it.
///
/// # Errors
///
/// See above.
pub fn refuse_open(path: &Path) -> Result<()> {
    let open = id_of(path).is_some_and(|id| !descriptors(id).is_empty());
    if open { Err(refusal(path, "through no SQLite that queuekeeper can find")) } else { Ok(()) }
}

/// Refuses a file that is open in this process, if there is a second copy of SQLite besides the one that has a function of
/// its own at the address `ours`.
///
/// # Errors
///
/// See above.
pub fn refuse_shared(path: &Path, ours: usize) -> Result<()> {
    let open = id_of(path).is_some_and(|id| !descriptors(id).is_empty());
    if open { refuse_copy(path, ours) } else { Ok(()) }
}

fn refuse_copy(path: &Path, ours: usize) -> Result<()> {
    match copies::another(ours) {
        Some(copy) => {
            Err(refusal(path, &format!("perhaps through the other copy of SQLite that '{}' is", copy.display())))
        }
        None => Ok(()),
    }
}

fn refusal(path: &Path, how: &str) -> Error {
    Error::usage(format!(
        "'{}' is open in this process already, {how}; two SQLites that share a file destroy each other's locks. Give \
         queuekeeper the right one: load it as an extension into the connection that has the file open, and call its SQL functions \
         there; or call qk_bind() with that SQLite's API table, before anything else; or leave this file to a process of \
         its own",
        path.display()
    ))
}

#[cfg(unix)]
fn id_of(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn id_of(_path: &Path) -> Option<FileId> {
    None
}

/// The descriptors of this process on a file; none where that cannot be known.
#[cfg(target_os = "linux")]
fn descriptors(id: FileId) -> BTreeSet<u32> {
    let Ok(list) = std::fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    let on_file = list.flatten().filter(|entry| id_of(&entry.path()) == Some(id));
    on_file.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The descriptors of this process on a file; none where that cannot be known.
#[cfg(not(target_os = "linux"))]
fn descriptors(_id: FileId) -> BTreeSet<u32> {
    BTreeSet::new()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_file_that_is_open_is_refused_to_a_sqlite_of_our_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("q.db");
        assert!(refuse_open(&path).is_ok(), "not there yet");
        let open = File::create(&path).unwrap();
        let error = refuse_open(&path).unwrap_err();
        assert!(error.message().contains("q.db' is open in this process already"), "{error}");
        drop(open);
        assert!(refuse_open(&path).is_ok());
    }

    #[test]
    fn descriptors_are_those_on_the_file_by_whatever_name() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("q.db"), directory.path().join("link.db"));
        let first = File::create(&path).unwrap();
        std::fs::hard_link(&path, &link).unwrap();
        let second = File::open(&link).unwrap();
        let id = id_of(&path).unwrap();
        assert_eq!(descriptors(id).len(), 2);
        drop((first, second));
        assert!(descriptors(id).is_empty());
    }

    #[test]
    fn a_file_is_forgotten_with_its_last_handle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("q.db");
        File::create(&path).unwrap();
        let id = id_of(&path).unwrap();
        let (first, second) = (Sole::claim(&path).unwrap(), Sole::claim(&path).unwrap());
        let call = first.call().unwrap();
        let opened = File::open(&path).unwrap();
        drop(call);
        assert_eq!(files()[&id].descriptors.len(), 1, "what was opened during a call is known after it");
        drop(first);
        assert_eq!(files()[&id].handles, 1);
        drop((second, opened));
        assert!(!files().contains_key(&id));
    }
}
