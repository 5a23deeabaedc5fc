//! What a forked child inherits of the library.
//!
//! # Promise
//!
//! - No call in a child waits for a lock of the library that a thread of the parent held at the fork.
//! - No call in a child opens a file that a call of the parent was using at the fork, see [`one_sqlite`].
//!
//! # How
//!
//! A fork takes all these locks first, and releases them in both processes. They are held for look-ups only,
//! never during a call. SQLite's and the system allocator's locks are not ours; the allocator handles forks
//! itself.

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use super::binding::{BOUND, Bound, discovery, one_sqlite, other_copies};
use super::threads::lock;
use super::unnamed_files;

/// Takes and keeps the lock of a module above this one.
type Take = fn() -> Box<dyn Any>;

/// By name.
static ADDED: Mutex<Vec<(&str, Take)>> = Mutex::new(Vec::new());

/// Adds the lock `name` to those taken before a fork. Must not be called while that lock is held.
pub fn add(name: &'static str, take: Take) {
    let mut added = lock(&ADDED);
    if added.iter().all(|(known, _)| *known != name) {
        added.push((name, take));
    }
}

/// The locks, held, in the order in which they are taken elsewhere.
pub struct Held {
    _others: Vec<Box<dyn Any>>,
    _added: MutexGuard<'static, Vec<(&'static str, Take)>>,
    askers: MutexGuard<'static, discovery::Askers>,
    calls: MutexGuard<'static, one_sqlite::Calls>,
    _answers: MutexGuard<'static, Option<HashMap<PathBuf, bool>>>,
    _bound: MutexGuard<'static, Option<Bound>>,
    _unnamed: MutexGuard<'static, unnamed_files::State>,
}

impl Held {
    /// Waits for the locks of this part of the library.
    pub fn take() -> Self {
        let added = lock(&ADDED);
        Self {
            _others: added.iter().map(|(_, take)| take()).collect(),
            _added: added,
            askers: lock(&discovery::ASKERS),
            calls: one_sqlite::calls(),
            _answers: lock(&other_copies::ANSWERS),
            _bound: lock(&BOUND),
            _unnamed: unnamed_files::state(),
        }
    }

    /// Clears, in a child, what belongs to the parent's threads.
    pub fn inherit(&mut self) {
        self.askers.clear();
        self.calls.inherit();
    }
}
