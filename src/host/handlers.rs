//! Progress and busy handlers.
//!
//! # Promise
//!
//! A handler is set exactly while its work runs, even if that panics. A panic of the handler does not cross
//! C, and stops the work.

use std::ffi::{c_int, c_void};
use std::ptr;

use rusqlite::{Connection, ffi};

use super::has_progress_handler;

/// Runs `body`, calling `stop` every few thousand SQLite instructions on `conn`; if it returns true, the
/// running statement ends with `SQLITE_INTERRUPT`. On a host without progress handlers, `stop` is not called.
pub fn interruptible<T>(conn: &Connection, stop: &mut dyn FnMut() -> bool, body: impl FnOnce() -> T) -> T {
    const INSTRUCTIONS: c_int = 20_000;

    struct Handler<'a>(&'a Connection);
    impl Drop for Handler<'_> {
        fn drop(&mut self) {
            // SAFETY: the handle is open; this removes the handler, even if `body` panics.
            unsafe { ffi::sqlite3_progress_handler(self.0.handle(), 0, None, ptr::null_mut()) };
        }
    }
    unsafe extern "C" fn ask(context: *mut c_void) -> c_int {
        // SAFETY: `context` is the `stop` reference below, which outlives the handler.
        let stop = unsafe { &mut *context.cast::<&mut dyn FnMut() -> bool>() };
        // A panic must not cross C: it ends the statement, and the next check outside reports it.
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(stop));
        c_int::from(answer.unwrap_or(true))
    }

    if !has_progress_handler() {
        return body();
    }
    let mut stop = stop;
    let context = (&raw mut stop).cast::<c_void>();
    // SAFETY: `context` stays in place until `handler` is dropped at the end of this function.
    unsafe { ffi::sqlite3_progress_handler(conn.handle(), INSTRUCTIONS, Some(ask), context) };
    let handler = Handler(conn);
    let result = body();
    drop(handler);
    result
}

/// Runs `body`, calling `again` whenever `conn` meets a lock. While it returns true, SQLite retries at once,
/// so it must do the pausing. Its argument counts the previous calls for this lock. Afterwards `conn` waits
/// for no lock.
///
/// During retries by SQLite itself, it may keep the part of the lock that it has, which admits nobody new;
/// retries of ours would give that up.
pub fn while_busy<T>(conn: &Connection, again: &mut dyn FnMut(i32) -> bool, body: impl FnOnce() -> T) -> T {
    struct Handler<'a>(&'a Connection);
    impl Drop for Handler<'_> {
        fn drop(&mut self) {
            // SAFETY: the handle is open; this removes the handler, even if `body` panics.
            unsafe { ffi::sqlite3_busy_handler(self.0.handle(), None, ptr::null_mut()) };
        }
    }
    unsafe extern "C" fn ask(context: *mut c_void, attempts: c_int) -> c_int {
        // SAFETY: `context` is the `again` reference below, which outlives the handler.
        let again = unsafe { &mut *context.cast::<&mut dyn FnMut(i32) -> bool>() };
        // A panic must not cross C: it ends the wait.
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| again(attempts)));
        c_int::from(answer.unwrap_or(false))
    }

    let mut again = again;
    let context = (&raw mut again).cast::<c_void>();
    // SAFETY: `context` stays in place until `handler` is dropped at the end of this function.
    unsafe { ffi::sqlite3_busy_handler(conn.handle(), Some(ask), context) };
    let handler = Handler(conn);
    let result = body();
    drop(handler);
    result
}
