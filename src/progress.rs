//! What every long work does now and then: tell how far it is, and ask whether it shall go on.
//!
//! # Promise
//!
//! A caller's `sqlite3_interrupt()` (Ctrl-C in the shell) ends any work that takes a [`Watch`] within a fraction of
//! a second, with `SQLITE_INTERRUPT`, and the work cleans up behind itself as for any other error. The same place
//! carries progress to whoever wants to show it, who may answer "stop".
//!
//! # How
//!
//! `sqlite3_is_interrupted()` is younger than the oldest host (3.41), so the question is put to SQLite itself:
//! while the caller's statement is running, any other statement on the same connection returns `SQLITE_INTERRUPT`.
//! That costs a few microseconds, so it is done at most every [`EVERY`], and so is asking the listener: also where the work
//! has nothing new to report, because a listener is the only way to stop for callers that cannot interrupt.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::host;
use crate::memory;

/// The time between two attempts at a lock.
pub const RETRY: Duration = Duration::from_millis(10);

/// The shortest time between two questions.
const EVERY: Duration = Duration::from_millis(20);

/// Hears of pages done and pages in all; answers whether to go on.
pub type Listener<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// The connection whose statement called, and which may be interrupted.
pub trait Interruptible {
    /// Whether `conn` is a connection of the host's: the caller's, unless we made that.
    fn is_hosts(&self, conn: &Connection) -> bool;

    /// Whether the caller's statement was interrupted.
    fn check_interrupt(&self) -> Result<()>;
}

/// Reports the progress of a long work, and asks whether to go on.
pub struct Watch<'a> {
    caller: &'a dyn Interruptible,
    listener: Option<Listener<'a>>,
    asked: Instant,
    reached: (u64, u64),
}

impl<'a> Watch<'a> {
    /// Watches for the caller's interrupt, and reports to `listener` if there is one.
    pub fn new(caller: &'a dyn Interruptible, listener: Option<Listener<'a>>) -> Self {
        Self { caller, listener, asked: Instant::now(), reached: (0, 0) }
    }

    /// Reports that `done` of `total` pages are done.
    ///
    /// # Errors
    ///
    /// `SQLITE_INTERRUPT` when the caller or the listener wants the work to end.
    pub fn progress(&mut self, done: u64, total: u64) -> Result<()> {
        self.reached = (done, total);
        if done >= total { self.ask() } else { self.check() }
    }

    /// Asks whether to go on.
    ///
    /// # Errors
    ///
    /// `SQLITE_INTERRUPT` when the caller or the listener wants the work to end.
    pub fn check(&mut self) -> Result<()> {
        memory::check()?;
        if self.asked.elapsed() < EVERY { Ok(()) } else { self.ask() }
    }

    fn ask(&mut self) -> Result<()> {
        self.asked = Instant::now();
        let (done, total) = self.reached;
        if let Some(listener) = self.listener.as_mut()
            && !listener(done, total)
        {
            return Err(Error::interrupted());
        }
        self.caller.check_interrupt()
    }

    /// Runs `body`, which works on `conn`, and ends it when the caller wants that. On the host's own connection no handler is set, as that
    /// would replace the host's: there `body` ends by the interrupt itself.
    pub fn over<T>(&mut self, conn: &Connection, body: impl FnOnce() -> T) -> Result<T> {
        if self.caller.is_hosts(conn) {
            let outcome = body();
            return self.check().map(|()| outcome);
        }
        let mut interrupted = None;
        let mut stop = || {
            interrupted = self.check().err();
            interrupted.is_some()
        };
        let outcome = host::interruptible(conn, &mut stop, body);
        interrupted.map_or(Ok(outcome), Err)
    }

    /// The same for a `body` that needs a lock: it waits for others until `deadline`.
    pub fn over_waiting<T>(&mut self, conn: &Connection, deadline: Instant, body: impl FnOnce() -> T) -> Result<T> {
        if self.caller.is_hosts(conn) {
            return self.over(conn, body);
        }
        let mut interrupted = None;
        // SQLite asks one of the two at a time, and never from within the other.
        let state = RefCell::new((&mut *self, &mut interrupted));
        let check = || {
            let mut state = state.borrow_mut();
            if state.1.is_none() {
                *state.1 = state.0.check().err();
            }
            state.1.is_none()
        };
        let mut stop = || !check();
        let mut again = |_attempts| {
            std::thread::sleep(RETRY);
            check() && Instant::now() < deadline
        };
        let outcome = host::interruptible(conn, &mut stop, || host::while_busy(conn, &mut again, body));
        interrupted.map_or(Ok(outcome), Err)
    }

    /// Waits a moment for something that others hold, listening for an interrupt.
    pub fn pause(&mut self, moment: Duration) -> Result<()> {
        std::thread::sleep(moment);
        self.check()
    }
}
