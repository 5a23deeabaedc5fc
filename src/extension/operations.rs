//! Generated from src/calls/operations.toml by scripts/operations; change that instead.

use sqlite_loadable::ext::sqlite3;

use super::functions::function;
use crate::calls::operations as calls;

/// Defines those that only read the queue on a connection.
pub fn define_readonly(db: *mut sqlite3) -> sqlite_loadable::Result<()> {
    function!(db, "queue_stats", 0..=0, calls::stats);
    function!(db, "queue_version", 0..=0, calls::version);
    Ok(())
}

/// Defines all functions on a connection.
pub fn define(db: *mut sqlite3) -> sqlite_loadable::Result<()> {
    function!(db, "queue_backup", 0..=2, |caller, arguments| calls::backup(caller, arguments, None));
    function!(db, "queue_restore", 1..=3, |caller, arguments| calls::restore(caller, arguments, None));
    function!(db, "queue_verify", 1..=3, |caller, arguments| calls::verify(caller, arguments, None));
    function!(db, "queue_delete_backup", 1..=2, calls::delete_backup);
    function!(db, "queue_rotate", 1..=2, calls::rotate);
    function!(db, "queue_requeue_stale", 1..=1, calls::requeue_stale);
    function!(db, "queue_requeue", 1..=2, calls::requeue);
    function!(db, "queue_run_due", 0..=1, calls::run_due);
    function!(db, "queue_set", 2..=2, calls::set);
    function!(db, "queue_stats", 0..=0, calls::stats);
    function!(db, "queue_checkpoint", 0..=1, calls::checkpoint);
    function!(db, "queue_vacuum", 0..=0, |caller, arguments| calls::vacuum(caller, arguments, None));
    function!(db, "queue_analyze", 0..=1, calls::analyze);
    function!(db, "queue_optimize", 0..=1, |caller, arguments| calls::optimize(caller, arguments, None));
    function!(db, "queue_version", 0..=0, calls::version);
    Ok(())
}
