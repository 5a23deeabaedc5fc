//! Generated from src/calls/operations.toml by scripts/operations; change that instead.

use std::ffi::{c_char, c_int, c_void};

use super::boundary::{ask, ask_long, count, list};
use super::pointers::{Progress, QkProgress, QkQueue, number, text};
use crate::calls::operations;

/// Backs up the database: one true snapshot, however busy it is. See the SQL function `queue_backup([path [,
/// options]])`.
///
/// `path`: a directory, or a file; NULL: the default directory. `options`: a JSON object with `name`, `type`, `compression`,
/// `level`, `verify`, `overwrite`; NULL: none. `*result`: JSON, the catalog object of the new backup.
///
/// # Safety
///
/// `path` is NULL or a C string; `options` is NULL or a C string; `progress` is NULL or may be called with `context`;
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_backup(
    queue: *mut QkQueue,
    path: *const c_char,
    options: *const c_char,
    progress: QkProgress,
    context: *mut c_void,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        ask_long(
            "qk_backup",
            queue,
            operations::backup,
            [text(path), text(options)],
            Progress { function: progress, context },
            result,
        )
    }
}

/// Restores a backup. See the SQL function `queue_restore(backup [, target [, options]])`.
///
/// `backup`: a path, an id or its beginning, or `"latest"`. `target`: the database to become it; NULL: the handle's own, live, as one
/// transaction. `options`: a JSON object with `dir`, `overwrite`, `requeue_leases`, `dry_run`; NULL: none. `*result`: JSON, what was
/// restored, how old it is, and where the safety backup is.
///
/// # Safety
///
/// `backup` is NULL or a C string; `target` is NULL or a C string; `options` is NULL or a C string; `progress` is NULL
/// or may be called with `context`; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_restore(
    queue: *mut QkQueue,
    backup: *const c_char,
    target: *const c_char,
    options: *const c_char,
    progress: QkProgress,
    context: *mut c_void,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        ask_long(
            "qk_restore",
            queue,
            operations::restore,
            [text(backup), text(target), text(options)],
            Progress { function: progress, context },
            result,
        )
    }
}

/// Verifies a backup. See the SQL function `queue_verify(backup [, level [, options]])`.
///
/// `backup`: a path, an id or its beginning, or `"latest"`. `level`: `"checksum"`, `"quick"` or `"full"`; NULL: quick. `options`: a JSON object
/// with `dir`; NULL: none. `*result`: JSON with `status` (`ok` or `corrupted`) and `details`. That a backup is corrupted is a
/// result, not an error.
///
/// # Safety
///
/// `backup` is NULL or a C string; `level` is NULL or a C string; `options` is NULL or a C string; `progress` is NULL
/// or may be called with `context`; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_verify(
    queue: *mut QkQueue,
    backup: *const c_char,
    level: *const c_char,
    options: *const c_char,
    progress: QkProgress,
    context: *mut c_void,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        ask_long(
            "qk_verify",
            queue,
            operations::verify,
            [text(backup), text(level), text(options)],
            Progress { function: progress, context },
            result,
        )
    }
}

/// Deletes one backup. See the SQL function `queue_delete_backup(backup [, options])`.
///
/// `backup`: a path, an id or its beginning, or `"latest"`. `options`: a JSON object with `dir`, `dependants`, `dry_run`; NULL: none. `*result`: JSON, what
/// was deleted.
///
/// # Safety
///
/// `backup` is NULL or a C string; `options` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_delete_backup(
    queue: *mut QkQueue,
    backup: *const c_char,
    options: *const c_char,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask("qk_delete_backup", queue, operations::delete_backup, [text(backup), text(options)], result) }
}

/// Lists the backups, the newest first. See the SQL table `queue_backups([dir])`.
///
/// `dir`: whose catalog; NULL: the default directory. `*result`: JSON, an array of objects.
///
/// # Safety
///
/// `dir` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_backups(queue: *mut QkQueue, dir: *const c_char, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_backups", queue, &operations::BACKUPS, [text(dir)], result) }
}

