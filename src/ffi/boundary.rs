//! The boundary of each C call: catches panics, turns errors into codes and writes results.

use std::ffi::{CString, c_char, c_int};

use rusqlite::ffi;

use super::pointers::{self, Progress, QkQueue};
use super::{messages, registry};
use crate::calls::arguments::{Argument, Arguments};
use crate::calls::functions::Output;
use crate::calls::guard::{guarded, reported_code, reported_message};
use crate::calls::table::{self, Spec};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::progress::Listener;

/// Runs a call without a handle and returns its code.
pub fn enter(called: &str, body: impl FnOnce() -> Result<()>) -> c_int {
    match guarded(called, body) {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) => {
            messages::keep(words(&error));
            reported_code(&error)
        }
    }
}

/// Runs `body` on a handle's connection, passes its result to `give` and returns the code.
fn on<T>(
    called: &str,
    queue: *const QkQueue,
    body: impl FnOnce(&Caller) -> Result<T>,
    give: impl FnOnce(T) -> Result<()>,
) -> c_int {
    let found = guarded(called, || registry::find(queue.addr()));
    let outcome = found.and_then(|handle| {
        let outcome = guarded(called, || handle.run(body).and_then(give));
        outcome.inspect_err(|error| handle.fail(words(error)))
    });
    match outcome {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) => {
            messages::keep(words(&error));
            reported_code(&error)
        }
    }
}

pub fn words(error: &Error) -> CString {
    CString::new(reported_message(error)).unwrap_or_default()
}

type Body = fn(&Caller, &Arguments) -> Result<Output>;
type LongBody = for<'a> fn(&'a Caller, &Arguments, Option<Listener<'a>>) -> Result<Output>;

/// Calls a function whose result is JSON.
///
/// # Safety
///
/// `result` is NULL or valid for writing a pointer.
pub unsafe fn ask<const N: usize>(
    called: &str,
    queue: *const QkQueue,
    body: Body,
    arguments: [Argument; N],
    result: *mut *mut c_char,
) -> c_int {
    let arguments = Arguments::new(arguments.into());
    // SAFETY: the caller vouches for the place.
    on(called, queue, |caller| body(caller, &arguments), |output| unsafe { pointers::give_text(output, result) })
}

/// The same with a progress callback.
///
/// # Safety
///
/// As for [`ask`], and `progress` may be called with its context.
pub unsafe fn ask_long<const N: usize>(
    called: &str,
    queue: *const QkQueue,
    body: LongBody,
    arguments: [Argument; N],
    progress: Progress,
    result: *mut *mut c_char,
) -> c_int {
    let arguments = Arguments::new(arguments.into());
    let run = |caller: &Caller| {
        // SAFETY: the caller vouches for the function and its context.
        let mut listener = |done, total| unsafe { progress.tell(done, total) };
        body(caller, &arguments, Some(&mut listener))
    };
    // SAFETY: the caller vouches for the place.
    on(called, queue, run, |output| unsafe { pointers::give_text(output, result) })
}

/// Calls a function whose result is a number.
///
/// # Safety
///
/// `result` is NULL or valid for writing a number.
pub unsafe fn count<const N: usize>(
    called: &str,
    queue: *const QkQueue,
    body: Body,
    arguments: [Argument; N],
    result: *mut i64,
) -> c_int {
    let arguments = Arguments::new(arguments.into());
    // SAFETY: the caller vouches for the place.
    on(called, queue, |caller| body(caller, &arguments), |output| unsafe { pointers::give_number(&output, result) })
}

/// Reads a table as a JSON array with an object per row.
///
/// # Safety
///
/// As for [`ask`].
pub unsafe fn list<const N: usize>(
    called: &str,
    queue: *const QkQueue,
    spec: &Spec,
    arguments: [Argument; N],
    result: *mut *mut c_char,
) -> c_int {
    let arguments = Arguments::new(arguments.into());
    let read = |caller: &Caller| {
        let rows = (spec.rows)(caller, &arguments)?;
        table::json(spec, &rows).map(Output::Json)
    };
    // SAFETY: the caller vouches for the place.
    on(called, queue, read, |output| unsafe { pointers::give_text(output, result) })
}
