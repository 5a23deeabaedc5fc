//! The schedule.

use std::ffi::{c_char, c_int};

use super::boundary::{ask, count, list};
use super::pointers::{QkQueue, text};
use crate::calls::{functions, rows};

/// Runs every job that is due. See the SQL function `queue_run_due([now])`.
///
/// `now`: a time such as `"2026-11-05 02:00:00"`, UTC, or Unix seconds as a text; NULL: the present. `*result`: JSON, an array with
/// an object for each job that ran: `job`, `due_utc`, `attempt`, `started_utc`, `finished_utc`, `status`, `steps`. That a job
/// failed is a result, not an error.
///
/// # Safety
///
/// `now` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_run_due(queue: *mut QkQueue, now: *const c_char, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask("qk_run_due", queue, functions::run_due, [text(now)], result) }
}

/// Lists the jobs and when each is due. See the SQL table `queue_schedule()`.
///
/// `*result`: JSON, an array of objects with `job`, `cron`, `last_run_utc`, `next_due_utc` and `last_status`.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_schedule(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_schedule", queue, &rows::SCHEDULE, [], result) }
}

/// Lists what was run, newest first. See the SQL table `queue_history()`.
///
/// `*result`: JSON, an array of objects with `job`, `step`, `started_utc`, `finished_utc`, `status` and `detail`.
///
/// # Safety
///
/// As for `qk_schedule`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_history(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_history", queue, &rows::HISTORY, [], result) }
}

/// Records a step that was done around the schedule, such as copying backups elsewhere, where `qk_history` shows it. SQL has no such
/// function: it can insert into `queuekeeper_log`.
///
/// `job`, `step`: 1 to 64 letters, digits, `-`, `_`, `.` or spaces; not one of the schedule's own jobs. `status`: `"running"` begins
/// the step; `"ok"`, `"failed"` and `"skipped"` end it, or record one that took no time. `detail`: JSON, or the error in words; NULL:
/// nothing. `now`: as for `qk_run_due`. `*number`: the row's number in the log.
///
/// # Safety
///
/// `job`, `step`, `status`, `detail` and `now` are NULL or C strings; `number` is NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_record(
    queue: *mut QkQueue,
    job: *const c_char,
    step: *const c_char,
    status: *const c_char,
    detail: *const c_char,
    now: *const c_char,
    number: *mut i64,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        let arguments = [text(job), text(step), text(status), text(detail), text(now)];
        count("qk_record", queue, functions::record, arguments, number)
    }
}
