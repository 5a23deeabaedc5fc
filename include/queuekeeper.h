/*
 * queuekeeper: keeps a SQLite-backed task queue healthy: backups, restores, rotation, lease rescue, measures.
 *
 * There are two ways to use it from C. Either load the library into a connection as a SQLite extension, and call its SQL
 * functions:
 *
 *     sqlite3_enable_load_extension(db, 1);
 *     sqlite3_load_extension(db, "libqueuekeeper", NULL, &message);
 *     sqlite3_enable_load_extension(db, 0);
 *
 * or, where it is linked, give them to every new connection:
 *
 *     sqlite3_auto_extension((void (*)(void))sqlite3_queuekeeper_init);
 *
 * Or call the functions below, which need no SQLite in sight:
 *
 *     qk_queue *queue = NULL;
 *     char *result = NULL;
 *     if (qk_open("queue.db", &queue) != 0) {
 *         fprintf(stderr, "%s\n", qk_errmsg(NULL));
 *         return 1;
 *     }
 *     if (qk_backup(queue, "/backups/", "{\"name\": \"daily\"}", NULL, NULL, &result) == 0)
 *         puts(result);
 *     else
 *         fprintf(stderr, "%s\n", qk_errmsg(queue));
 *     qk_free(result);
 *     qk_close(queue);
 *
 * Each SQL function and table `queue_X` is a function `qk_X` here, with the same arguments in the same order and the same
 * answers; docs/reference.md describes what each does. What follows holds for all of them.
 *
 * ARGUMENTS. Texts are UTF-8 and end with a NUL. An optional text is left out by passing NULL, an optional number
 * by passing QK_DEFAULT. Options are the text of a JSON object. A text that is not UTF-8 is SQLITE_ERROR. The
 * library keeps no pointer that it was passed beyond the call, but for the connection given to `qk_wrap`.
 *
 * RESULTS. Every function returns a SQLite result code: 0 (SQLITE_OK) when it did what it says, else what went
 * wrong, as an extended code where there is one; `code & 0xff` is the primary code, such as SQLITE_BUSY (5),
 * SQLITE_INTERRUPT (9), SQLITE_CORRUPT (11), SQLITE_FULL (13), SQLITE_CANTOPEN (14), SQLITE_MISUSE (21), and
 * SQLITE_ERROR (1) for arguments that make no sense. What is returned besides goes to the last argument, the
 * out-parameter: JSON as a text, counts as numbers. It is written only on success, and may be NULL if it is not
 * wanted. A table is a JSON array with an object for each row, whose keys are the columns; a BLOB in it is its
 * bytes in hexadecimal.
 *
 * MEMORY. Texts in out-parameters belong to the caller, who frees them with `qk_free`, and with nothing else; freeing
 * one twice, or what is no such text, does nothing. What `qk_errmsg` and `qk_version` return belongs to the library.
 * Handles belong to the caller, who closes them with `qk_close`.
 *
 * ERRORS. `qk_errmsg(queue)` says in words why the last call on that handle that failed did so, `qk_errmsg(NULL)`
 * why the last one of this thread did. A handle that is NULL, was closed, or never was one is SQLITE_MISUSE, and
 * so is closing one twice: handles are looked up, never followed, and so are texts that are freed. That cannot be
 * done for other pointers; they must be valid or NULL.
 *
 * THREADS. Any thread may use any handle. Calls on one handle run one at a time: a second thread waits until the
 * first call is done. Calls on different handles run side by side. A progress callback runs in the thread that
 * made the call. It must not use that call's handle (SQLITE_MISUSE), except for `qk_interrupt` and `qk_phase`, nor wait for a
 * thread that does. It does not wait for other handles either: one that another thread is using is SQLITE_BUSY there.
 * An auto-extension of the program's that runs because a call opens a connection is such a callback, too.
 * To end a long call: a progress callback that returns something other than 0, or `qk_interrupt` from another thread.
 * The work then undoes what it has begun. A thread that is cancelled (`pthread_cancel`) in a call ends after it.
 * That is so for deferred cancelling. A thread whose type is PTHREAD_CANCEL_ASYNCHRONOUS may be cancelled on the way into a call, which no
 * library survives: set the type to PTHREAD_CANCEL_DEFERRED before. A call leaves it so.
 * A call takes up to 48 KiB of its thread's stack, SQLite included: give a thread at least 96 KiB, and more where
 * SQLite needs that by itself, for triggers within triggers, functions of the program's own or callbacks.
 *
 * FORKS. Handles do not survive a fork: in a child, every call on a handle of the parent's is SQLITE_MISUSE, and
 * `qk_close` only forgets it. A child may open handles of its own, on the same file, too: handles hold nothing
 * between calls that it could inherit. That is not so for SQLite's connections: a program that forks must close its
 * own on that file first. As always in POSIX, a child of a program with several threads may do nothing but exec; a
 * fork in the middle of a call counts as that. This library keeps to its word even there: calls on the parent's
 * handles are refused at once, and so is opening a file (SQLITE_MISUSE) that a call was using at the fork.
 *
 * LIFETIME. Handles last until they are closed, also beyond the thread that opened them. The library, once it is
 * bound to a SQLite, stays loaded until the process ends, whoever unloads it. A process may end with handles open.
 *
 * WHICH SQLITE. The library contains none, since two SQLites in one process that use the same file destroy each
 * other's locks. It runs on one for as long as the process lives:
 *
 *   1. the first that loads it, or another copy of it, as an extension, or that `qk_bind` names;
 *   2. else, at the first `qk_open`: the one that is in the process (the program's own, if it exports its
 *      symbols, or a shared libsqlite3);
 *   3. else the system's libsqlite3, which is then loaded;
 *   4. else the library that the environment variable QUEUEKEEPER_SQLITE names.
 *
 * Copies of the library at other paths, in other scopes of the linker, and whose files are gone, count as one. Beside
 * a copy of version 0.1.0, which does not tell what it runs on, this one is refused. What cannot be seen: copies in
 * another namespace of the linker (`dlmopen`); a copy of 0.1.0 that comes later, until the next `qk_open` or load.
 *
 * Programs and language runtimes with a hidden SQLite of their own must name it: load the library into it as an
 * extension once (any connection will do, also one to ":memory:"), or call `qk_bind`. On Linux, `qk_open` and later
 * calls refuse a file that is open in this process already when that may be through another SQLite than theirs:
 * with no SQLite to be found in the process at all (step 3), or with a second copy in it. What cannot be seen: on
 * systems other than Linux, anything of this; and another copy that opens the file in the middle of a call. Files
 * that `qk_restore` names as its target are not watched.
 */

