//! Progress reports and interrupts of long operations.
//!
//! # Promise
//!
//! A caller's `sqlite3_interrupt()` (Ctrl-C in the shell) ends any operation that takes a [`Watch`] within a
//! fraction of a second, with `SQLITE_INTERRUPT` and the usual cleanup. The watch also reports progress to a
//! listener, which may answer "stop".
//!
//! Progress is counted within a [`Phase`], in pages of the database. Each phase counts from 0; within it the
//! count never falls, and the total never changes. What cannot be counted has the total 0.
//!
//! # How
//!
//! `sqlite3_is_interrupted()` came with 3.41, after the oldest host, so SQLite is tested: while the caller's
//! statement is running and interrupted, any other statement on the connection returns `SQLITE_INTERRUPT`.
//! This costs a few microseconds, so it happens at most every [`EVERY`]. So does calling the listener, even
//! without new progress: for callers that cannot interrupt it is the only way to stop.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::host;
use crate::memory;
use crate::phase::Phase;

/// Between two attempts at a lock.
pub const RETRY: Duration = Duration::from_millis(10);

/// The shortest time between two checks.
const EVERY: Duration = Duration::from_millis(20);

/// Takes pages done and pages in total; returns whether to go on.
pub type Listener<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// The connection whose statement called us, which may be interrupted.
pub trait Interruptible {
    /// Whether `conn` is the caller's connection and not made by us.
    fn is_hosts(&self, conn: &Connection) -> bool;

    /// Fails with `SQLITE_INTERRUPT` if the caller's statement was interrupted.
    fn check_interrupt(&self) -> Result<()>;

    /// Shows other threads what the call is doing.
    fn enter(&self, phase: Phase);
}

pub struct Watch<'a> {
    caller: &'a dyn Interruptible,
    listener: Option<Listener<'a>>,
    asked: Instant,
    /// Of the phase, in bytes.
    reached: u64,
    /// In bytes.
    total: u64,
    page_size: u32,
}

impl<'a> Watch<'a> {
    pub fn new(caller: &'a dyn Interruptible, listener: Option<Listener<'a>>) -> Self {
        Self { caller, listener, asked: Instant::now(), reached: 0, total: 0, page_size: 1 }
    }

    /// Begins a phase of `bytes`, to be counted in pages, and tells the listener. Fails with
    /// `SQLITE_INTERRUPT` if the caller or the listener stops; so does all below.
    pub fn begin(&mut self, phase: Phase, bytes: u64, page_size: u32) -> Result<()> {
        self.caller.enter(phase);
        (self.reached, self.total, self.page_size) = (0, bytes, page_size.max(1));
        self.ask()
    }

    /// Begins a phase that cannot be counted.
    pub fn begin_uncounted(&mut self, phase: Phase) -> Result<()> {
        self.begin(phase, 0, 1)
    }

    /// Reports that so many more bytes of the phase are done.
    pub fn advance(&mut self, bytes: u64) -> Result<()> {
        self.reach(self.reached.saturating_add(bytes))
    }

    /// Reports that so many bytes of the phase are done.
    pub fn reach(&mut self, bytes: u64) -> Result<()> {
        let before = self.reached;
        self.reached = bytes.min(self.total).max(before);
        if before < self.total && self.reached == self.total { self.ask() } else { self.check() }
    }

    /// Reports that the phase is done.
    pub fn finish(&mut self) -> Result<()> {
        self.reach(self.total)
    }

    /// Fails with `SQLITE_INTERRUPT` if the caller or the listener stops.
    pub fn check(&mut self) -> Result<()> {
        memory::check()?;
        if self.asked.elapsed() < EVERY { Ok(()) } else { self.ask() }
    }

    fn ask(&mut self) -> Result<()> {
        self.asked = Instant::now();
        let pages = |bytes: u64| bytes.div_ceil(self.page_size.into());
        let (done, total) = (pages(self.reached), pages(self.total));
        if let Some(listener) = self.listener.as_mut()
            && !listener(done, total)
        {
            return Err(Error::interrupted());
        }
        self.caller.check_interrupt()
    }

    /// Runs `body` on `conn` and stops it on an interrupt. On the host's own connection no handler is set, as
    /// it would replace the host's; there the interrupt itself stops `body`.
    pub fn run<T>(&mut self, conn: &Connection, body: impl FnOnce() -> T) -> Result<T> {
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

    /// The same for a `body` that needs a lock, for which it waits until `deadline`.
    pub fn run_with_lock<T>(&mut self, conn: &Connection, deadline: Instant, body: impl FnOnce() -> T) -> Result<T> {
        if self.caller.is_hosts(conn) {
            return self.run(conn, body);
        }
        let mut interrupted = None;
        // SQLite calls one of the two at a time, and never from within the other.
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

    /// Sleeps, then checks for an interrupt.
    pub fn pause(&mut self, moment: Duration) -> Result<()> {
        std::thread::sleep(moment);
        self.check()
    }
}
