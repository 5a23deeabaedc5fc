//! Forks: what a child of this process inherits of the library.
//!
//! # Promise
//!
//! - No call in a child waits for a lock of the library's own that a thread of the parent held at the fork and that nobody gives back.
//! - No call in a child opens a file that a call of the parent's was using at the fork, see [`one_sqlite`].
//!
//! # How
//!
//! A fork waits until none of these locks is held, holds them, and gives them back in both processes. Each is held for a
//! look-up, none while a call runs. SQLite's and the allocator's locks are theirs to see to; the allocator does.

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use super::binding::{BOUND, Bound, discovery, one_sqlite, other_copies};
use super::threads::lock;
use super::unnamed;

/// Takes a lock of a module above this one, and keeps it.
type Take = fn() -> Box<dyn Any>;

/// The functions for locks of modules above this one, by a name each.
static ADDED: Mutex<Vec<(&str, Take)>> = Mutex::new(Vec::new());

/// Makes forks wait for the lock `name`, too. Not to be called while that lock is held.
pub fn add(name: &'static str, take: Take) {
    let mut added = lock(&ADDED);
    if added.iter().all(|(known, _)| *known != name) {
        added.push((name, take));
    }
}

/// The locks, held. In the order in which they are taken elsewhere.
pub struct Held {
    _others: Vec<Box<dyn Any>>,
    _added: MutexGuard<'static, Vec<(&'static str, Take)>>,
    askers: MutexGuard<'static, discovery::Askers>,
    calls: MutexGuard<'static, one_sqlite::Calls>,
    _answers: MutexGuard<'static, Option<HashMap<PathBuf, bool>>>,
    _bound: MutexGuard<'static, Option<Bound>>,
    _unnamed: MutexGuard<'static, unnamed::State>,
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
            _unnamed: unnamed::state(),
        }
    }

    /// This process is the child.
    pub fn inherit(&mut self) {
        self.askers.clear();
        self.calls.inherit();
    }
}
