//! The handles: which are open, and whose turn it is.
//!
//! # Promise
//!
//! - What a program passes as a handle is looked up, never followed: NULL, a handle that was closed, and a pointer to anything
//!   else are `SQLITE_MISUSE`. A handle's value is never given out again.
//! - Calls on one handle run one at a time: a second thread waits for its turn. A call from within a progress callback of the
//!   same handle would wait for ever, so it is `SQLITE_MISUSE`; so is every call in a child that was forked since. A callback's
//!   call on another handle that is in use could wait for a thread that waits for this one, so it is `SQLITE_BUSY`. An auto-extension
//!   that runs while a call opens its connection is a callback, too.
//! - A call on a wrapped connection has that connection to itself, as a SQL function does: another thread's statements wait. Whoever
//!   uses the handle from within a statement of the connection finds it free.
//! - A call works as if it were a function inside a statement of its connection, as in SQL, so that `sqlite3_interrupt` ends it.
//!
//! # How
//!
//! A handle is a number in the shape of a pointer: an odd one, which no pointer to an object of C can be. Each copy of the library
//! counts from an address of its own, so that none knows the handles of another. Closing takes it out
//! of the registry first, so that nobody new gets in, and then waits for its turn.
//!
//! A handle on a file has no connection between two calls. In WAL mode an idle connection holds a lock on the file, and SQLite
//! believes in it in a forked child, too, where nobody holds it: a connection that the child opened would go without. It would
//! also be a descriptor that nobody may close any more, once another SQLite of the process has opened the file.
//!
//! SQLite's own wait for a lock hears of no interrupt, so on connections of ours it is we who wait.
//!
//! SQLite forgets an interrupt when no statement is running, hence the statement that is kept half-read for the time of a call;
//! it reads no table and holds no lock.

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
use crate::host::{process, sole};

/// Two rows, so that after the first it is still running.
const CARRIER: &str = "SELECT 1 UNION ALL SELECT 2";

/// The database of a handle.
pub enum Database {
    /// A file, opened for each call.
    File(PathBuf),
    /// A connection: the program's own, or to a database in memory.
    Connection(Caller),
}

/// An open handle.
pub struct Handle {
    process: u32,
    running: Mutex<Option<Running>>,
    database: Mutex<Option<Database>>,
    message: Mutex<CString>,
}

/// Who has the turn, and what ends the call.
struct Running {
    thread: ThreadId,
    end: Option<End>,
}

struct End {
    interrupt: InterruptHandle,
    /// What a wait for a lock listens to.
    stop: Arc<AtomicBool>,
}

/// All handles.
pub struct Registry {
    last: usize,
    open: Option<HashMap<usize, Arc<Handle>>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { last: 0, open: None });

/// All handles, for as long as the guard lives.
pub fn registry() -> MutexGuard<'static, Registry> {
    lock(&REGISTRY)
}

/// A call that makes no sense, whatever it asks for.
pub fn misuse(message: impl Into<String>) -> Error {
    Error::new(ffi::SQLITE_MISUSE, message)
}

/// Opens a handle.
///
/// # Errors
///
/// When all numbers are used up.
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

/// The handle of that number.
///
/// # Errors
///
/// `SQLITE_MISUSE`.
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

/// Closes a handle: waits for the call that is running, and lets go of what is its own.
///
/// # Errors
///
/// `SQLITE_MISUSE`.
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

    /// Lets go of a connection without closing it: SQLite believes that it has the parent's locks, and closing might delete a
    /// journal that the parent needs. A lock that a thread of the parent held at the fork is never given back here.
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

    /// Runs `body` on the handle's database, when it is its turn.
    ///
    /// # Errors
    ///
    /// Those of `body`, or `SQLITE_MISUSE`.
    pub fn run<T>(&self, body: impl FnOnce(&Caller) -> Result<T>) -> Result<T> {
        self.refuse_nested()?;
        let turn = self.turn()?;
        match turn.database.as_ref() {
            None => Err(misuse("this handle was closed while the call waited for its turn")),
            Some(Database::Connection(caller)) => self.run_on(caller, &Arc::default(), body),
            Some(Database::File(path)) => {
                let _call = sole::call(path)?;
                let (caller, stop) = (Caller::open(path)?, Arc::new(AtomicBool::new(false)));
                let stopped = || stop.load(Ordering::Relaxed);
                let outcome = caller.attended(&stopped, || self.run_on(&caller, &stop, body));
                match outcome {
                    // The wait for a lock ended early.
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
        let end = End { interrupt: conn.get_interrupt_handle(), stop: Arc::clone(stop) };
        *lock(&self.running) = Some(Running { thread: thread::current().id(), end: Some(end) });
        let mut carrier = conn.prepare(CARRIER).ok();
        let mut rows = carrier.as_mut().and_then(|carrier| carrier.query([]).ok());
        // A connection that refuses even this will tell `body` why.
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

    /// Keeps the message of a call that failed.
    pub fn fail(&self, message: CString) {
        *lock(&self.message) = message;
    }

    /// The message of the last call that failed.
    pub fn message(&self) -> CString {
        lock(&self.message).clone()
    }
}
