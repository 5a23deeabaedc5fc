//! What SQLite asks while it works: whether to go on, and whether to try a lock again.
//!
//! # Promise
//!
//! A handler is in place exactly as long as the work that it is for, also when that panics. A panic of an answer does not cross C:
//! it counts as "no".

use std::ffi::{c_int, c_void};
use std::ptr;

use rusqlite::{Connection, ffi};

use super::has_progress_handler;

/// Runs `body`, asking `stop` every few thousand SQLite instructions on `conn`; when it answers true, the statement
/// in progress ends with `SQLITE_INTERRUPT`. On a host without progress handlers `body` runs undisturbed.
pub fn interruptible<T>(conn: &Connection, stop: &mut dyn FnMut() -> bool, body: impl FnOnce() -> T) -> T {
    const INSTRUCTIONS: c_int = 20_000;

    struct Handler<'a>(&'a Connection);
    impl Drop for Handler<'_> {
        fn drop(&mut self) {
            // SAFETY: the handle is open; this takes the handler away, also when `body` panics.
            unsafe { ffi::sqlite3_progress_handler(self.0.handle(), 0, None, ptr::null_mut()) };
        }
    }
    unsafe extern "C" fn ask(context: *mut c_void) -> c_int {
        // SAFETY: `context` is the `stop` reference below, which outlives the handler.
        let stop = unsafe { &mut *context.cast::<&mut dyn FnMut() -> bool>() };
        // A panic must not cross C; it ends the statement, and the next check outside says why.
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

/// Runs `body`, asking `again` whenever `conn` finds a lock taken; as long as it answers true, SQLite tries again at once, so
/// the pause is the answerer's to make. It is told how often it was asked about this lock before. Afterwards `conn` waits for no lock.
///
/// While SQLite itself repeats an attempt it may keep what it has got of the lock, so that nobody new gets in; between attempts
/// of ours it would not.
pub fn while_busy<T>(conn: &Connection, again: &mut dyn FnMut(i32) -> bool, body: impl FnOnce() -> T) -> T {
    struct Handler<'a>(&'a Connection);
    impl Drop for Handler<'_> {
        fn drop(&mut self) {
            // SAFETY: the handle is open; this takes the handler away, also when `body` panics.
            unsafe { ffi::sqlite3_busy_handler(self.0.handle(), None, ptr::null_mut()) };
        }
    }
    unsafe extern "C" fn ask(context: *mut c_void, attempts: c_int) -> c_int {
        // SAFETY: `context` is the `again` reference below, which outlives the handler.
        let again = unsafe { &mut *context.cast::<&mut dyn FnMut(i32) -> bool>() };
        // A panic must not cross C; it ends the wait.
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
