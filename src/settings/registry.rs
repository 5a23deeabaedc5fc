//! The settings: name, kind, default and description.
//!
//! # Promise
//!
//! Every setting is declared here, once. `queue_settings()` shows them in this order; a test compares
//! docs/settings.md with it.

use super::Setting;
use super::fixed::Fixed::{Nothing, Text as Word, Whole as Count};
use super::kind::{self, Kind};
use super::name;
use super::remote;
use super::risks;
use crate::retention::policy::{self, Policy};

macro_rules! settings {
    ($($(#[$meta:meta])* $item:ident, $name:literal, $kind:expr, $default:expr, $description:literal;)+) => {
        $(#[doc = $description] pub static $item: Setting =
            Setting { name: $name, kind: $kind, default: $default, description: $description };)+

        /// In the order of display.
        pub static ALL: &[&Setting] = &[$(&$item),+];
    };
}

pub const PRESETS: &[&str] = &["prismq", "litequeue", "localqueue", "monlite", "kartikeya", "honker", "apalis"];
const PERCENT: Kind = Kind::Real(0.0, 100.0);
const AMOUNT: Kind = Kind::Real(0.0, f64::MAX);
/// In seconds.
const CENTURY: i64 = 3_155_760_000;

settings! {
    BACKUP_DIR, "backup_dir", Kind::Text, Nothing,
        "the backup directory, a relative one starting at the database's; by default backups beside the database";
    QUEUE_NAME, "queue_name", Kind::Checked(queue_name, QUEUE), Nothing,
        "the name of this queue: its backups are known by it, wherever the database lies; by default they are known by the database's path";
    FORMER_PATHS, "former_paths", Kind::Checked(former_paths, PATHS), Word("[]"),
        "paths at which this database lay before: backups without a queue_name that were made of it there are its own";
    WAL_BUDGET_MB, "wal_budget_mb", Kind::Whole(1, i64::MAX), Count(4096),
        "by how many MB (2^20 bytes) the WAL may grow while a backup holds its snapshot";
    FULL_EVERY, "full_every", Kind::Whole(1, i64::MAX), Count(7),
        "how many backups a chain may have: a full one and the incrementals that build on it";
    REMOTE, "remote", Kind::Guarded(remote, remote::WORDS), Nothing,
        "where off-site copies go: a path, or a remote of rclone's configuration such as gdrive:Backups; only the Python package looks at it";
    REMOTE_KEEP, "remote_keep", Kind::Checked(keep, policy::text::FORMS), Nothing,
        "the retention policy of the off-site copies; without one, none is deleted";

    PRESET, "preset", Kind::Choice(PRESETS), Word("prismq"),
        "the queue library whose tables these are: gives the settings from task_table to stale_secs their defaults";
    TASK_TABLE, "task_table", Kind::Table, Word("task_queue"), "the table that holds the tasks";
    COLUMN_ID, "column_id", Kind::Column, Word("id"), "its column with the task's id";
    COLUMN_TYPE, "column_type", Kind::Column, Word("type"), "its column with the kind of work that the task is";
    COLUMN_STATUS, "column_status", Kind::Column, Word("status"), "its column with the status";
    COLUMN_LEASE_UNTIL, "column_lease_until", Kind::Column, Word("lease_until_utc"),
        "its column with the time at which the lease ends, or at which it began: stale_secs counts from it";
    COLUMN_LOCKED_BY, "column_locked_by", Kind::Column, Word("locked_by"), "its column with the worker that holds the task";
    COLUMN_RESERVED_AT, "column_reserved_at", Kind::Column, Word("reserved_at_utc"), "its column with the time of the claim";
    COLUMN_RUN_AFTER, "column_run_after", Kind::Column, Word("run_after_utc"),
        "its column with the time before which the task must not be claimed";
    COLUMN_CREATED_AT, "column_created_at", Kind::Column, Word("created_at_utc"), "its column with the time of creation";
    COLUMN_UPDATED_AT, "column_updated_at", Kind::Column, Word("updated_at_utc"), "its column with the time of the last change";
    COLUMN_ATTEMPTS, "column_attempts", Kind::Column, Word("attempts"), "its column with the number of attempts so far";
    COLUMN_MAX_ATTEMPTS, "column_max_attempts", Kind::Column, Word("max_attempts"), "its column with the number of attempts allowed";
    COLUMN_FINISHED_AT, "column_finished_at", Kind::Column, Word("finished_at_utc"),
        "its column with the time at which the task was over, which giving up sets";
    COLUMN_ERROR, "column_error", Kind::Column, Word("error_message"), "its column with the last error, which giving up sets";
    STATUS_QUEUED, "status_queued", Kind::Status, Word("queued"), "the status of a task that waits for a worker";
    STATUS_LEASED, "status_leased", Kind::Statuses, Word(r#"["leased","processing"]"#),
        "the status, or statuses, of a task that a worker holds";
    STATUS_DEAD, "status_dead", Kind::Status, Word("dead_letter"), "the status of a task that has used up its attempts";
    STATUS_FINISHED, "status_finished", Kind::Finished, Word(r#"["completed","failed","dead_letter"]"#),
        "the statuses of a task that is over, one way or another; {\"failed\": \"at_limit\"} stands for one that is over only with its attempts used up";
    TIME_FORMAT, "time_format", Kind::Choice(&["text", "iso", "unix", "unix_ms", "unix_ns"]), Word("text"),
        "how the queue writes times: text is YYYY-MM-DD HH:MM:SS, iso is YYYY-MM-DDTHH:MM:SSZ, both in UTC; unix in seconds, milliseconds or nanoseconds";
    REQUEUE_CLEARS, "requeue_clears", Kind::Columns, Word("[]"),
        "further columns that requeuing sets to NULL, besides those of the lease, the worker and the claim";
    REQUEUE_SETS_RUN_AFTER, "requeue_sets_run_after", Kind::Flag, Count(0),
        "1: requeuing sets the time before which the task must not be claimed to the present";
    STALE_ATTEMPTS, "stale_attempts", Kind::Choice(&["ignore", "count", "limit"]), Word("limit"),
        "what requeuing does about attempts: ignore; count adds one and gives a task that then has as many as allowed up as dead; limit, for queues that count when a task is claimed, only gives up";
    STALE_NEEDS_DEAD_WORKER, "stale_needs_dead_worker", Kind::Flag, Count(0),
        "1: a lease is stale only if its worker has not shown a sign of life for stale_secs either";
    WORKERS_TABLE, "workers_table", Kind::Table, Word("workers"), "the table of the workers";
    COLUMN_WORKER_ID, "column_worker_id", Kind::OtherColumn, Word("worker_id"), "its column with the worker's id";
    COLUMN_HEARTBEAT, "column_heartbeat", Kind::OtherColumn, Word("heartbeat_utc"), "its column with the last sign of life";
    STALE_SECS, "stale_secs", Kind::Whole(0, CENTURY), Count(300),
        "for how many seconds a lease must be over to be stale, where no other number is given; no default where the lease's time is when the claim began";

    DATABASE_MB_WARNING, "database_mb_warning", AMOUNT, Count(500), "queue_health: size of the database in MB above which to warn";
    DATABASE_MB_CRITICAL, "database_mb_critical", AMOUNT, Count(1000), "queue_health: size of the database in MB that is critical";
    WAL_MB_WARNING, "wal_mb_warning", AMOUNT, Count(50), "queue_health: size of the WAL in MB above which to warn";
    WAL_MB_CRITICAL, "wal_mb_critical", AMOUNT, Count(100), "queue_health: size of the WAL in MB that is critical";
    FRAGMENTATION_PCT_WARNING, "fragmentation_pct_warning", PERCENT, Count(10),
        "queue_health: free pages in percent of all above which to warn";
    FRAGMENTATION_PCT_CRITICAL, "fragmentation_pct_critical", PERCENT, Count(20),
        "queue_health: free pages in percent of all that are critical; the monthly job then runs VACUUM";
    STALE_LEASES_WARNING, "stale_leases_warning", AMOUNT, Count(10), "queue_health: number of stale leases above which to warn";
    STALE_LEASES_CRITICAL, "stale_leases_critical", AMOUNT, Count(50), "queue_health: number of stale leases that is critical";
    UNREADABLE_LEASES_WARNING, "unreadable_leases_warning", AMOUNT, Count(0),
        "queue_health: number of leases whose end nobody can read above which to warn";
    UNKNOWN_STATUSES_WARNING, "unknown_statuses_warning", AMOUNT, Count(0),
        "queue_health: number of tasks in a status that no setting names above which to warn";
    BLOCKED_LEASES_WARNING, "blocked_leases_warning", AMOUNT, Count(0),
        "queue_health: number of stale leases that requeuing could not put back above which to warn";
    BLOCKED_LEASES_CRITICAL, "blocked_leases_critical", AMOUNT, Count(50),
        "queue_health: number of stale leases that requeuing could not put back that is critical";
    FREE_DISK_GB_WARNING, "free_disk_gb_warning", AMOUNT, Count(10), "queue_health: free disk space in GB (2^30 bytes) below which to warn";
    FREE_DISK_GB_CRITICAL, "free_disk_gb_critical", AMOUNT, Count(5), "queue_health: free disk space in GB that is critical";
    BACKUP_HOURS_WARNING, "backup_hours_warning", AMOUNT, Count(26),
        "queue_health: age of the newest verified backup in hours above which to warn";
    BACKUP_HOURS_CRITICAL, "backup_hours_critical", AMOUNT, Count(50),
        "queue_health: age of the newest verified backup in hours that is critical";
    OFFSITE_HOURS_WARNING, "offsite_hours_warning", AMOUNT, Count(26),
        "queue_health: hours since the last push off-site that was done above which to warn";
    OFFSITE_HOURS_CRITICAL, "offsite_hours_critical", AMOUNT, Count(50),
        "queue_health: hours since the last push off-site that was done that are critical";
    ACCEPTED_RISKS, "accepted_risks", Kind::Checked(risks::accept, risks::WORDS), Word("[]"),
        "queue_health: metrics whose faults are known; their level is accepted, where it would be warning or critical";

    CRON_HOURLY, "cron_hourly", Kind::Checked(cron, CRON), Word("0 * * * *"), "when the hourly job is due; off: never";
    CRON_DAILY, "cron_daily", Kind::Checked(cron, CRON), Word("0 2 * * *"), "when the daily job is due; off: never";
    CRON_WEEKLY, "cron_weekly", Kind::Checked(cron, CRON), Word("0 2 * * 6"), "when the weekly job is due; off: never";
    CRON_MONTHLY, "cron_monthly", Kind::Checked(cron, CRON), Word("0 2 1 * *"), "when the monthly job is due; off: never";
    TIME_ZONE, "time_zone", Kind::Choice(&["UTC", "local"]), Word("UTC"),
        "the time zone of the cron expressions: UTC, or the machine's own";
    KEEP, "keep", Kind::Checked(keep, policy::text::FORMS), Word("7/4/12"), "the retention policy that the daily job rotates by";
    JOB_BACKUP_TYPE, "job_backup_type", Kind::Choice(&["full", "incremental", "snapshot"]), Word("full"),
        "the type of the daily job's backups; those of the weekly and monthly jobs are full, or snapshot if this says so";
    JOB_COMPRESSION, "job_compression", Kind::Choice(&["none", "gzip", "zstd"]), Word("none"), "the compression of the jobs' backups";
    VACUUM_MOVES_ROWIDS, "vacuum_moves_rowids", Kind::Flag, Count(0),
        "1: the jobs and queue_optimize(1) run VACUUM, and the jobs make backups of type snapshot, also where that may give rows new rowids that something may refer to";
    HISTORY_ROWS, "history_rows", Kind::Whole(100, 1_000_000), Count(5000), "how many rows queuekeeper_log may have";
}

const CRON: &str = "a cron expression of five fields (minute, hour, day of month, month, day of week), such as '0 2 * * 6', or 'off'";

fn cron(text: &str) -> Option<String> {
    crate::cron::Cron::parse(text).ok().map(|cron| cron.text().to_owned())
}

const QUEUE: &str = "a text of 1 to 64 bytes of letters, digits, '-', '_' and '.' that does not start with '.'";
const PATHS: &str = r#"a JSON array of paths, such as '["/srv/old/queue.db"]'"#;

fn queue_name(text: &str) -> Option<String> {
    name::is_name(text).then(|| text.to_owned())
}

fn former_paths(text: &str) -> Option<String> {
    kind::texts(text).map(|paths| serde_json::json!(paths).to_string())
}

fn keep(text: &str) -> Option<String> {
    Policy::from_text(text).ok().map(|_| text.trim().to_owned())
}

fn remote(text: &str) -> Option<String> {
    remote::accept(text).then(|| text.trim().to_owned())
}

pub fn find(name: &str) -> Option<&'static Setting> {
    ALL.iter().copied().find(|setting| setting.name.eq_ignore_ascii_case(name))
}