#ifndef QUEUEKEEPER_H
#define QUEUEKEEPER_H

/* Generated by cbindgen from src/ and cbindgen.toml; to change it, change those and run scripts/header. */

#include <stdint.h>

/* SQLite's own types, from <sqlite3.h> and <sqlite3ext.h>; only pointers to them are passed. */
struct sqlite3;
struct sqlite3_api_routines;

/* Passed for a number: leaves it out, so that its default counts. */
#define QK_DEFAULT INT64_MIN

/*
 A handle on one queue database.
 */
typedef struct qk_queue qk_queue;

/*
 Hears how far a call is: `pages_done` of `pages_total` pages. Returns 0 to go on, anything else to stop; the call then
 undoes what it has begun and returns `SQLITE_INTERRUPT`.

 It is called in the thread that made the call, as long as the call lasts, about every 20 ms, and once more at the beginning
 and at the end of each phase (`qk_phase`; a restore rebuilds and checks the backup, saves the present database, and writes).
 In each phase `pages_done` begins at 0 and never falls, and `pages_total` stays as it is; a phase that reads a file counts
 its bytes, divided by the database's page size. What cannot be counted has 0 and 0. During a wait, as for a lock, it is
 called with the numbers of last time. It may use other handles, unless another thread is using them (`SQLITE_BUSY`), but not
 this one. It must return, in the process that it was called in: no `longjmp`, no C++ exception, and a child that it forks ends
 by `_exit` or `exec`.
 */
