//! Generated from src/calls/operations.toml by scripts/operations; change that instead.

use super::arguments::Arguments;
use super::functions::{Output, count, json};
use super::table::Spec;
use crate::connection::Caller;
use crate::error::Result;
use crate::progress::Listener;

/// `queue_backup([path [, options]])`
pub fn backup<'a>(caller: &'a Caller, arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    let path = arguments.text(0, "path")?;
    let options = arguments.options(1)?;
    crate::backup::take::backup(caller, path, &options, listener)?.json().map(Output::Json)
}

/// `queue_restore(backup [, target [, options]])`
pub fn restore<'a>(caller: &'a Caller, arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    let backup = arguments.text(0, "backup")?;
    let target = arguments.text(1, "target")?;
    let options = arguments.options(2)?;
    json(&crate::backup::restore::restore(caller, backup, target, &options, listener)?)
}

/// `queue_verify(backup [, level [, options]])`
pub fn verify<'a>(caller: &'a Caller, arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    let backup = arguments.text(0, "backup")?;
    let level = arguments.text(1, "level")?;
    let options = arguments.options(2)?;
    json(&crate::backup::verify::verify(caller, backup, level, &options, listener)?)
}

/// `queue_delete_backup(backup [, options])`
pub fn delete_backup(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let backup = arguments.text(0, "backup")?;
    let options = arguments.options(1)?;
    json(&crate::backup::delete::delete(caller, backup, &options)?)
}

/// `queue_backups([dir])`
pub static BACKUPS: Spec = Spec {
    name: "queue_backups",
    columns: &[
        "id TEXT",
        "backup_type TEXT",
        "name TEXT",
        "source_path TEXT",
        "backup_path TEXT",
        "created_at TEXT",
        "size_bytes INTEGER",
        "compressed INTEGER",
        "compression TEXT",
        "checksum TEXT",
        "database_version TEXT",
        "page_count INTEGER",
        "page_size INTEGER",
        "parent_id TEXT",
        "content_digest TEXT",
        "hash_file_checksum TEXT",
        "pages_stored INTEGER",
        "task_counts TEXT",
        "duration_ms INTEGER",
        "verified_at TEXT",
        "verified_level TEXT",
        "object_digest TEXT",
        "sequence INTEGER",
        "queue_name TEXT",
        "deletion_error TEXT",
        "damaged_at TEXT",
    ],
    arguments: &["dir"],
    looks_at_files: true,
    rows: super::rows::backups::backups,
};

/// `queue_rotate(keep [, dir])`
pub fn rotate(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let keep = arguments.policy(0)?;
    let dir = arguments.text(1, "dir")?;
    count(crate::backup::rotate::rotate(caller, &keep, dir, None)?)
}

/// `queue_rotation(keep [, dir])`
pub static ROTATION: Spec = Spec {
    name: "queue_rotation",
    columns: &["backup_path TEXT", "created_at TEXT", "decision TEXT", "reasons TEXT", "source TEXT"],
    arguments: &["keep", "dir"],
    looks_at_files: true,
    rows: super::rows::backups::rotation,
};

/// `queue_requeue_stale(secs)`
pub fn requeue_stale(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let secs = arguments.integer(0, "secs")?;
    count(crate::queue::requeue::requeue(caller, secs, caller.now())?.requeued)
}

/// `queue_stale([secs])`
pub static STALE: Spec = Spec {
    name: "queue_stale",
    columns: &[
        "task_id",
        "status",
        "locked_by TEXT",
        "lease_until_utc TEXT",
        "overdue_seconds INTEGER",
        "attempts INTEGER",
        "blocked TEXT",
    ],
    arguments: &["secs"],
    looks_at_files: false,
    rows: super::rows::queue::stale,
};

/// `queue_requeue(filter [, options])`
pub fn requeue(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let filter = arguments.text(0, "filter")?;
    let options = arguments.options(1)?;
    json(&crate::queue::requeue::matching::requeue(caller, filter, &options, caller.now())?)
}

/// `queue_leases()`
pub static LEASES: Spec = Spec {
    name: "queue_leases",
    columns: &[
        "task_id",
        "type TEXT",
        "status",
        "locked_by TEXT",
        "lease_until_utc TEXT",
        "ends_utc TEXT",
        "overdue_seconds INTEGER",
        "attempts INTEGER",
        "blocked TEXT",
    ],
    arguments: &[],
    looks_at_files: false,
    rows: super::rows::queue::leases_rows,
};

