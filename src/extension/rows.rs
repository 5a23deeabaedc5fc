//! The columns and rows of each table-valued function.

use rusqlite::types::Value;

use super::arguments::Arguments;
use super::tables::Spec;
use crate::backup::adopted;
use crate::backup::catalog::{Catalog, newest_first};
use crate::backup::entry::Entry;
use crate::backup::{rotate, target};
use crate::clock;
use crate::connection::Caller;
use crate::error::Result;
use crate::files::LiveFiles;
use crate::progress::Watch;
use crate::queue::{depth, leases};
use crate::upkeep::{integrity, stats};

/// All tables.
pub const TABLES: &[&Spec] = &[&BACKUPS, &DEPTH, &INTEGRITY, &ROTATION, &STALE, &STATS];

static BACKUPS: Spec = Spec {
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
    ],
    arguments: &["dir"],
    looks_at_files: true,
    rows: backups,
};

static DEPTH: Spec = Spec {
    name: "queue_depth",
    columns: &["status TEXT", "tasks INTEGER", "oldest_utc TEXT", "newest_utc TEXT"],
    arguments: &[],
    looks_at_files: false,
    rows: depth_rows,
};

static INTEGRITY: Spec = Spec {
    name: "queue_integrity",
    columns: &["message TEXT"],
    arguments: &["level", "max_errors"],
    looks_at_files: false,
    rows: integrity_rows,
};

static ROTATION: Spec = Spec {
    name: "queue_rotation",
    columns: &["backup_path TEXT", "created_at TEXT", "decision TEXT", "reasons TEXT"],
    arguments: &["keep", "dir"],
    looks_at_files: true,
    rows: rotation,
};

static STALE: Spec = Spec {
    name: "queue_stale",
    columns: &[
        "task_id",
        "status TEXT",
        "locked_by TEXT",
        "lease_until_utc TEXT",
        "overdue_seconds INTEGER",
        "attempts INTEGER",
    ],
    arguments: &["secs"],
    looks_at_files: false,
    rows: stale,
};

static STATS: Spec = Spec {
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
    rows: statistics,
};

fn text(value: Option<impl Into<String>>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.into()))
}

fn integer(value: Option<impl TryInto<i64>>) -> Value {
    value.map_or(Value::Null, |value| Value::Integer(value.try_into().unwrap_or(i64::MAX)))
}

fn backups(caller: &Caller, arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let argument = arguments.text(0, "dir")?;
    let directory = target::directory(caller, argument, &mut Watch::new(caller, None))?;
    let live = LiveFiles::of(caller)?;
    let catalog = Catalog::of(&directory, &live)?;
    let mut entries = catalog.backups()?;
    entries.extend(adopted::list(catalog.directory(), &live, &entries));
    newest_first(&mut entries);
    Ok(entries.iter().map(|entry| backup(entry.shown(catalog.directory()))).collect())
}

fn backup(entry: Entry) -> Vec<Value> {
    let counts = entry.task_counts.map(|counts| serde_json::Value::Object(counts).to_string());
    vec![
        text(Some(entry.id)),
        text(Some(entry.backup_type)),
        text(entry.name),
        text(Some(entry.source_path)),
        text(Some(entry.backup_path)),
        text(Some(entry.created_at)),
        integer(Some(entry.size_bytes)),
        integer(Some(i64::from(entry.compressed))),
        text(Some(entry.compression)),
        text(Some(entry.checksum)),
        text(entry.database_version),
        integer(entry.page_count),
        integer(entry.page_size),
        text(entry.parent_id),
        text(entry.content_digest),
        text(entry.hash_file_checksum),
        integer(entry.pages_stored),
        text(counts),
        integer(entry.duration_ms),
        text(entry.verified_at),
        text(entry.verified_level),
        text(entry.object_digest),
    ]
}

fn depth_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let rows = depth::depth(caller.connection())?;
    let values =
        rows.into_iter().map(|row| vec![row.status, Value::Integer(row.tasks), row.oldest_utc, row.newest_utc]);
    Ok(values.collect())
}

fn integrity_rows(caller: &Caller, arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let most = arguments.integer_or(1, "max_errors", integrity::DEFAULT_MAX_ERRORS)?;
    let messages = integrity::integrity(caller.connection(), arguments.text(0, "level")?, most)?;
    Ok(messages.into_iter().map(|message| vec![Value::Text(message)]).collect())
}

fn rotation(caller: &Caller, arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let policy = arguments.policy(0)?;
    let planned = rotate::planned(caller, &policy, arguments.text(1, "dir")?)?;
    let row = |one: rotate::Planned| {
        vec![
            text(Some(one.entry.backup_path)),
            text(Some(one.entry.created_at)),
            text(Some(if one.keep { "keep" } else { "delete" })),
            text(Some(one.reasons.join(", "))),
        ]
    };
    Ok(planned.into_iter().map(row).collect())
}

fn stale(caller: &Caller, arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let grace = arguments.integer_or(0, "secs", leases::DEFAULT_GRACE)?;
    let rows = leases::stale(caller.connection(), grace, clock::now())?;
    let values = rows.into_iter().map(|row| {
        vec![
            row.task_id,
            Value::Text(row.status),
            row.locked_by,
            row.lease_until_utc,
            Value::Integer(row.overdue_seconds),
            row.attempts,
        ]
    });
    Ok(values.collect())
}

fn statistics(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let row = stats::stats(caller)?;
    Ok(vec![vec![
        Value::Integer(row.page_count),
        Value::Integer(row.page_size),
        Value::Real(row.total_size_mb),
        Value::Integer(row.freelist_count),
        Value::Integer(row.wal_mode),
        Value::Real(row.wal_size_mb),
        text(row.path),
        Value::Integer(row.size_bytes),
        Value::Integer(row.wal_size_bytes),
        Value::Real(row.fragmentation_pct),
        integer(row.free_disk_bytes),
        Value::Text(row.journal_mode),
        Value::Text(row.sqlite_version),
    ]])
}