typedef int (*qk_progress)(void *context, uint64_t pages_done, uint64_t pages_total);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of the library, such as "0.1.0". A static string, never NULL, not to be freed. May be called at any time
 and from any thread, before the library is bound to a SQLite, too.
 */
const char *qk_version(void);

/*
 Says which SQLite to run on: the one that `api` is the API table of, the third argument of every extension's entry point.
 Only needed where the library would not find it by itself (see "Which SQLite" above), and then before any other call.

 It also vouches that no other SQLite in this process uses the files that will be opened; the library then stops
 looking for signs of that.

 Returns `SQLITE_OK`, also when the library runs on that SQLite already. `SQLITE_MISUSE`: `api` is NULL. `SQLITE_ERROR`: it
 runs on another one, which cannot be changed any more; or this one is older than 3.37.0, or lacks a needed function.

 Requires: `api` is NULL or the API table of a SQLite that stays in the process.
 */
int qk_bind(struct sqlite3_api_routines *api);

/*
 Opens a handle on the database at `path`, and writes it to `*queue`. The database must exist: none is made. `":memory:"`
 opens an empty database in memory, from where backups can be verified, and restored to paths. URIs are not understood.

 Each call opens a connection of its own and closes it again: between calls a handle holds no lock and no file. The
 connection waits up to 5 seconds for locks that others hold, makes no checkpoint, and leaves the `-wal` and `-shm` files
 in place. A file that was put in the place of another is what the next call works on.

 Returns `SQLITE_OK`; `SQLITE_MISUSE`: `path` or `queue` is NULL; `SQLITE_CANTOPEN`: there is no such file, or it cannot be
 opened; `SQLITE_ERROR`: no SQLite to run on was found, or another SQLite in this process may have the file open. After an
 error `qk_errmsg(NULL)` has the message, and there is nothing to close. `SQLITE_MISUSE`, too, in a child that was forked while
 a call was using that file, and in an auto-extension of the program's that runs because the first call looks for its SQLite.

 Requires: `path` is NULL or a C string, `queue` NULL or a place for a pointer.
 */
int qk_open(const char *path,
            qk_queue **queue);

/*
 Opens a handle on a connection that the program has, and writes it to `*queue`. `qk_close` does not close that
 connection; close the handle first, the connection after it.

 A call on the handle then works as a SQL function does on that connection: it sees its transaction, takes part in it,
 and is ended by `sqlite3_interrupt(db)`. While a call runs, no other thread may use the connection, unless SQLite is
 in serialized mode (its default); there, other threads' statements wait until the call is done, and the call until theirs are.

 Returns `SQLITE_OK`; `SQLITE_MISUSE`: `db` or `queue` is NULL, or the library does not know the connection's SQLite yet:
 load it into the connection as an extension first, or call `qk_bind`.

 Requires: `db` is NULL or an open connection of the SQLite that the library runs on, which cannot be checked; `queue` is NULL
 or a place for a pointer.
 */
int qk_wrap(struct sqlite3 *db,
            qk_queue **queue);

/*
 Closes a handle. Waits for a call that is running on it in another thread; `qk_interrupt` makes that shorter. Nobody can
 use the handle from then on.

 Returns `SQLITE_OK`, also for NULL. `SQLITE_MISUSE`: the handle is closed already or was none, or the call comes from a
 progress callback of this handle. `SQLITE_BUSY`: it comes from a callback of another, while a third call uses this one.

 In a child that was forked since the handle was opened, it only forgets the handle.
 */
int qk_close(qk_queue *queue);

