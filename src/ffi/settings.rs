//! Settings.

use std::ffi::{c_char, c_int};

use super::boundary::{ask, list};
use super::pointers::{QkQueue, text};
use crate::calls::{functions, rows};

/// Stores a setting in the database. See the SQL function `queue_set(name, value)`.
///
/// `value`: NULL resets the setting; a number is passed as its text. `*result`: the value as it was stored, as JSON.
///
/// # Safety
///
/// `name` and `value` are NULL or C strings; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_set(
    queue: *mut QkQueue,
    name: *const c_char,
    value: *const c_char,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask("qk_set", queue, functions::set, [text(name), text(value)], result) }
}

/// Lists all settings. See the SQL table `queue_settings()`.
///
/// `*result`: JSON, an array of objects with `name`, `value`, `default_value` and `description`.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_settings(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_settings", queue, &rows::SETTINGS, [], result) }
}
