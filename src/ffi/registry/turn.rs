//! A thread's turn on a handle.
//!
//! A statement's callbacks run under its connection's mutex. So a call holds that mutex along with the
//! handle, and releases the handle while it waits for the mutex: else it and a callback that waits for the
//! handle would deadlock.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

use super::{Database, Handle, Running};
use crate::error::{Error, Result};
use crate::host::threads::{ConnectionMutex, lock};

/// Between two attempts to get a connection that other threads are using.
const PAUSE: Duration = Duration::from_millis(1);

thread_local! {
    /// How many calls this thread is in. A nested one comes from a callback.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn is_within() -> bool {
    DEPTH.get() > 0
}

/// Holds the turn until dropped.
pub(super) struct Turn<'a> {
    running: &'a Mutex<Option<Running>>,
    pub(super) database: MutexGuard<'a, Option<Database>>,
    _entered: Option<ConnectionMutex>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        *lock(self.running) = None;
    }
}

fn busy() -> Error {
    Error::busy("another thread is using this handle, and a progress callback does not wait for it")
}

impl Handle {
    /// Waits until no other thread uses the handle or its wrapped connection. If this thread is already
    /// using another handle, for which the others may be waiting, fails at once instead.
    pub(super) fn turn(&self) -> Result<Turn<'_>> {
        loop {
            let database = self.lock_database()?;
            let entered = match database.as_ref() {
                Some(Database::Connection(caller)) => ConnectionMutex::attempt(caller.connection()).map(Some),
                _ => Some(None),
            };
            if let Some(entered) = entered {
                *lock(&self.running) = Some(Running { thread: thread::current().id(), end: None });
                DEPTH.set(DEPTH.get() + 1);
                return Ok(Turn { running: &self.running, database, _entered: entered });
            }
            drop(database);
            if is_within() {
                return Err(busy());
            }
            thread::sleep(PAUSE);
        }
    }

    fn lock_database(&self) -> Result<MutexGuard<'_, Option<Database>>> {
        if DEPTH.get() == 0 {
            return Ok(lock(&self.database));
        }
        match self.database.try_lock() {
            Ok(database) => Ok(database),
            Err(TryLockError::Poisoned(database)) => Ok(database.into_inner()),
            Err(TryLockError::WouldBlock) => Err(busy()),
        }
    }
}
