//! Phases: what a running call is doing, readable from another thread.
//!
//! # Promise
//!
//! - A call is in one phase at a time, and in none before its first and after its end. A phase's name is an
//!   interface: none is renamed, new ones may come.
//! - Each phase counts anew (see [`Watch`](crate::progress::Watch)).
//!
//! # How
//!
//! Only the thread of the call enters phases; others read one atomic byte. Whatever the call opens beside its
//! caller shares that byte, so the safety backup of a restore shows its phases, too.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The snapshot is read, and the artifact written.
    Copying,
    /// The same for the safety backup of a restore.
    Saving,
    Compressing,
    /// The written file is made durable, and hashed where that could not be done before.
    Syncing,
    /// A file is hashed.
    Reading,
    /// A chain is expanded to a database.
    Rebuilding,
    /// A database's pages are compared with the snapshot's.
    Comparing,
    /// SQLite checks the content.
    Checking,
    /// The target gets the new content.
    Writing,
    /// VACUUM.
    Compacting,
    Analyzing,
}

impl Phase {
    const ALL: [Self; 11] = [
        Self::Copying,
        Self::Saving,
        Self::Compressing,
        Self::Syncing,
        Self::Reading,
        Self::Rebuilding,
        Self::Comparing,
        Self::Checking,
        Self::Writing,
        Self::Compacting,
        Self::Analyzing,
    ];

    pub const fn word(self) -> &'static CStr {
        match self {
            Self::Copying => c"copying",
            Self::Saving => c"saving",
            Self::Compressing => c"compressing",
            Self::Syncing => c"syncing",
            Self::Reading => c"reading",
            Self::Rebuilding => c"rebuilding",
            Self::Comparing => c"comparing",
            Self::Checking => c"checking",
            Self::Writing => c"writing",
            Self::Compacting => c"compacting",
            Self::Analyzing => c"analyzing",
        }
    }
}

/// The phase of a call.
#[derive(Debug, Clone)]
pub struct CurrentPhase(Arc<AtomicU8>);

impl CurrentPhase {
    const NONE: u8 = u8::MAX;

    pub fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    pub fn leave(&self) {
        self.0.store(Self::NONE, Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<Phase> {
        Phase::ALL.get(usize::from(self.0.load(Ordering::Relaxed))).copied()
    }
}

impl Default for CurrentPhase {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Self::NONE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_entered_is_read_through_every_clone() {
        let phase = CurrentPhase::default();
        let elsewhere = phase.clone();
        assert_eq!(elsewhere.get(), None);
        for each in Phase::ALL {
            phase.enter(each);
            assert_eq!(elsewhere.get(), Some(each));
        }
        phase.leave();
        assert_eq!(elsewhere.get(), None);
    }
}
