//! Presets: queue libraries' tables in terms of our settings.
//!
//! # Promise
//!
//! A preset changes the defaults of settings; stored values stay. Each preset was tested with the library
//! itself: a worker is killed while it holds a task, `queue_requeue_stale` rescues the task, the library
//! hands the same task out again and accepts its completion. `python-tests/queue/test_presets.py` does so for
//! litequeue, localqueue, monlite and kartikeya in every run. honker and apalis take long to compile: their
//! tests were run by hand, and are skipped where they are not installed; the test file says how.
//!
//! A lease without an end has no `stale_secs` ([`crate::queue::default_grace`]), unless the library has a limit of
//! its own.
//!
//! # Which libraries
//!
//! A library can have a preset if it records the time of a claim, and if returning a task is an `UPDATE` of
//! its row. Those that cannot:
//!
//! - persist-queue and plainjob have a status for claimed tasks, but no time of the claim;
//! - huey deletes the row on a claim;
//! - gigq has local times without a zone, and a claim is two rows;
//! - firm-queue (Solid Queue's tables) records a claim in another table;
//! - liteque (npm) needs a new random id each time a task is returned, or the worker that lost it could still
//!   finish it.
//!
//! Some libraries reclaim leases themselves when a worker next looks for work. The rescue is earlier, or
//! happens without a worker.

use super::Setting;
use super::fixed::Fixed::{self, Nothing, Text, Whole};
use super::registry::{
    COLUMN_ATTEMPTS, COLUMN_CREATED_AT, COLUMN_ERROR, COLUMN_FINISHED_AT, COLUMN_HEARTBEAT, COLUMN_ID,
    COLUMN_LEASE_UNTIL, COLUMN_LOCKED_BY, COLUMN_MAX_ATTEMPTS, COLUMN_RESERVED_AT, COLUMN_RUN_AFTER, COLUMN_STATUS,
    COLUMN_TYPE, COLUMN_UPDATED_AT, COLUMN_WORKER_ID, PRESETS, REQUEUE_CLEARS, REQUEUE_SETS_RUN_AFTER,
    STALE_ATTEMPTS, STALE_NEEDS_DEAD_WORKER, STALE_SECS, STATUS_DEAD, STATUS_FINISHED, STATUS_LEASED, STATUS_QUEUED,
    TASK_TABLE, TIME_FORMAT, WORKERS_TABLE,
};