/// Deletes the backups that a policy does not keep. See the SQL function `queue_rotate(keep [, dir])`.
///
/// `keep`: the policy, as text: a count such as `"7"`, `"7/4/12"`, or a JSON object. `dir`: whose catalog; NULL: the default
/// directory. `*deleted`: how many backups were deleted.
///
/// # Safety
///
/// `keep` is NULL or a C string; `dir` is NULL or a C string; `deleted` is NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_rotate(
    queue: *mut QkQueue,
    keep: *const c_char,
    dir: *const c_char,
    deleted: *mut i64,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { count("qk_rotate", queue, operations::rotate, [text(keep), text(dir)], deleted) }
}

/// Shows what `qk_rotate` would do with the same arguments, and why. See the SQL table `queue_rotation(keep [, dir])`.
///
/// `dir` may also be a copy of a catalog whose backups lie elsewhere; then its word alone counts.
///
/// `*result`: JSON, an array of objects with `backup_path`, `created_at`, `decision` (`keep` or `delete`), `reasons` and
/// `source`.
///
/// # Safety
///
/// `keep` is NULL or a C string; `dir` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_rotation(
    queue: *mut QkQueue,
    keep: *const c_char,
    dir: *const c_char,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_rotation", queue, &operations::ROTATION, [text(keep), text(dir)], result) }
}

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
    unsafe { count("qk_requeue_stale", queue, operations::requeue_stale, [number(secs)], requeued) }
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
    unsafe { list("qk_stale", queue, &operations::STALE, [number(secs)], result) }
}

/// Puts chosen tasks that a worker holds back into the queue, whether their lease is over or not. See the SQL function
/// `queue_requeue(filter [, options])`.
///
/// `filter`: a JSON object with `ids`, `types`, `workers`, `after`, `before`, `limit`, or `all`. `options`: a JSON object with
/// `dry_run`, `expect`; NULL: none. `*result`: JSON with `matched`, `requeued` and `dry_run`, and perhaps `blocked` and
/// `blocked_tasks`.
///
/// # Safety
///
/// `filter` is NULL or a C string; `options` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_requeue(
    queue: *mut QkQueue,
    filter: *const c_char,
    options: *const c_char,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask("qk_requeue", queue, operations::requeue, [text(filter), text(options)], result) }
}

/// Lists the tasks that workers hold, the first lease to end first. See the SQL table `queue_leases()`.
///
/// `*result`: JSON, an array of objects with `task_id`, `type`, `status`, `locked_by`, `lease_until_utc`, `ends_utc`,
/// `overdue_seconds` (below 0 until the lease ends), `attempts` and `blocked`.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_leases(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_leases", queue, &operations::LEASES, [], result) }
}

/// Counts the tasks by status. See the SQL table `queue_depth()`.
///
/// `*result`: JSON, an array of objects with `status`, `tasks`, `oldest_utc` and `newest_utc`.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_depth(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_depth", queue, &operations::DEPTH, [], result) }
}

/// Runs every job that is due. See the SQL function `queue_run_due([now | options])`.
///
/// `now`: a time such as `"2026-11-05 02:00:00"`, UTC, or Unix seconds as a text; NULL: the present. Or a JSON object: `now`,
/// `retry_now` (no pause after a failure), `dry_run` (nothing is run). `*result`: JSON, an array with an object for each job that
/// ran: `job`, `due_utc`, `attempt`, `started_utc`, `finished_utc`, `status`, `steps`; of a dry run without the two times, and with
/// the status `due`, or `skipped` of a step. That a job failed is a result, not an error.
///
/// # Safety
///
/// `now` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_run_due(queue: *mut QkQueue, now: *const c_char, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask("qk_run_due", queue, operations::run_due, [text(now)], result) }
}

/// Lists the jobs and when each is due, and the copies off-site. See the SQL table `queue_schedule()`.
///
/// `*result`: JSON, an array of objects with `job`, `cron`, `last_run_utc`, `next_due_utc` and `last_status`. The last may be
/// `offsite`, where the setting `remote` or the log tells of copies: its `cron` is null, and its `next_due_utc` is when a failed one
/// is tried again, and its `last_status` is `lapsed` where a failed one is tried no more.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_schedule(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_schedule", queue, &operations::SCHEDULE, [], result) }
}

