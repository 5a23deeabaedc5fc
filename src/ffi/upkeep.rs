//! The database: measures, checkpoints, VACUUM, ANALYZE, soundness.

use std::ffi::{c_char, c_int, c_void};

use super::boundary::{ask, ask_long, list};
use super::pointers::{Progress, QkProgress, QkQueue, number, text};
use crate::calls::{functions, rows};

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

/// Copies the WAL into the database. See the SQL function `queue_checkpoint([mode])`.
///
/// `mode`: `"PASSIVE"`, `"FULL"`, `"RESTART"` or `"TRUNCATE"`; NULL: passive. `*result`: JSON with `mode`, `busy`, `log` and
/// `checkpointed`.
///
/// # Safety
///
/// `mode` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_checkpoint(queue: *mut QkQueue, mode: *const c_char, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask("qk_checkpoint", queue, functions::checkpoint, [text(mode)], result) }
}

/// Runs VACUUM. See the SQL function `queue_vacuum()`.
///
/// `progress`: may be NULL; SQLite counts no pages here, so it is called with 0 and 0. `*result`: JSON with
/// `size_before_bytes`, `size_after_bytes`, `reclaimed_bytes`, and so on.
///
/// # Safety
///
/// `progress` may be called with `context`; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_vacuum(
    queue: *mut QkQueue,
    progress: QkProgress,
    context: *mut c_void,
    result: *mut *mut c_char,
) -> c_int {
    let progress = Progress { function: progress, context };
    // SAFETY: as the caller vouches.
    unsafe { ask_long("qk_vacuum", queue, functions::vacuum, [], progress, result) }
}

/// Gathers the planner's statistics. See the SQL function `queue_analyze([table])`.
///
/// `table`: NULL for all tables. `*result`: JSON with `analyzed`, an array of names, and `duration_ms`.
///
/// # Safety
///
/// `table` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_analyze(queue: *mut QkQueue, table: *const c_char, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        let analyze = |caller: &_, arguments: &_| functions::analyze(caller, arguments, None);
        ask("qk_analyze", queue, analyze, [text(table)], result)
    }
}

/// Gathers the planner's statistics, and if `full` is 1 runs VACUUM, too. See the SQL function `queue_optimize([full])`.
///
/// `full`: 0, 1, or `QK_DEFAULT` for 0. `progress`: as for `qk_vacuum`. `*result`: JSON with `analyzed`, `vacuumed`,
/// `stats_before` and `stats_after`.
///
/// # Safety
///
/// As for `qk_vacuum`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_optimize(
    queue: *mut QkQueue,
    full: i64,
    progress: QkProgress,
    context: *mut c_void,
    result: *mut *mut c_char,
) -> c_int {
    let progress = Progress { function: progress, context };
    // SAFETY: as the caller vouches.
    unsafe { ask_long("qk_optimize", queue, functions::optimize, [number(full)], progress, result) }
}

/// Checks whether the database is sound. See the SQL table `queue_integrity([level [, max_errors]])`.
///
/// `level`: `"quick"` or `"full"`; NULL: full. `max_errors`: `QK_DEFAULT` for 100. `*result`: JSON, an array of objects with
/// `message`: the only one is `ok`, or each says what is wrong. That a database is damaged is a result, not an error.
///
/// # Safety
///
/// `level` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_integrity(
    queue: *mut QkQueue,
    level: *const c_char,
    max_errors: i64,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_integrity", queue, &rows::INTEGRITY, [text(level), number(max_errors)], result) }
}

/// Measures how healthy the database is. See the SQL table `queue_health()`.
///
/// `*result`: JSON, an array of objects with `metric`, `value`, `unit`, `warning`, `critical`, `level` (`ok`, `warning`,
/// `critical`) and `action`.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_health(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_health", queue, &rows::HEALTH, [], result) }
}
