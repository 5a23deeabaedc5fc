//! The metrics about tasks: stale, unreadable and blocked leases, unknown statuses, missing tasks.
//!
//! Without a task table they have no value, and are ok. The action names what was found.

use rusqlite::types::Value;

use super::{Level, Metric, level};
use crate::backup::warnings::lost_tasks;
use crate::connection::Caller;
use crate::error::Result;
use crate::queue::default_grace::{self, DefaultGrace};
use crate::queue::{leases, unknown_statuses, unreadable};
use crate::settings::registry as setting;
use crate::settings::{Settings, exclusive, kind};

/// How many statuses an action names.
const NAMED: usize = 5;

type Read = fn(&Caller, &Settings) -> Result<Metric>;

const METRICS: [(&str, Read); 4] = [
    ("stale_leases", stale),
    ("unreadable_leases", unreadable_leases),
    ("unknown_statuses", unknown_statuses),
    ("blocked_leases", blocked_leases),
];

/// Reads them; one that cannot be read is critical.
pub fn metrics(caller: &Caller, settings: &Settings) -> Vec<Metric> {
    let measured = METRICS.iter().map(|&(name, read)| {
        read(caller, settings).unwrap_or_else(|error| Metric {
            level: Level::Critical,
            action: Some(caller.blame_disk(error).message().into()),
            ..empty(name)
        })
    });
    measured.collect()
}

fn empty(metric: &'static str) -> Metric {
    Metric {
        metric,
        value: Value::Null,
        unit: Some("tasks"),
        warning: None,
        critical: None,
        level: Level::Ok,
        action: None,
    }
}

/// A count with its thresholds; `action` is only called if the level is not ok.
#[allow(clippy::cast_precision_loss)] // Counts of tasks stay far below 2^53.
fn counted(
    metric: &'static str,
    tasks: i64,
    (warning, critical): (f64, Option<f64>),
    action: impl FnOnce() -> String,
) -> Metric {
    let level = level(tasks as f64, (warning, critical.unwrap_or(f64::INFINITY)), false);
    Metric {
        value: Value::Real(tasks as f64),
        warning: Some(warning),
        critical,
        level,
        action: (level != Level::Ok).then(action),
        ..empty(metric)
    }
}

fn stale(caller: &Caller, settings: &Settings) -> Result<Metric> {
    let thresholds =
        (settings.real(&setting::STALE_LEASES_WARNING)?, Some(settings.real(&setting::STALE_LEASES_CRITICAL)?));
    let conn = caller.connection();
    let unmeasured = Metric { warning: Some(thresholds.0), critical: thresholds.1, ..empty("stale_leases") };
    let seconds = match default_grace::of(conn)? {
        DefaultGrace::Seconds(seconds) => seconds,
        // A database that cannot store settings needs no advice to set one.
        DefaultGrace::Unknown if exclusive::preset(conn)?.is_none() => {
            return Ok(Metric { level: Level::Warning, action: Some(default_grace::UNKNOWN.into()), ..unmeasured });
        }
        DefaultGrace::Unknown | DefaultGrace::NoQueue => return Ok(unmeasured),
    };
    Ok(counted("stale_leases", leases::count(conn, seconds, caller.now())?, thresholds, || {
        format!(
            "look for workers that died (SELECT locked_by, count(*) FROM queue_stale() GROUP BY 1), then SELECT \
             queue_requeue_stale({seconds})"
        )
    }))
}

fn unreadable_leases(caller: &Caller, settings: &Settings) -> Result<Metric> {
    let thresholds = (settings.real(&setting::UNREADABLE_LEASES_WARNING)?, None);
    let Some(found) = unreadable::leases(caller.connection(), caller.now())? else {
        return Ok(Metric { warning: Some(thresholds.0), ..empty("unreadable_leases") });
    };
    let format = settings.text(&setting::TIME_FORMAT)?.unwrap_or_default();
    Ok(counted("unreadable_leases", found.tasks, thresholds, || {
        let example = match &found.example {
            Value::Null => "they have no time".to_owned(),
            time => format!("{} is one of their times", kind::shown(time)),
        };
        format!(
            "these leases are never requeued, since nobody can tell when they end ({example}; the setting time_format is \
             '{format}', and an end more than ten years ahead is none): correct them, or name the format in which the workers write \
             with queue_set('time_format', …)"
        )
    }))
}

fn unknown_statuses(caller: &Caller, settings: &Settings) -> Result<Metric> {
    let thresholds = (settings.real(&setting::UNKNOWN_STATUSES_WARNING)?, None);
    let Some(found) = unknown_statuses::statuses(caller.connection())? else {
        return Ok(Metric { warning: Some(thresholds.0), ..empty("unknown_statuses") });
    };
    let tasks = found.iter().map(|&(_, tasks)| tasks).sum();
    Ok(counted("unknown_statuses", tasks, thresholds, || {
        let mut names: Vec<String> = found.iter().take(NAMED).map(|(status, _)| short(status)).collect();
        if found.len() > NAMED {
            names.push(format!("{} more", found.len() - NAMED));
        }
        format!(
            "no setting names the status of these tasks ({}), so nobody takes, requeues or finishes them as far as is known: name it \
             with queue_set('status_leased', …), or 'status_finished' if such a task is over, or correct the tasks",
            names.join(", ")
        )
    }))
}

fn blocked_leases(caller: &Caller, settings: &Settings) -> Result<Metric> {
    let thresholds =
        (settings.real(&setting::BLOCKED_LEASES_WARNING)?, Some(settings.real(&setting::BLOCKED_LEASES_CRITICAL)?));
    let conn = caller.connection();
    let seconds = match default_grace::of(conn)? {
        DefaultGrace::Seconds(seconds) => seconds,
        // Then only a requeue with an explicit grace can have blocked a task.
        DefaultGrace::Unknown => 0,
        DefaultGrace::NoQueue => {
            return Ok(Metric { warning: Some(thresholds.0), critical: thresholds.1, ..empty("blocked_leases") });
        }
    };
    let tasks = leases::count_blocked(conn, seconds, caller.now())?;
    Ok(counted("blocked_leases", tasks, thresholds, || {
        format!(
            "SELECT task_id, blocked FROM queue_stale({seconds}) WHERE blocked NOTNULL says why these tasks cannot be put back: change them, or \
             what keeps them, then SELECT queue_requeue_stale({seconds})"
        )
    }))
}

/// Tasks that earlier backups had and the queue lacks, see [`lost_tasks`].
pub fn tasks_missing(caller: &Caller) -> Metric {
    #[allow(clippy::cast_precision_loss)] // Counts of tasks stay far below 2^53.
    let value = |tasks: Option<u64>| tasks.map_or(Value::Null, |tasks| Value::Real(tasks as f64));
    match lost_tasks::now(caller) {
        Ok((tasks, None)) => Metric { value: value(tasks), ..empty("tasks_missing") },
        Ok((tasks, action)) => {
            Metric { value: value(tasks), level: Level::Warning, action, ..empty("tasks_missing") }
        }
        Err(error) => {
            let action = Some(caller.blame_disk(error).message().into());
            Metric { level: Level::Critical, action, ..empty("tasks_missing") }
        }
    }
}

/// A status in quotes; a long one is cut.
fn short(status: &str) -> String {
    const LONGEST: usize = 40;
    let cut: String = status.chars().take(LONGEST).collect();
    let more = if cut.len() < status.len() { "…" } else { "" };
    format!("'{}{more}'", cut.escape_debug())
}
