//! The guard between the core and its callers, which are SQLite's callbacks and C functions.
//!
//! # Promise
//!
//! The host always gets a result code and a message. A panic does not unwind into C, which would abort the
//! host; a cancelled thread does not unwind through it; an error keeps its code. Nothing begins without [some
//! free memory](crate::memory). Code behind the guard need not think of any of this.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::ffi;

use crate::error::{Error, Result};
use crate::host::threads;
use crate::memory;

/// Runs `body`. Errors and panics are returned as errors prefixed with `called`.
pub fn guarded<T>(called: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let _uncancelled = threads::CancellationDeferred::begin();
    let outcome = catch_unwind(AssertUnwindSafe(|| memory::begin().and_then(|()| body())));
    let result = outcome.unwrap_or_else(|panic| Err(Error::internal(format!("panicked ({})", text_of(&*panic)))));
    result.map_err(|error| {
        // The panic may be due to a lack of memory, in this thread or another.
        let lack = memory::check().err().filter(|_| error.primary_code() == ffi::SQLITE_INTERNAL);
        lack.unwrap_or(error).context(called)
    })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The code to report. Some codes do not mean failure to `sqlite3_step` (on `SQLITE_SCHEMA` it runs the
/// statement again, up to 50 times), so they are never reported.
pub fn reported_code(error: &Error) -> i32 {
    match error.primary_code() {
        ffi::SQLITE_OK | ffi::SQLITE_SCHEMA | ffi::SQLITE_ROW | ffi::SQLITE_DONE => ffi::SQLITE_ERROR,
        // SQLite would turn it into SQLITE_CORRUPT, though the disk cannot be read.
        _ if error.code() == ffi::SQLITE_IOERR_CORRUPTFS => ffi::SQLITE_IOERR_READ,
        _ => error.code(),
    }
}

/// Characters kept of each end of a message. What makes one longer (names, a value) is in the middle.
const MOST_LETTERS: usize = 5_000;

/// The message to report, without NUL, which would end a C string.
pub fn reported_message(error: &Error) -> String {
    let message = error.message().replace('\0', "\\0");
    let letters = message.chars().count();
    if letters <= 2 * MOST_LETTERS {
        return message;
    }
    let begin = message.chars().take(MOST_LETTERS);
    let end = message.chars().skip(letters - MOST_LETTERS);
    begin.chain(" […] ".chars()).chain(end).collect()
}

/// For the callbacks that rusqlite wraps.
pub fn to_rusqlite(error: &Error) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(reported_code(error)), Some(reported_message(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let error = guarded("queue_x", || -> Result<()> { panic!("boom {}", 1) }).unwrap_err();
        assert_eq!(error.code(), ffi::SQLITE_INTERNAL);
        assert!(error.message().starts_with("queue_x: panicked (boom 1)"), "{error}");
        let error = guarded("queue_x", || -> Result<()> { std::panic::panic_any(7) }).unwrap_err();
        assert!(error.message().contains("no message"));
    }

    #[test]
    fn an_error_keeps_its_code_and_gets_the_name() {
        let error = guarded("queue_x", || -> Result<()> { Err(Error::busy("held")) }).unwrap_err();
        assert_eq!((error.code(), error.message()), (ffi::SQLITE_BUSY, "queue_x: held"));
    }

    #[test]
    fn codes_that_steer_sqlite3_step_are_never_reported() {
        for code in [ffi::SQLITE_OK, ffi::SQLITE_SCHEMA, ffi::SQLITE_ROW, ffi::SQLITE_DONE] {
            assert_eq!(reported_code(&Error::new(code, "x")), ffi::SQLITE_ERROR);
        }
        let snapshot = Error::new(ffi::SQLITE_BUSY_SNAPSHOT, "x");
        assert_eq!(reported_code(&snapshot), ffi::SQLITE_BUSY_SNAPSHOT);
        assert_eq!(reported_code(&Error::new(ffi::SQLITE_IOERR_CORRUPTFS, "x")), ffi::SQLITE_IOERR_READ);
        assert_eq!(reported_message(&Error::usage("a\0b")), "a\\0b");
        let long = reported_message(&Error::usage(format!("cannot: {}; do", "é".repeat(1 << 20))));
        assert!(
            long.starts_with("cannot: é") && long.contains("é […] é") && long.ends_with("é; do"),
            "{}",
            long.len()
        );
        assert_eq!(long.chars().count(), 2 * MOST_LETTERS + 5);
    }
}