/*
 Asks the call that is running on this handle in another thread to end soon, with `SQLITE_INTERRUPT`. It undoes what it has
 begun. When none is running, nothing happens; the next one is not affected.

 Returns `SQLITE_OK`, or `SQLITE_MISUSE` for what is no open handle. May be called from any thread, and from a progress
 callback, but not from a signal handler.
 */
int qk_interrupt(qk_queue *queue);

/*
 What the call that is running on this handle is doing: `"copying"`, `"compressing"`, `"syncing"`, `"reading"`, `"rebuilding"`,
 `"comparing"`, `"checking"`, `"saving"` (the present database, before a restore), `"writing"`, `"compacting"`, `"analyzing"`;
 further ones may come. NULL when no call is running, before its first phase, and for what is no open handle.

 A static string, not to be freed. May be called from any thread, and from a progress callback: it is called as each phase
 begins, and its numbers are of that phase.
 */
const char *qk_phase(qk_queue *queue);

/*
 The message of the last call on this handle that failed: what failed, on which path, and what to do. For NULL, and for
 what is no open handle, that of the last call of this thread that failed: so it tells why a handle could not be opened.
 Empty if none has failed.

 Never NULL, not to be freed, UTF-8. It stays as it is until this thread calls `qk_errmsg` again or ends, whatever other
 threads do.
 */
const char *qk_errmsg(qk_queue *queue);

/*
 Frees a text that a function of this library wrote to an out-parameter. NULL does nothing, and so does anything else that is no
 such text or was freed already; `qk_errmsg(NULL)` then says so.
 */
void qk_free(char *text);

/*
 Backs up the database: one true snapshot, however busy it is. See the SQL function `queue_backup([path [,
 options]])`.

 `path`: a directory, or a file; NULL: the default directory. `options`: a JSON object with `name`, `type`, `compression`,
 `level`, `verify`, `overwrite`; NULL: none. `*result`: JSON, the catalog object of the new backup.

 Requires: `path` is NULL or a C string; `options` is NULL or a C string; `progress` is NULL or may be called with `context`;
 `result` is NULL or a place for a pointer.
 */
int qk_backup(qk_queue *queue,
              const char *path,
              const char *options,
              qk_progress progress,
              void *context,
              char **result);

/*
 Restores a backup. See the SQL function `queue_restore(backup [, target [, options]])`.

 `backup`: a path, an id or its beginning, or `"latest"`. `target`: the database to become it; NULL: the handle's own, live, as one
 transaction. `options`: a JSON object with `dir`, `overwrite`, `requeue_leases`, `dry_run`; NULL: none. `*result`: JSON, what was
 restored, how old it is, and where the safety backup is.

 Requires: `backup` is NULL or a C string; `target` is NULL or a C string; `options` is NULL or a C string; `progress` is NULL
 or may be called with `context`; `result` is NULL or a place for a pointer.
 */
int qk_restore(qk_queue *queue,
               const char *backup,
               const char *target,
               const char *options,
               qk_progress progress,
               void *context,
               char **result);

/*
 Verifies a backup. See the SQL function `queue_verify(backup [, level [, options]])`.

 `backup`: a path, an id or its beginning, or `"latest"`. `level`: `"checksum"`, `"quick"` or `"full"`; NULL: quick. `options`: a JSON object
 with `dir`; NULL: none. `*result`: JSON with `status` (`ok` or `corrupted`) and `details`. That a backup is corrupted is a
 result, not an error.

 Requires: `backup` is NULL or a C string; `level` is NULL or a C string; `options` is NULL or a C string; `progress` is NULL
 or may be called with `context`; `result` is NULL or a place for a pointer.
 */
int qk_verify(qk_queue *queue,
              const char *backup,
              const char *level,
              const char *options,
              qk_progress progress,
              void *context,
              char **result);

/*
 Deletes one backup. See the SQL function `queue_delete_backup(backup [, options])`.

 `backup`: a path, an id or its beginning, or `"latest"`. `options`: a JSON object with `dir`, `dependants`, `dry_run`; NULL: none. `*result`: JSON, what
 was deleted.

 Requires: `backup` is NULL or a C string; `options` is NULL or a C string; `result` is NULL or a place for a pointer.
 */
