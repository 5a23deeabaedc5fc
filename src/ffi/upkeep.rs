//! The database: measures.

use std::ffi::{c_char, c_int};

use super::boundary::ask;
use super::pointers::QkQueue;
use crate::calls::functions;

/// Measures the database. See the SQL function `queue_stats()`.
///
/// `*result`: JSON, one object: `page_count`, `page_size`, `total_size_mb`, and so on.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_stats(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask("qk_stats", queue, functions::stats, [], result) }
}
