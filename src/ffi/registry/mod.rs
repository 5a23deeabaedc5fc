//! The open handles, and the turns of the threads that use them.
//!
//! # Promise
//!
//! - A handle is looked up, never dereferenced: NULL, a closed handle and any other pointer are
//!   `SQLITE_MISUSE`. Values are never reused.
//! - Calls on one handle run one at a time; a second thread waits. A call from a progress callback of the
//!   same handle would deadlock, so it is `SQLITE_MISUSE`; so is every call in a child forked since. A
//!   callback's call on another handle that is in use could deadlock, so it is `SQLITE_BUSY`. An
//!   auto-extension that runs while a call opens its connection counts as a callback.
//! - A call on a wrapped connection has the connection to itself, as a SQL function does: other threads'
//!   statements wait. Code that runs inside a statement of the connection can use the handle.
//! - A call behaves like a function inside a statement of its connection, so `sqlite3_interrupt` ends it.
//!
//! # How
//!
//! A handle is an odd number in the shape of a pointer, so it cannot equal a pointer to a C object. Each copy
//! of the library counts from an address of its own, so copies do not accept each other's handles. Closing
//! removes the handle from the registry first, which admits no new call, and then waits for its turn.
//!
//! A file's handle has no connection between calls. In WAL mode an idle connection holds a lock on the file.
//! A forked child's SQLite believes that it holds this lock too, so connections opened there would go without
//! one. The connection's descriptor could also never be closed once another SQLite in the process has opened
//! the file.
//!
//! SQLite's busy handler does not notice an interrupt, so on our own connections we do the waiting.
//!
//! SQLite drops an interrupt when no statement is running. So each call keeps a statement half-read that
//! reads no table and holds no lock.

mod turn;

use std::collections::HashMap;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

use rusqlite::{InterruptHandle, ffi};

use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::host::threads::lock;
use crate::host::{one_sqlite, process};
use crate::phase::{CurrentPhase, Phase};

/// Two rows: after the first it is still running.
const CARRIER: &str = "SELECT 1 UNION ALL SELECT 2";

pub enum Database {
    /// Opened for each call.
    File(PathBuf),
    /// The program's own, or to a database in memory.
    Connection(Caller),
}

pub struct Handle {
    process: u32,
    running: Mutex<Option<Running>>,
    database: Mutex<Option<Database>>,
    message: Mutex<CString>,
}

/// The thread that has the turn, and how to interrupt its call.
struct Running {
    thread: ThreadId,
    end: Option<End>,
}

struct End {
    interrupt: InterruptHandle,
    /// Ends a wait for a lock.
    stop: Arc<AtomicBool>,
    phase: CurrentPhase,
}

pub struct Registry {
    last: usize,
    open: Option<HashMap<usize, Arc<Handle>>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { last: 0, open: None });

/// Locks the registry.
pub fn registry() -> MutexGuard<'static, Registry> {
    lock(&REGISTRY)
}

pub fn misuse(message: impl Into<String>) -> Error {
    Error::new(ffi::SQLITE_MISUSE, message)
}

/// Adds a handle; fails when all numbers are used up.
pub fn add(database: Database) -> Result<usize> {
    let handle = Handle {
        process: std::process::id(),
        running: Mutex::new(None),
        message: Mutex::new(CString::default()),
        database: Mutex::new(Some(database)),
    };
    let mut registry = registry();
    let last = if registry.last == 0 { process::address() | 1 } else { registry.last };
    let number = last.checked_add(2).ok_or_else(|| Error::internal("there are no handles left"))?;
    registry.last = number;
    registry.open.get_or_insert_default().insert(number, Arc::new(handle));
    Ok(number)
}

/// Finds an open handle, or fails with `SQLITE_MISUSE`.
pub fn find(number: usize) -> Result<Arc<Handle>> {
    let found = registry().open.as_ref().and_then(|open| open.get(&number).cloned());
    let handle = found.ok_or_else(|| no_handle(number))?;
    if handle.is_inherited() {
        return Err(misuse(
            "this handle was opened before a fork, by the parent process, and SQLite's connections do not survive that; \
             open a handle of this process's own",
        ));
    }
    Ok(handle)
}