int qk_delete_backup(qk_queue *queue,
                     const char *backup,
                     const char *options,
                     char **result);

/*
 Lists the backups, the newest first. See the SQL table `queue_backups([dir])`.

 `dir`: whose catalog; NULL: the default directory. `*result`: JSON, an array of objects.

 Requires: `dir` is NULL or a C string; `result` is NULL or a place for a pointer.
 */
int qk_backups(qk_queue *queue, const char *dir, char **result);

/*
 Deletes the backups that a policy does not keep. See the SQL function `queue_rotate(keep [, dir])`.

 `keep`: the policy, as text: a count such as `"7"`, `"7/4/12"`, or a JSON object. `dir`: whose catalog; NULL: the default
 directory. `*deleted`: how many backups were deleted.

 Requires: `keep` is NULL or a C string; `dir` is NULL or a C string; `deleted` is NULL or a place for a number.
 */
int qk_rotate(qk_queue *queue,
              const char *keep,
              const char *dir,
              int64_t *deleted);

/*
 Shows what `qk_rotate` would do with the same arguments, and why. See the SQL table `queue_rotation(keep [, dir])`.

 `dir` may also be a copy of a catalog whose backups lie elsewhere; then its word alone counts.

 `*result`: JSON, an array of objects with `backup_path`, `created_at`, `decision` (`keep` or `delete`), `reasons` and
 `source`.

 Requires: `keep` is NULL or a C string; `dir` is NULL or a C string; `result` is NULL or a place for a pointer.
 */
int qk_rotation(qk_queue *queue,
                const char *keep,
                const char *dir,
                char **result);

/*
 Puts tasks whose lease ended more than `secs` seconds ago back into the queue. See the SQL function
 `queue_requeue_stale(secs)`.

 `*requeued`: how many tasks were requeued.

 Requires: `requeued` is NULL or a place for a number.
 */
int qk_requeue_stale(qk_queue *queue, int64_t secs, int64_t *requeued);

/*
 Lists the leases that `qk_requeue_stale` would requeue. See the SQL table `queue_stale([secs])`.

 `secs`: `QK_DEFAULT` for what the setting `stale_secs` says, 300 by default. `*result`: JSON, an array of objects with
 `task_id`, `status`, `locked_by`, `lease_until_utc`, `overdue_seconds`, `attempts` and `blocked`.

 Requires: `result` is NULL or a place for a pointer.
 */
int qk_stale(qk_queue *queue,
             int64_t secs,
             char **result);

/*
 Puts chosen tasks that a worker holds back into the queue, whether their lease is over or not. See the SQL function
 `queue_requeue(filter [, options])`.

 `filter`: a JSON object with `ids`, `types`, `workers`, `after`, `before`, `limit`, or `all`. `options`: a JSON object with
 `dry_run`, `expect`; NULL: none. `*result`: JSON with `matched`, `requeued` and `dry_run`, and perhaps `blocked` and
 `blocked_tasks`.

 Requires: `filter` is NULL or a C string; `options` is NULL or a C string; `result` is NULL or a place for a pointer.
 */
int qk_requeue(qk_queue *queue,
               const char *filter,
               const char *options,
               char **result);

/*
 Lists the tasks that workers hold, the first lease to end first. See the SQL table `queue_leases()`.

 `*result`: JSON, an array of objects with `task_id`, `type`, `status`, `locked_by`, `lease_until_utc`, `ends_utc`,
 `overdue_seconds` (below 0 until the lease ends), `attempts` and `blocked`.

 Requires: `result` is NULL or a place for a pointer.
 */
int qk_leases(qk_queue *queue,
              char **result);

/*
 Counts the tasks by status. See the SQL table `queue_depth()`.

 `*result`: JSON, an array of objects with `status`, `tasks`, `oldest_utc` and `newest_utc`.

 Requires: `result` is NULL or a place for a pointer.
 */