type Entries = [(&'static Setting, Fixed)];

/// Those whose lease's time is when the claim began.
pub const WITHOUT_END: [&str; 4] = ["litequeue", "monlite", "kartikeya", "apalis"];

/// PrismQ's tables are what the settings' own defaults describe.
static PRISMQ: &Entries = &[];

/// litequeue 0.9 and 0.14 (Python): leases have no end, `lock_time` is their beginning. For versions after
/// 0.9 see [`super::exclusive`].
static LITEQUEUE: &Entries = &[
    (&TASK_TABLE, Text("Queue")),
    (&COLUMN_ID, Text("message_id")),
    (&COLUMN_LEASE_UNTIL, Text("lock_time")),
    (&COLUMN_LOCKED_BY, Text("")),
    (&COLUMN_RESERVED_AT, Text("")),
    (&COLUMN_RUN_AFTER, Text("")),
    (&COLUMN_CREATED_AT, Text("in_time")),
    (&COLUMN_UPDATED_AT, Text("")),
    (&COLUMN_ATTEMPTS, Text("")),
    (&COLUMN_MAX_ATTEMPTS, Text("")),
    (&STATUS_FINISHED, Text("[2,3]")),
    (&COLUMN_FINISHED_AT, Text("done_time")),
    (&COLUMN_ERROR, Text("")),
    (&STATUS_QUEUED, Whole(0)),
    (&STATUS_LEASED, Whole(1)),
    (&STATUS_DEAD, Whole(3)),
    (&TIME_FORMAT, Text("unix_ns")),
    (&REQUEUE_CLEARS, Text(r#"["done_time"]"#)),
    (&STALE_ATTEMPTS, Text("ignore")),
    (&STALE_SECS, Nothing),
];

/// localqueue 1.4 (Python): a claim already counts as an attempt.
static LOCALQUEUE: &Entries = &[
    (&TASK_TABLE, Text("messages")),
    (&COLUMN_LEASE_UNTIL, Text("lease_until")),
    (&COLUMN_LOCKED_BY, Text("")),
    (&COLUMN_RESERVED_AT, Text("")),
    (&COLUMN_RUN_AFTER, Text("available_at")),
    (&COLUMN_CREATED_AT, Text("created_at")),
    (&COLUMN_UPDATED_AT, Text("updated_at")),
    (&STATUS_FINISHED, Text("[2,3]")),
    (&COLUMN_FINISHED_AT, Text("updated_at")),
    (&COLUMN_ERROR, Text("last_error")),
    (&STATUS_QUEUED, Whole(0)),
    (&STATUS_LEASED, Whole(1)),
    (&STATUS_DEAD, Whole(3)),
    (&TIME_FORMAT, Text("unix_ms")),
    (&REQUEUE_CLEARS, Text(r#"["receipt"]"#)),
    (&REQUEUE_SETS_RUN_AFTER, Whole(1)),
];

/// monlite 0.2 (Python, and the same tables in npm's @monlite/queue): a claim writes no time but that of the
/// last change. It already counts as an attempt, and fences the worker that lost it. The library's `recover`
/// ignores the limit of attempts, its `fail` does not.
static MONLITE: &Entries = &[
    (&TASK_TABLE, Text("_jobs")),
    (&COLUMN_LEASE_UNTIL, Text("updated_at")),
    (&COLUMN_LOCKED_BY, Text("locked_by")),
    (&COLUMN_RESERVED_AT, Text("")),
    (&COLUMN_RUN_AFTER, Text("run_at")),
    (&COLUMN_CREATED_AT, Text("created_at")),
    (&COLUMN_UPDATED_AT, Text("updated_at")),
    (&STATUS_FINISHED, Text(r#"["done","failed"]"#)),
    (&COLUMN_FINISHED_AT, Text("updated_at")),
    (&COLUMN_ERROR, Text("error")),
    (&STATUS_QUEUED, Text("pending")),
    (&STATUS_LEASED, Text("active")),
    (&STATUS_DEAD, Text("failed")),
    (&TIME_FORMAT, Text("unix_ms")),
    (&STALE_SECS, Nothing),
];

/// kartikeya 0.5 (Python): leases have no end, `claimed_at` is their beginning. The library's worker fails
/// tasks whose claim is older than its setting, an hour by default.
static KARTIKEYA: &Entries = &[
    (&TASK_TABLE, Text("tasks")),
    (&COLUMN_ID, Text("task_id")),
    (&COLUMN_LEASE_UNTIL, Text("claimed_at")),
    (&COLUMN_LOCKED_BY, Text("")),
    (&COLUMN_RESERVED_AT, Text("")),
    (&COLUMN_RUN_AFTER, Text("")),
    (&COLUMN_CREATED_AT, Text("created_at")),
    (&COLUMN_UPDATED_AT, Text("")),
    (&COLUMN_ATTEMPTS, Text("")),
    (&COLUMN_MAX_ATTEMPTS, Text("")),
    (&STATUS_FINISHED, Text(r#"["completed","failed"]"#)),
    (&COLUMN_FINISHED_AT, Text("completed_at")),
    (&COLUMN_ERROR, Text("")),
    (&STATUS_QUEUED, Text("pending")),
    (&STATUS_LEASED, Text("running")),
    (&STATUS_DEAD, Text("failed")),
    (&STALE_ATTEMPTS, Text("ignore")),
    (&STALE_SECS, Whole(3600)),
];

/// honker 0.2 (Python, Rust): a claim already counts as an attempt. Tasks without attempts left move to the
/// library's table `_honker_dead`, so no status means dead.
static HONKER: &Entries = &[
    (&TASK_TABLE, Text("_honker_live")),
    (&COLUMN_STATUS, Text("state")),
    (&COLUMN_LEASE_UNTIL, Text("claim_expires_at")),
    (&COLUMN_LOCKED_BY, Text("worker_id")),
    (&COLUMN_RESERVED_AT, Text("")),
    (&COLUMN_RUN_AFTER, Text("run_at")),
    (&COLUMN_CREATED_AT, Text("created_at")),
    (&COLUMN_UPDATED_AT, Text("")),
    (&STATUS_FINISHED, Text("[]")),
    (&COLUMN_FINISHED_AT, Text("")),
    (&COLUMN_ERROR, Text("")),
    (&STATUS_QUEUED, Text("pending")),
    (&STATUS_LEASED, Text("processing")),
    (&TIME_FORMAT, Text("unix")),
    (&REQUEUE_SETS_RUN_AFTER, Whole(1)),
    (&STALE_ATTEMPTS, Text("ignore")),
];

/// apalis-sqlite 1.0 (Rust): leases have no end, `lock_at` is their beginning, and the worker's `last_seen`
/// tells whether it is alive.
static APALIS: &Entries = &[
    (&TASK_TABLE, Text("Jobs")),
    (&COLUMN_TYPE, Text("job_type")),
    (&COLUMN_LEASE_UNTIL, Text("lock_at")),
    (&COLUMN_LOCKED_BY, Text("lock_by")),
    (&COLUMN_RESERVED_AT, Text("")),
    (&COLUMN_RUN_AFTER, Text("run_at")),
    (&COLUMN_CREATED_AT, Text("")),
    (&COLUMN_UPDATED_AT, Text("")),
    (&STATUS_FINISHED, Text(r#"["Done","Killed",{"Failed":"at_limit"}]"#)),
    (&COLUMN_FINISHED_AT, Text("done_at")),
    (&COLUMN_ERROR, Text("")),
    (&STATUS_QUEUED, Text("Pending")),
    (&STATUS_LEASED, Text(r#"["Queued","Running"]"#)),
    (&STATUS_DEAD, Text("Killed")),
    (&TIME_FORMAT, Text("unix")),
    (&REQUEUE_CLEARS, Text(r#"["done_at"]"#)),
    (&STALE_ATTEMPTS, Text("count")),
    (&STALE_NEEDS_DEAD_WORKER, Whole(1)),
    (&WORKERS_TABLE, Text("Workers")),
    (&COLUMN_WORKER_ID, Text("id")),
    (&COLUMN_HEARTBEAT, Text("last_seen")),
];

/// The preset's value for a setting, if it has one.
pub fn says(preset: &str, setting: &Setting) -> Option<Fixed> {
    let entries = match preset {
        "litequeue" => LITEQUEUE,
        "localqueue" => LOCALQUEUE,
        "monlite" => MONLITE,
        "kartikeya" => KARTIKEYA,
        "honker" => HONKER,
        "apalis" => APALIS,
        _ => PRISMQ,
    };
    entries.iter().find(|(known, _)| known.name == setting.name).map(|&(_, fixed)| fixed)
}

/// Whether any preset has a value for a setting.
pub fn concern(setting: &Setting) -> bool {
    PRESETS.iter().any(|preset| says(preset, setting).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::registry;
    use super::*;

    #[test]
    fn what_presets_and_defaults_say_is_allowed() {
        for setting in registry::ALL {
            let defaults = [setting.default].into_iter();
            let all = defaults.chain(PRESETS.iter().filter_map(|preset| says(preset, setting)));
            for fixed in all.filter(|&fixed| fixed != Fixed::Nothing) {
                assert!(setting.kind.accept(&fixed.value()).is_some(), "{}: {fixed:?}", setting.name);
            }
        }
    }

    #[test]
    fn every_preset_but_the_first_says_something() {
        let says_something = |preset: &&&str| registry::ALL.iter().any(|setting| says(preset, setting).is_some());
        assert_eq!(PRESETS.iter().filter(says_something).count(), PRESETS.len() - 1);
    }
}
