//! Access through C's pointers: texts, results, the progress callback.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use super::texts;
use crate::calls::arguments::Argument;
use crate::calls::functions::Output;
use crate::calls::table;
use crate::error::{Error, Result};

/// The value of an omitted number.
const ABSENT: i64 = i64::MIN;

/// A handle on one queue database.
pub struct QkQueue {
    _private: (),
}

/// Hears how far a call is: `pages_done` of `pages_total` pages. Returns 0 to go on, anything else to stop; the call then
/// undoes what it has begun and returns `SQLITE_INTERRUPT`.
///
/// It is called in the thread that made the call, as long as the call lasts, about every 20 ms, and once more at the beginning
/// and at the end of each phase (`qk_phase`; a restore rebuilds and checks the backup, saves the present database, and writes).
/// In each phase `pages_done` begins at 0 and never falls, and `pages_total` stays as it is; a phase that reads a file counts
/// its bytes, divided by the database's page size. What cannot be counted has 0 and 0. During a wait, as for a lock, it is
/// called with the numbers of last time. It may use other handles, unless another thread is using them (`SQLITE_BUSY`), but not
/// this one. It must return, in the process that it was called in: no `longjmp`, no C++ exception, and a child that it forks ends
/// by `_exit` or `exec`.
pub type QkProgress = Option<unsafe extern "C" fn(context: *mut c_void, pages_done: u64, pages_total: u64) -> c_int>;

/// A progress callback and its context.
pub struct Progress {
    pub function: QkProgress,
    pub context: *mut c_void,
}

impl Progress {
    /// Calls the function, if any; returns whether to go on.
    ///
    /// # Safety
    ///
    /// The function may be called with its context.
    pub unsafe fn tell(&self, done: u64, total: u64) -> bool {
        // SAFETY: the caller vouches for it.
        self.function.is_none_or(|function| unsafe { function(self.context, done, total) } == 0)
    }
}

///
/// # Safety
///
/// `text` is NULL or a C string.
pub unsafe fn text(text: *const c_char) -> Argument {
    if text.is_null() {
        return Argument::Null;
    }
    // SAFETY: the caller vouches for the string; it is copied at once.
    let text = unsafe { CStr::from_ptr(text) };
    Argument::Text(text.to_str().ok().map(str::to_owned))
}

/// A number from C that may be omitted.
pub fn number(number: i64) -> Argument {
    if number == ABSENT { Argument::Null } else { Argument::Integer(number) }
}

/// Writes a text unless `place` is NULL.
///
/// # Safety
///
/// `place` is NULL or valid for writing a pointer.
pub unsafe fn give_text(output: Output, place: *mut *mut c_char) -> Result<()> {
    let text = match output {
        Output::Text(text) | Output::Json(text) => text,
        Output::Integer(number) => number.to_string(),
        Output::Value(value) => table::value(&value).to_string(),
    };
    let text = CString::new(text).map_err(|_| Error::internal("the result contains a NUL"))?;
    if !place.is_null() {
        // SAFETY: the caller vouches for the place.
        unsafe { place.write(texts::give(text)) };
    }
    Ok(())
}

/// Writes a number unless `place` is NULL.
///
/// # Safety
///
/// `place` is NULL or valid for writing a number.
pub unsafe fn give_number(output: &Output, place: *mut i64) -> Result<()> {
    let Output::Integer(number) = output else {
        return Err(Error::internal("the result is not a number"));
    };
    if !place.is_null() {
        // SAFETY: the caller vouches for the place.
        unsafe { place.write(*number) };
    }
    Ok(())
}

///
/// # Safety
///
/// `place` is valid for writing a pointer.
pub unsafe fn give_handle(number: usize, place: *mut *mut QkQueue) {
    // SAFETY: the caller vouches for the place. A handle is never dereferenced.
    unsafe { place.write(std::ptr::without_provenance_mut(number)) };
}