/// `queue_depth()`
pub static DEPTH: Spec = Spec {
    name: "queue_depth",
    columns: &["status TEXT", "tasks INTEGER", "oldest_utc TEXT", "newest_utc TEXT"],
    arguments: &[],
    looks_at_files: false,
    rows: super::rows::queue::depth_rows,
};

/// `queue_run_due([now | options])`
pub fn run_due(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let now = arguments.time_or_options(0, "now")?;
    json(&crate::schedule::run::run_due(caller, now)?)
}

/// `queue_schedule()`
pub static SCHEDULE: Spec = Spec {
    name: "queue_schedule",
    columns: &["job TEXT", "cron TEXT", "last_run_utc TEXT", "next_due_utc TEXT", "last_status TEXT"],
    arguments: &[],
    looks_at_files: false,
    rows: super::rows::schedule::schedule_rows,
};

/// `queue_history()`
pub static HISTORY: Spec = Spec {
    name: "queue_history",
    columns: &["job TEXT", "step TEXT", "started_utc TEXT", "finished_utc TEXT", "status TEXT", "detail TEXT"],
    arguments: &[],
    looks_at_files: false,
    rows: super::rows::schedule::history_rows,
};

/// `qk_record(job, step, status [, detail [, now]])`
pub fn record(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    super::functions::record(caller, arguments)
}

/// `queue_set(name, value)`
pub fn set(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    super::functions::set(caller, arguments)
}

/// `queue_settings()`
pub static SETTINGS: Spec = Spec {
    name: "queue_settings",
    columns: &["name TEXT", "value", "default_value", "description TEXT"],
    arguments: &[],
    looks_at_files: false,
    rows: super::rows::upkeep::settings_rows,
};

/// `queue_stats()`
pub fn stats(caller: &Caller, _arguments: &Arguments) -> Result<Output> {
    json(&crate::upkeep::stats::stats(caller)?)
}

/// `queue_checkpoint([mode])`
pub fn checkpoint(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let mode = arguments.text(0, "mode")?;
    json(&crate::checkpoint::checkpoint(caller, mode, None)?)
}

/// `queue_vacuum()`
pub fn vacuum<'a>(caller: &'a Caller, _arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    json(&crate::upkeep::vacuum::vacuum(caller, listener)?)
}

/// `queue_analyze([table])`
pub fn analyze(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let table = arguments.text(0, "table")?;
    json(&crate::upkeep::analyze::analyze(caller, table, None)?)
}

/// `queue_optimize([full])`
pub fn optimize<'a>(caller: &'a Caller, arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    let full = arguments.integer_if_given(0, "full")?;
    json(&crate::upkeep::optimize::optimize(caller, full.unwrap_or(0), listener)?)
}

/// `queue_integrity([level [, max_errors]])`
pub static INTEGRITY: Spec = Spec {
    name: "queue_integrity",
    columns: &["message TEXT"],
    arguments: &["level", "max_errors"],
    looks_at_files: false,
    rows: super::rows::upkeep::integrity_rows,
};

/// `queue_health()`
pub static HEALTH: Spec = Spec {
    name: "queue_health",
    columns: &["metric TEXT", "value", "unit TEXT", "warning REAL", "critical REAL", "level TEXT", "action TEXT"],
    arguments: &[],
    looks_at_files: true,
    rows: super::rows::upkeep::health_rows,
};

/// `queue_stats()`
pub static STATS: Spec = Spec {
    name: "queue_stats",
    columns: &[
        "page_count INTEGER",
        "page_size INTEGER",
        "total_size_mb REAL",
        "freelist_count INTEGER",
        "wal_mode INTEGER",
        "wal_size_mb REAL",
        "path TEXT",
        "size_bytes INTEGER",
        "wal_size_bytes INTEGER",
        "fragmentation_pct REAL",
        "free_disk_bytes INTEGER",
        "journal_mode TEXT",
        "sqlite_version TEXT",
    ],
    arguments: &[],
    looks_at_files: false,
    rows: super::rows::upkeep::statistics,
};

/// `queue_version()`
pub fn version(_caller: &Caller, _arguments: &Arguments) -> Result<Output> {
    Ok(Output::Text(crate::VERSION.into()))
}

/// All tables.
pub static TABLES: &[&Spec] =
    &[&BACKUPS, &ROTATION, &STALE, &LEASES, &DEPTH, &SCHEDULE, &HISTORY, &SETTINGS, &INTEGRITY, &HEALTH, &STATS];

/// Those that only read the queue.
pub static READONLY: &[&Spec] = &[&STALE, &LEASES, &DEPTH, &STATS];
