//! Notices that another SQLite in this process has a file open that we use.
//!
//! # Promise
//!
//! Two SQLites in one process that use one file cancel each other's POSIX locks, without an error, until the
//! database is corrupt. The binding keeps queuekeeper on one SQLite. This module checks files opened through
//! the C ABI, and targets of a restore that are not the caller's own: if the process already has the file
//! open before we open it, and there is a second copy of SQLite in the process, that copy may have opened it,
//! and the call is refused. An embedder who knows better can say so with `qk_bind`.
//!
//! A child that is forked during a call inherits the call's connection, and SQLite's belief that this process
//! holds its locks, which are the parent's. Connections that the child opens to that file would go without
//! locks, so they are refused.
//!
//! The search for another SQLite works only on Linux, from `/proc/self`; the check after a fork, on every
//! Unix. The database is only examined by `stat`. Not noticed is another copy
//! that opens the file during a call. Windows needs none of this: locks belong to handles there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use rusqlite::ffi;

use super::other_copies;
use crate::error::{Error, Result};
use crate::host::threads::lock;

/// Device and inode.
type FileId = (u64, u64);

/// The calls that use files.
pub(in crate::host) struct Calls {
    /// How many are running on each file.
    running: BTreeMap<FileId, usize>,
    /// The files of calls that the parent was running when it forked this process.
    inherited: BTreeSet<FileId>,
}

static CALLS: Mutex<Calls> = Mutex::new(Calls { running: BTreeMap::new(), inherited: BTreeSet::new() });

pub(in crate::host) fn calls() -> MutexGuard<'static, Calls> {
    lock(&CALLS)
}

impl Calls {
    /// In a child: the running calls are the parent's.
    pub(in crate::host) fn inherit(&mut self) {
        self.inherited.extend(self.running.keys());
        self.running.clear();
    }
}

/// A call's use of a file, until dropped.
pub struct Call(Option<FileId>);

/// Begins a call before the file is opened. Fails if another SQLite, or a call of the parent, may have it
/// open.
pub fn call(path: &Path) -> Result<Call> {
    let Some(id) = id_of(path) else { return Ok(Call(None)) };
    let mut calls = calls();
    if calls.inherited.contains(&id) {
        return Err(inherited(path));
    }
    let running = calls.running.get(&id).copied().unwrap_or_default();
    // While another call of ours has it open, others' descriptors cannot be told apart.
    if running == 0 && !super::process::is_told() && is_open(id) {
        refuse_copy(path, super::anchor())?;
    }
    calls.running.insert(id, running + 1);
    Ok(Call(Some(id)))
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(id) = self.0 else { return };
        let mut calls = calls();
        match calls.running.get_mut(&id) {
            Some(running) if *running > 1 => *running -= 1,
            _ => drop(calls.running.remove(&id)),
        }
    }
}

/// Fails if another SQLite in this process may have the file open. For a database that, by what SQLite says,
/// is not open on the caller's connection.
pub fn refuse_other(path: &Path) -> Result<()> {
    if id_of(path).is_some_and(|id| calls().inherited.contains(&id)) {
        return Err(inherited(path));
    }
    if super::process::is_told() { Ok(()) } else { refuse_shared(path, super::anchor()) }
}

/// Fails if this process has the file open although no SQLite is found in the process.
pub fn refuse_open(path: &Path) -> Result<()> {
    let open = id_of(path).is_some_and(is_open);
    if open { Err(refusal(path, "through no SQLite that queuekeeper can find")) } else { Ok(()) }
}

/// Fails if the file is open in this process, and there is a copy of SQLite besides the one with a function
/// at address `ours`.
pub fn refuse_shared(path: &Path, ours: usize) -> Result<()> {
    let open = id_of(path).is_some_and(is_open);
    if open { refuse_copy(path, ours) } else { Ok(()) }
}

fn refuse_copy(path: &Path, ours: usize) -> Result<()> {
    match other_copies::another(ours) {
        Some(copy) => {
            Err(refusal(path, &format!("perhaps through the other copy of SQLite that '{}' is", copy.display())))
        }
        None => Ok(()),
    }
}

fn inherited(path: &Path) -> Error {
    Error::new(
        ffi::SQLITE_MISUSE,
        format!(
            "this process was forked while a call of its parent's was using '{}': SQLite believes here, too, in the locks of that call, \
             which the parent alone holds; fork before the call or after it, or exec a program that opens the file",
            path.display()
        ),
    )
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

/// Whether this process has a file open, if known.
#[cfg(target_os = "linux")]
fn is_open(id: FileId) -> bool {
    let Ok(list) = std::fs::read_dir("/proc/self/fd") else { return false };
    list.flatten().any(|entry| id_of(&entry.path()) == Some(id))
}

#[cfg(not(target_os = "linux"))]
fn is_open(_id: FileId) -> bool {
    false
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
    fn a_file_is_open_by_whatever_name() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("q.db"), directory.path().join("link.db"));
        drop(File::create(&path).unwrap());
        std::fs::hard_link(&path, &link).unwrap();
        let id = id_of(&path).unwrap();
        assert!(!is_open(id));
        let open = File::open(&link).unwrap();
        assert!(is_open(id));
        drop(open);
        assert!(!is_open(id));
    }

    #[test]
    fn calls_on_a_file_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("q.db");
        drop(File::create(&path).unwrap());
        let id = id_of(&path).unwrap();
        let (first, second) = (call(&path).unwrap(), call(&path).unwrap());
        assert_eq!(calls().running.get(&id), Some(&2));
        drop(first);
        assert_eq!(calls().running.get(&id), Some(&1));
        drop(second);
        assert_eq!(calls().running.get(&id), None);
        assert!(call(&directory.path().join("none.db")).is_ok());
    }
}
