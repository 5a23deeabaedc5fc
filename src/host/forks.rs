//! Forks: what a child of this process inherits of the library.
//!
//! # Promise
//!
//! - No call in a child waits for a lock of the library's own that a thread of the parent held at the fork and that nobody gives back.
//! - No call in a child opens a file that a call of the parent's was using at the fork, see [`sole`].
//!
//! # How
//!
//! A fork waits until none of these locks is held, holds them, and gives them back in both processes. Each is held for a
//! look-up, none while a call runs. SQLite's and the allocator's locks are theirs to see to; the allocator does.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::MutexGuard;

use super::threads::lock;
use super::{BOUND, Bound, copies, discovery, sole, unnamed};

/// The locks, held. In the order in which they are taken elsewhere.
pub struct Held {
    askers: MutexGuard<'static, discovery::Askers>,
    calls: MutexGuard<'static, sole::Calls>,
    _answers: MutexGuard<'static, Option<HashMap<PathBuf, bool>>>,
    _bound: MutexGuard<'static, Option<Bound>>,
    _unnamed: MutexGuard<'static, unnamed::State>,
}

impl Held {
    /// Waits for the locks of this part of the library.
    pub fn take() -> Self {
        Self {
            askers: lock(&discovery::ASKERS),
            calls: sole::calls(),
            _answers: lock(&copies::ANSWERS),
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