/// Lists what was run, newest first. See the SQL table `queue_history()`.
///
/// `*result`: JSON, an array of objects with `job`, `step`, `started_utc`, `finished_utc`, `status` and `detail`.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_history(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_history", queue, &operations::HISTORY, [], result) }
}

/// Records a step that was done around the schedule, such as copying backups elsewhere, where `qk_history` shows it.
///
/// SQL has no such function: it can insert into `queuekeeper_log`.
///
/// `job`, `step`: 1 to 64 letters, digits, `-`, `_`, `.` or spaces; not one of the schedule's own jobs. `status`: `"running"` begins
/// the step; `"ok"`, `"failed"` and `"skipped"` end it, or record one that took no time. `detail`: JSON, or the error in words; NULL:
/// nothing. `now`: as for `qk_run_due`. `*number`: the row's number in the log.
///
/// # Safety
///
/// `job` is NULL or a C string; `step` is NULL or a C string; `status` is NULL or a C string; `detail` is NULL or a C
/// string; `now` is NULL or a C string; `number` is NULL or a place for a number.
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
        count(
            "qk_record",
            queue,
            operations::record,
            [text(job), text(step), text(status), text(detail), text(now)],
            number,
        )
    }
}

/// Stores a setting in the database. See the SQL function `queue_set(name, value)`.
///
/// `value`: NULL resets the setting; a number is passed as its text. `*result`: the value as it was stored, as JSON.
///
/// # Safety
///
/// `name` is NULL or a C string; `value` is NULL or a C string; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_set(
    queue: *mut QkQueue,
    name: *const c_char,
    value: *const c_char,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask("qk_set", queue, operations::set, [text(name), text(value)], result) }
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
    unsafe { list("qk_settings", queue, &operations::SETTINGS, [], result) }
}

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
    unsafe { ask("qk_stats", queue, operations::stats, [], result) }
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
    unsafe { ask("qk_checkpoint", queue, operations::checkpoint, [text(mode)], result) }
}

/// Runs VACUUM. See the SQL function `queue_vacuum()`.
///
/// `progress`: may be NULL; SQLite counts no pages here, so it is called with 0 and 0. `*result`: JSON with
/// `size_before_bytes`, `size_after_bytes`, `reclaimed_bytes`, and so on.
///
/// # Safety
///
/// `progress` is NULL or may be called with `context`; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_vacuum(
    queue: *mut QkQueue,
    progress: QkProgress,
    context: *mut c_void,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask_long("qk_vacuum", queue, operations::vacuum, [], Progress { function: progress, context }, result) }
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
    unsafe { ask("qk_analyze", queue, operations::analyze, [text(table)], result) }
}

/// Gathers the planner's statistics, and if `full` is 1 runs VACUUM, too. See the SQL function
/// `queue_optimize([full])`.
///
/// `full`: 0, 1, or `QK_DEFAULT` for 0. `progress`: as for `qk_vacuum`. `*result`: JSON with `analyzed`, `vacuumed`,
/// `stats_before` and `stats_after`.
///
/// # Safety
///
/// `progress` is NULL or may be called with `context`; `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_optimize(
    queue: *mut QkQueue,
    full: i64,
    progress: QkProgress,
    context: *mut c_void,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        ask_long(
            "qk_optimize",
            queue,
            operations::optimize,
            [number(full)],
            Progress { function: progress, context },
            result,
        )
    }
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
    unsafe { list("qk_integrity", queue, &operations::INTEGRITY, [text(level), number(max_errors)], result) }
}

/// Measures how healthy the database is. See the SQL table `queue_health()`.
///
/// `*result`: JSON, an array of objects with `metric`, `value`, `unit`, `warning`, `critical`, `level` (`ok`, `warning`,
/// `critical`, or `accepted` where the setting `accepted_risks` names the metric) and `action`.
///
/// # Safety
///
/// `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_health(queue: *mut QkQueue, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_health", queue, &operations::HEALTH, [], result) }
}
