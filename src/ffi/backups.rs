//! Backups: taking, verifying, restoring, listing, rotating and deleting them.

use std::ffi::{c_char, c_int, c_void};

use super::boundary::{ask, ask_long, count, list};
use super::pointers::{Progress, QkProgress, QkQueue, text};
use crate::calls::{functions, rows};

/// Backs up the database: one true snapshot, however busy it is. See the SQL function `queue_backup([path [, options]])`.
///
/// `path`: a directory, or a file; NULL: the default directory. `options`: a JSON object with `name`, `type`, `compression`,
/// `level`, `verify`, `overwrite`; NULL: none. `*result`: JSON, the catalog object of the new backup.
///
/// # Safety
///
/// Texts are NULL or C strings, `progress` is NULL or may be called with `context`, `result` is NULL or a place for a
/// pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_backup(
    queue: *mut QkQueue,
    path: *const c_char,
    options: *const c_char,
    progress: QkProgress,
    context: *mut c_void,
    result: *mut *mut c_char,
) -> c_int {
    let progress = Progress { function: progress, context };
    // SAFETY: as the caller vouches.
    unsafe { ask_long("qk_backup", queue, functions::backup, [text(path), text(options)], progress, result) }
}

/// Restores a backup. See the SQL function `queue_restore(backup [, target [, options]])`.
///
/// `backup`: a path, an id, or `"latest"`. `target`: the database to become it; NULL: the handle's own, live, as one
/// transaction. `options`: a JSON object with `dir`, `overwrite`, `requeue_leases`; NULL: none. `*result`: JSON, what was
/// restored, how old it is, and where the safety backup is.
///
/// # Safety
///
/// As for `qk_backup`.
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
    let progress = Progress { function: progress, context };
    // SAFETY: as the caller vouches.
    unsafe {
        let arguments = [text(backup), text(target), text(options)];
        ask_long("qk_restore", queue, functions::restore, arguments, progress, result)
    }
}

/// Verifies a backup. See the SQL function `queue_verify(backup [, level [, options]])`.
///
/// `backup`: a path, an id, or `"latest"`. `level`: `"checksum"`, `"quick"` or `"full"`; NULL: quick. `options`: a JSON object
/// with `dir`; NULL: none. `*result`: JSON with `status` (`ok` or `corrupted`) and `details`. That a backup is corrupted is a
/// result, not an error.
///
/// # Safety
///
/// As for `qk_backup`.
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
    let progress = Progress { function: progress, context };
    // SAFETY: as the caller vouches.
    unsafe {
        let arguments = [text(backup), text(level), text(options)];
        ask_long("qk_verify", queue, functions::verify, arguments, progress, result)
    }
}

/// Deletes one backup. See the SQL function `queue_delete_backup(backup [, options])`.
///
/// `backup`: a path, an id, or `"latest"`. `options`: a JSON object with `dir`, `dependants`; NULL: none. `*result`: JSON, what
/// was deleted.
///
/// # Safety
///
/// Texts are NULL or C strings, `result` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_delete_backup(
    queue: *mut QkQueue,
    backup: *const c_char,
    options: *const c_char,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask("qk_delete_backup", queue, functions::delete_backup, [text(backup), text(options)], result) }
}

/// Lists the backups, the newest first. See the SQL table `queue_backups([dir])`.
///
/// `dir`: whose catalog; NULL: the default directory. `*result`: JSON, an array of objects.
///
/// # Safety
///
/// As for `qk_delete_backup`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_backups(queue: *mut QkQueue, dir: *const c_char, result: *mut *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_backups", queue, &rows::BACKUPS, [text(dir)], result) }
}

/// Deletes the backups that a policy does not keep. See the SQL function `queue_rotate(keep [, dir])`.
///
/// `keep`: the policy, as text: a count such as `"7"`, `"7/4/12"`, or a JSON object. `dir`: whose catalog; NULL: the default
/// directory. `*deleted`: how many backups were deleted.
///
/// # Safety
///
/// Texts are NULL or C strings, `deleted` is NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_rotate(
    queue: *mut QkQueue,
    keep: *const c_char,
    dir: *const c_char,
    deleted: *mut i64,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { count("qk_rotate", queue, functions::rotate, [text(keep), text(dir)], deleted) }
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
/// As for `qk_delete_backup`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_rotation(
    queue: *mut QkQueue,
    keep: *const c_char,
    dir: *const c_char,
    result: *mut *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { list("qk_rotation", queue, &rows::ROTATION, [text(keep), text(dir)], result) }
}
