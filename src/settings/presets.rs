//! Presets: the tables of queue libraries, in the words of our settings.
//!
//! # Promise
//!
//! A preset gives settings other defaults; what somebody set by hand stays. Each was proved with the library itself: a worker is
//! killed holding a task, `queue_requeue_stale` rescues it, the library hands the very task out again and accepts that it is done.
//! `python-tests/queue/test_presets.py` does so for litequeue, localqueue, monlite and kartikeya in every run. honker and apalis take
//! long to compile, so the same test was run by hand for them, and is left out where they are not installed; it says how.
//!
//! A lease without an end has no `stale_secs` ([`crate::queue::patience`]), but where the library has a limit of its own.
//!
//! # Which libraries
//!
//! A library has a preset if it marks a claimed task with a time, and if giving the task back is an `UPDATE` of its row. Not so:
//!
//! - persist-queue and plainjob: a claimed task has a status, but no time of the claim, so how old the claim is cannot be known;
//! - huey: a claim deletes the row;
//! - gigq: times are local, without a zone, and a claim is two rows;
//! - firm-queue, which has Solid Queue's tables: a claim is a row of another table;
//! - liteque (npm): each time a task is given back it needs a new random id, or the worker that lost it could still finish it.
//!
//! Some of these libraries take leases back themselves, when one of their workers next looks for work. Then the rescue is earlier, or
//! happens without a worker.

use super::Setting;
use super::fixed::Fixed::{self, Nothing, Text, Whole};
use super::registry::{
    COLUMN_ATTEMPTS, COLUMN_CREATED_AT, COLUMN_ERROR, COLUMN_FINISHED_AT, COLUMN_HEARTBEAT, COLUMN_ID,
    COLUMN_LEASE_UNTIL, COLUMN_LOCKED_BY, COLUMN_MAX_ATTEMPTS, COLUMN_RESERVED_AT, COLUMN_RUN_AFTER, COLUMN_STATUS,
    COLUMN_UPDATED_AT, COLUMN_WORKER_ID, PRESETS, REQUEUE_CLEARS, REQUEUE_SETS_RUN_AFTER, STALE_ATTEMPTS,
    STALE_NEEDS_DEAD_WORKER, STALE_SECS, STATUS_DEAD, STATUS_FINISHED, STATUS_LEASED, STATUS_QUEUED, TASK_TABLE,
    TIME_FORMAT, WORKERS_TABLE,
};

type Entries = [(&'static Setting, Fixed)];

/// PrismQ's shape is that of the settings' own defaults.
static PRISMQ: &Entries = &[];

/// litequeue 0.9 and 0.14 (Python): the lease has no end, `lock_time` is when it began. See [`super::exclusive`] about versions after
/// 0.9.
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

/// localqueue 1.4 (Python): a claim counts as an attempt already.
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

/// monlite 0.2 (Python, and the same tables in npm's @monlite/queue): the only time that a claim writes is that of the last change. A
/// claim counts as an attempt already, and fences the worker that lost it. Its own `recover` ignores the limit, its `fail` does not.
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

/// kartikeya 0.5 (Python): the lease has no end, `claimed_at` is when it began. The library's own worker gives a task up whose claim
/// is older than its setting, an hour by default.
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

/// honker 0.2 (Python, Rust): a claim counts as an attempt already, and the library moves a task that has used up its attempts into a
/// table of its own, `_honker_dead`, where a status would not be found.
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

/// apalis-sqlite 1.0 (Rust): the lease has no end, `lock_at` is when it began, and the worker's `last_seen` tells whether it lives.
static APALIS: &Entries = &[
    (&TASK_TABLE, Text("Jobs")),
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

/// What the preset of that name says about a setting.
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

/// Whether any preset says something about a setting.
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