fn no_handle(number: usize) -> Error {
    misuse(match number {
        0 => "the handle is NULL; pass one that qk_open() or qk_wrap() gave",
        _ => "this is no open handle: it was closed, or qk_open() and qk_wrap() never gave it",
    })
}

/// Closes a handle once its running call has ended, or fails with `SQLITE_MISUSE`.
pub fn close(number: usize) -> Result<()> {
    let (handle, at_once) = {
        let mut registry = registry();
        let open = registry.open.get_or_insert_default();
        let handle = open.get(&number).cloned().ok_or_else(|| no_handle(number))?;
        let mut at_once = None;
        if !handle.is_inherited() {
            handle.refuse_nested()?;
            if turn::is_within() {
                at_once = handle.turn()?.database.take();
            }
        }
        open.remove(&number);
        (handle, at_once)
    };
    if handle.is_inherited() {
        handle.forget();
        return Ok(());
    }
    let database = at_once.or_else(|| lock(&handle.database).take());
    database.map(drop).ok_or_else(|| no_handle(number))
}

impl Handle {
    fn is_inherited(&self) -> bool {
        self.process != std::process::id()
    }

    /// Leaks the connection: SQLite believes that it holds the parent's locks, and closing might delete a
    /// journal that the parent needs. A lock that a parent's thread held at the fork is never released here.
    fn forget(self: Arc<Self>) {
        let taken = self.database.try_lock().map(|mut database| database.take()).ok();
        match taken {
            Some(Some(Database::Connection(caller))) => std::mem::forget(caller),
            Some(_) => {}
            None => std::mem::forget(self),
        }
    }

    fn refuse_nested(&self) -> Result<()> {
        match &*lock(&self.running) {
            Some(running) if running.thread == thread::current().id() => Err(misuse(
                "a call on this handle is running in this very thread; a progress callback may use other handles only",
            )),
            _ => Ok(()),
        }
    }

    /// Waits for the handle's turn and runs `body` on its database.
    pub fn run<T>(&self, body: impl FnOnce(&Caller) -> Result<T>) -> Result<T> {
        self.refuse_nested()?;
        let turn = self.turn()?;
        match turn.database.as_ref() {
            None => Err(misuse("this handle was closed while the call waited for its turn")),
            Some(Database::Connection(caller)) => self.run_on(caller, &Arc::default(), body),
            Some(Database::File(path)) => {
                let _call = one_sqlite::call(path)?;
                let (caller, stop) = (Caller::open(path)?, Arc::new(AtomicBool::new(false)));
                let stopped = || stop.load(Ordering::Relaxed);
                let outcome = caller.with_stoppable_waits(&stopped, || self.run_on(&caller, &stop, body));
                match outcome {
                    // The interrupt ended the wait for a lock.
                    Err(error) if error.primary_code() == ffi::SQLITE_BUSY && stopped() => Err(error.by_interrupt()),
                    outcome => outcome,
                }
            }
        }
    }

    fn run_on<T>(
        &self,
        caller: &Caller,
        stop: &Arc<AtomicBool>,
        body: impl FnOnce(&Caller) -> Result<T>,
    ) -> Result<T> {
        let conn = caller.connection();
        let (interrupt, phase) = (conn.get_interrupt_handle(), caller.phase().clone());
        let end = End { interrupt, stop: Arc::clone(stop), phase };
        *lock(&self.running) = Some(Running { thread: thread::current().id(), end: Some(end) });
        let mut carrier = conn.prepare(CARRIER).ok();
        let mut rows = carrier.as_mut().and_then(|carrier| carrier.query([]).ok());
        // If the connection refuses even this, `body` will report why.
        let _ = rows.as_mut().map(rusqlite::Rows::next);
        caller.serve(body)
    }

    /// Asks the running call to end.
    pub fn interrupt(&self) {
        if let Some(Running { end: Some(end), .. }) = &*lock(&self.running) {
            end.stop.store(true, Ordering::Relaxed);
            end.interrupt.interrupt();
        }
    }

    /// What the running call is doing.
    pub fn phase(&self) -> Option<Phase> {
        lock(&self.running).as_ref()?.end.as_ref()?.phase.get()
    }

    /// Stores the message of a failed call.
    pub fn fail(&self, message: CString) {
        *lock(&self.message) = message;
    }

    /// The message of the last failed call.
    pub fn message(&self) -> CString {
        lock(&self.message).clone()
    }
}
