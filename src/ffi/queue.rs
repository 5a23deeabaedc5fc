//! The queue: how deep it is, and the leases of dead workers.

use std::ffi::{c_char, c_int};

use super::boundary::{count, list};
use super::pointers::{QkQueue, number};
use crate::calls::{functions, rows};

/// Puts tasks whose lease ended more than `secs` seconds ago back into the queue. See the SQL function
/// `queue_requeue_stale(secs)`.
///
/// `*requeued`: how many tasks were requeued.
///
/// # Safety
///
/// `requeued` is NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_requeue_stale(queue: *mut QkQueue, secs: i64, requeued: *mut i64) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { count("qk_requeue_stale", queue, functions::requeue_stale, [number(secs)], requeued) }
}

/// Lists the leases that `qk_requeue_stale` would requeue. See the SQL table `queue_stale([secs])`.
///
/// `secs`: `QK_DEFAULT` for what the setting `stale_secs` says, 300 by default. `*result`: JSON, an array of objects with
/// `task_id`, `status`, `locked_by`, `lease_until_utc`, `overdue_seconds`, `attempts` and `blocked`.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_stale(queue: *mut QkQueue, secs: i64, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_stale", queue, &rows::STALE, [number(secs)], result) }
}

/// Counts the tasks by status. See the SQL table `queue_depth()`.
///
/// `*result`: JSON, an array of objects with `status`, `tasks`, `oldest_utc` and `newest_utc`.
///
/// # Safety
///
/// As for `qk_stale`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_depth(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_depth", queue, &rows::DEPTH, [], result) }
}