int qk_depth(qk_queue *queue, char **result);

/*
 Runs every job that is due. See the SQL function `queue_run_due([now | options])`.

 `now`: a time such as `"2026-11-05 02:00:00"`, UTC, or Unix seconds as a text; NULL: the present. Or a JSON object: `now`,
 `retry_now` (no pause after a failure), `dry_run` (nothing is run). `*result`: JSON, an array with an object for each job that
 ran: `job`, `due_utc`, `attempt`, `started_utc`, `finished_utc`, `status`, `steps`; of a dry run without the two times, and with
 the status `due`, or `skipped` of a step. That a job failed is a result, not an error.

 Requires: `now` is NULL or a C string; `result` is NULL or a place for a pointer.
 */
int qk_run_due(qk_queue *queue,
               const char *now,
               char **result);

/*
 Lists the jobs and when each is due, and the copies off-site. See the SQL table `queue_schedule()`.

 `*result`: JSON, an array of objects with `job`, `cron`, `last_run_utc`, `next_due_utc` and `last_status`. The last may be
 `offsite`, where the setting `remote` or the log tells of copies: its `cron` is null, and its `next_due_utc` is when a failed one
 is tried again, and its `last_status` is `lapsed` where a failed one is tried no more.

 Requires: `result` is NULL or a place for a pointer.
 */
int qk_schedule(qk_queue *queue,
                char **result);

/*
 Lists what was run, newest first. See the SQL table `queue_history()`.

 `*result`: JSON, an array of objects with `job`, `step`, `started_utc`, `finished_utc`, `status` and `detail`.

 Requires: `result` is NULL or a place for a pointer.
 */
int qk_history(qk_queue *queue,
               char **result);

/*
 Records a step that was done around the schedule, such as copying backups elsewhere, where `qk_history` shows it.

 SQL has no such function: it can insert into `queuekeeper_log`.

 `job`, `step`: 1 to 64 letters, digits, `-`, `_`, `.` or spaces; not one of the schedule's own jobs. `status`: `"running"` begins
 the step; `"ok"`, `"failed"` and `"skipped"` end it, or record one that took no time. `detail`: JSON, or the error in words; NULL:
 nothing. `now`: as for `qk_run_due`. `*number`: the row's number in the log.

 Requires: `job` is NULL or a C string; `step` is NULL or a C string; `status` is NULL or a C string; `detail` is NULL or a C
 string; `now` is NULL or a C string; `number` is NULL or a place for a number.
 */
int qk_record(qk_queue *queue,
              const char *job,
              const char *step,
              const char *status,
              const char *detail,
              const char *now,
              int64_t *number);

/*
 Stores a setting in the database. See the SQL function `queue_set(name, value)`.

 `value`: NULL resets the setting; a number is passed as its text. `*result`: the value as it was stored, as JSON.

 Requires: `name` is NULL or a C string; `value` is NULL or a C string; `result` is NULL or a place for a pointer.
 */
int qk_set(qk_queue *queue,
           const char *name,
           const char *value,
           char **result);

/*
 Lists all settings. See the SQL table `queue_settings()`.

 `*result`: JSON, an array of objects with `name`, `value`, `default_value` and `description`.

 Requires: `result` is NULL or a place for a pointer.
 */
int qk_settings(qk_queue *queue, char **result);

/*
 Measures the database. See the SQL function `queue_stats()`.

 `*result`: JSON, one object: `page_count`, `page_size`, `total_size_mb`, and so on.

 Requires: `result` is NULL or a place for a pointer.
 */
int qk_stats(qk_queue *queue, char **result);

/*
 Copies the WAL into the database. See the SQL function `queue_checkpoint([mode])`.

 `mode`: `"PASSIVE"`, `"FULL"`, `"RESTART"` or `"TRUNCATE"`; NULL: passive. `*result`: JSON with `mode`, `busy`, `log` and
 `checkpointed`.

 Requires: `mode` is NULL or a C string; `result` is NULL or a place for a pointer.
 */
