//! Whose turn it is.
//!
//! A statement's callbacks run under the mutex of its connection. So a call holds that mutex for as long as the handle, and waits for
//! it with empty hands: with the handle in them, it and a callback that has the mutex would wait for each other.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

use super::{Database, Handle, Running};
use crate::error::{Error, Result};
use crate::host::threads::{Entered, lock};

/// Between two attempts to have a connection that other threads are using.
const PAUSE: Duration = Duration::from_millis(1);

thread_local! {
    /// How many calls this thread is in: the second comes from the first one's callback.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether this thread is in a call.
pub(super) fn is_within() -> bool {
    DEPTH.get() > 0
}

/// A handle's turn, for as long as it lives.
pub(super) struct Turn<'a> {
    running: &'a Mutex<Option<Running>>,
    pub(super) database: MutexGuard<'a, Option<Database>>,
    _entered: Option<Entered>,
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
    /// Waits until nobody else uses the handle or the connection that it wraps, unless this thread uses another handle, for which
    /// they may be waiting.
    pub(super) fn turn(&self) -> Result<Turn<'_>> {
        loop {
            let database = self.lock_database()?;
            let entered = match database.as_ref() {
                Some(Database::Connection(caller)) => Entered::attempt(caller.connection()).map(Some),
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