int qk_checkpoint(qk_queue *queue,
                  const char *mode,
                  char **result);

/*
 Runs VACUUM. See the SQL function `queue_vacuum()`.

 `progress`: may be NULL; SQLite counts no pages here, so it is called with 0 and 0. `*result`: JSON with
 `size_before_bytes`, `size_after_bytes`, `reclaimed_bytes`, and so on.

 Requires: `progress` is NULL or may be called with `context`; `result` is NULL or a place for a pointer.
 */
int qk_vacuum(qk_queue *queue,
              qk_progress progress,
              void *context,
              char **result);

/*
 Gathers the planner's statistics. See the SQL function `queue_analyze([table])`.

 `table`: NULL for all tables. `*result`: JSON with `analyzed`, an array of names, and `duration_ms`.

 Requires: `table` is NULL or a C string; `result` is NULL or a place for a pointer.
 */
int qk_analyze(qk_queue *queue,
               const char *table,
               char **result);

/*
 Gathers the planner's statistics, and if `full` is 1 runs VACUUM, too. See the SQL function
 `queue_optimize([full])`.

 `full`: 0, 1, or `QK_DEFAULT` for 0. `progress`: as for `qk_vacuum`. `*result`: JSON with `analyzed`, `vacuumed`,
 `stats_before` and `stats_after`.

 Requires: `progress` is NULL or may be called with `context`; `result` is NULL or a place for a pointer.
 */
int qk_optimize(qk_queue *queue,
                int64_t full,
                qk_progress progress,
                void *context,
                char **result);

/*
 Checks whether the database is sound. See the SQL table `queue_integrity([level [, max_errors]])`.

 `level`: `"quick"` or `"full"`; NULL: full. `max_errors`: `QK_DEFAULT` for 100. `*result`: JSON, an array of objects with
 `message`: the only one is `ok`, or each says what is wrong. That a database is damaged is a result, not an error.

 Requires: `level` is NULL or a C string; `result` is NULL or a place for a pointer.
 */
int qk_integrity(qk_queue *queue,
                 const char *level,
                 int64_t max_errors,
                 char **result);

/*
 Measures how healthy the database is. See the SQL table `queue_health()`.

 `*result`: JSON, an array of objects with `metric`, `value`, `unit`, `warning`, `critical`, `level` (`ok`, `warning`,
 `critical`, or `accepted` where the setting `accepted_risks` names the metric) and `action`.

 Requires: `result` is NULL or a place for a pointer.
 */
int qk_health(qk_queue *queue,
              char **result);

/*
 The extension's entry point. SQLite calls it when the library is loaded; an application that links the library can
 pass it to `sqlite3_auto_extension()`.

 Returns `SQLITE_OK`, or an error code with a message in `*error_message` that is to be freed with
 `sqlite3_free()`: the SQLite is older than 3.37.0, lacks a needed function, or is not the first SQLite in this process
 that loads the library. A refusal changes nothing.

 Requires: `db` is an open connection, `error_message` is NULL or a place for a pointer, and `api` is the API table of the
 SQLite that `db` belongs to.
 */
int sqlite3_queuekeeper_init(struct sqlite3 *db,
                             char **error_message,
                             struct sqlite3_api_routines *api);

/*
 The entry point for connections that run SQL of strangers: it defines `queue_depth`, `queue_stale`, `queue_stats` and
 `queue_version`, and nothing else. `load_extension(path, 'sqlite3_queuekeeperreadonly_init')` names it.

 Returns what `sqlite3_queuekeeper_init` returns.

 Requires: As for `sqlite3_queuekeeper_init`.
 */
int sqlite3_queuekeeperreadonly_init(struct sqlite3 *db,
                                     char **error_message,
                                     struct sqlite3_api_routines *api);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* QUEUEKEEPER_H */
