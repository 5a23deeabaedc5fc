//! The runbook's health metrics, with thresholds and actions.
//!
//! # Promise
//!
//! - One row per metric, always the same ones in the same order, but for `offsite_age`, which is there where
//!   backups are copied elsewhere. `level` is `ok`, `warning` or `critical`:
//!   the value is above (for free disk space, below) the threshold. `action` says what to do, and is NULL if
//!   the level is ok. A metric without meaning here (free disk space of a database in memory, stale leases
//!   without a task table) has no value, and is ok.
//! - What the setting `accepted_risks` names has the level `accepted` where it would have `warning` or
//!   `critical`, whatever the reason, and its action says so: it is shown, and counted by nobody. Where that setting
//!   cannot be used nothing is accepted, and each action says why.
//! - Thresholds are settings. MB are 2^20 bytes, GB 2^30.
//! - A metric that cannot be read (an invalid catalog, unusable settings) is critical, with the error as its
//!   action. The others are shown.
//! - Reading takes milliseconds, however many tasks there are: sizes and free pages come from the database's
//!   header and `stat`, the last backup from the catalog, leases and statuses from an index that the status
//!   leads (without one, every task is read). Integrity is not checked, as that reads the whole database;
//!   `queue_integrity()` does.

mod deletions;
mod schedule;
mod tasks;

use chrono::TimeDelta;
use rusqlite::types::Value;

use crate::backup::find;
use crate::checkpoint::has_wal_reset_bug;
use crate::clock;
use crate::connection::Caller;
use crate::error::Result;
use crate::progress::Watch;
use crate::settings::registry as setting;
use crate::settings::{Setting, Settings, kind};
use crate::upkeep::stats::{self, Stats};

/// Tolerated clock difference of machines that back up the same database.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Ok,
    /// It would be more, but the setting `accepted_risks` names it.
    Accepted,
    Warning,
    Critical,
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Accepted => "accepted",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A row of `queue_health()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub metric: &'static str,
    pub value: Value,
    pub unit: Option<&'static str>,
    /// Threshold above (or below) which to warn.
    pub warning: Option<f64>,
    /// Threshold above (or below) which it is critical.
    pub critical: Option<f64>,
    pub level: Level,
    pub action: Option<String>,
}

pub fn health(caller: &Caller) -> Result<Vec<Metric>> {
    let stats = stats::stats(caller)?;
    let settings = Settings::of(caller.connection())?;
    let measured = |gauge: &Gauge| {
        let read = (gauge.read)(caller, &stats).and_then(|value| gauge.judge(&settings, &stats, value));
        read.unwrap_or_else(|error| {
            gauge.row(Value::Null, None, Level::Critical, Some(caller.blame_disk(error).message().into()))
        })
    };
    let mut metrics: Vec<Metric> = [SIZE, WAL, FRAGMENTATION].iter().map(measured).collect();
    metrics.extend(tasks::metrics(caller, &settings));
    metrics.extend([DISK, BACKUP].iter().map(measured));
    metrics.extend(schedule::is_copied(caller, &settings).then_some(&schedule::OFFSITE).map(measured));
    metrics.push(tasks::tasks_missing(caller));
    metrics.push(deletions::failed(caller));
    metrics.push(schedule::failing_steps(caller));
    metrics.extend([version(&stats), journal(&stats), patience(caller)?]);
    acknowledge(&mut metrics, &settings);
    Ok(metrics)
}

/// Gives what the setting `accepted_risks` names the level [`Level::Accepted`].
fn acknowledge(metrics: &mut [Metric], settings: &Settings) {
    let accepted = settings.text(&setting::ACCEPTED_RISKS).map(|array| array.and_then(|array| kind::texts(&array)));
    for metric in metrics.iter_mut().filter(|metric| metric.level != Level::Ok) {
        let action = metric.action.take().unwrap_or_default();
        metric.action = Some(match &accepted {
            Ok(Some(names)) if names.iter().any(|name| name == metric.metric) => {
                let level = std::mem::replace(&mut metric.level, Level::Accepted).word();
                format!("accepted by the setting accepted_risks, else {level}: {action}")
            }
            Ok(_) => action,
            Err(error) => format!("{action} (nothing is accepted: {})", error.message()),
        });
    }
}

/// A metric with thresholds.
struct Gauge {
    metric: &'static str,
    unit: &'static str,
    warning: &'static Setting,
    critical: &'static Setting,
    /// Whether less is worse.
    falling: bool,
    /// Whether no value is critical (except for a database in memory).
    needed: bool,
    action: &'static str,
    read: fn(&Caller, &Stats) -> Result<Option<f64>>,
}

const SIZE: Gauge = Gauge {
    metric: "database_size",
    unit: "MB",
    warning: &setting::DATABASE_MB_WARNING,
    critical: &setting::DATABASE_MB_CRITICAL,
    falling: false,
    needed: false,
    action: "archive or delete old tasks, then SELECT queue_vacuum()",
    read: |_, stats| Ok(Some(stats.total_size_mb)),
};

const WAL: Gauge = Gauge {
    metric: "wal_size",
    unit: "MB",
    warning: &setting::WAL_MB_WARNING,
    critical: &setting::WAL_MB_CRITICAL,
    falling: false,
    needed: false,
    action: "SELECT queue_checkpoint('TRUNCATE'); if that says busy, look for a connection that reads for long",
    read: |_, stats| Ok(Some(stats.wal_size_mb)),
};

const FRAGMENTATION: Gauge = Gauge {
    metric: "fragmentation",
    unit: "%",
    warning: &setting::FRAGMENTATION_PCT_WARNING,
    critical: &setting::FRAGMENTATION_PCT_CRITICAL,
    falling: false,
    needed: false,
    action: "SELECT queue_vacuum() when there is little to do",
    read: |_, stats| Ok(Some(stats.fragmentation_pct)),
};

const DISK: Gauge = Gauge {
    metric: "free_disk",
    unit: "GB",
    warning: &setting::FREE_DISK_GB_WARNING,
    critical: &setting::FREE_DISK_GB_CRITICAL,
    falling: true,
    needed: false,
    action: "clean up old backups (SELECT queue_rotate('7/4/12')) and logs",
    #[allow(clippy::cast_precision_loss)] // Sizes of disks stay far below 2^53.
    read: |_, stats| Ok(stats.free_disk_bytes.map(|bytes| bytes as f64 / (1u64 << 30) as f64)),
};

const BACKUP: Gauge = Gauge {
    metric: "backup_age",
    unit: "hours",
    warning: &setting::BACKUP_HOURS_WARNING,
    critical: &setting::BACKUP_HOURS_CRITICAL,
    falling: false,
    needed: true,
    action: "SELECT queue_backup(NULL, '{\"verify\": \"quick\"}'), and see in queue_history() why no job does",
    read: backup_age,
};

/// Hours since the newest verified backup of this database. One with a future time, by a wrong clock, would
/// look new until then, and is ignored. A database in memory has no backups.
fn backup_age(caller: &Caller, _stats: &Stats) -> Result<Option<f64>> {
    let verified = find::verified(caller, &mut Watch::new(caller, None))?;
    let ages =
        verified.iter().filter_map(|entry| clock::parse_rfc3339(&entry.created_at)).map(|made| caller.now() - made);
    Ok(ages.filter(|age| *age >= -CLOCKS_DIFFER).min().map(hours))
}

#[allow(clippy::cast_precision_loss)] // Seconds stay far below 2^53.
fn hours(age: TimeDelta) -> f64 {
    age.num_seconds() as f64 / 3600.0
}

impl Gauge {
    fn judge(&self, settings: &Settings, stats: &Stats, value: Option<f64>) -> Result<Metric> {
        let thresholds = (settings.real(self.warning)?, settings.real(self.critical)?);
        let level = match value {
            None if self.needed && stats.path.is_some() => Level::Critical,
            None => Level::Ok,
            Some(value) => level(value, thresholds, self.falling),
        };
        let action = (level != Level::Ok).then(|| self.action.to_owned());
        Ok(self.row(value.map_or(Value::Null, Value::Real), Some(thresholds), level, action))
    }

    fn row(&self, value: Value, thresholds: Option<(f64, f64)>, level: Level, action: Option<String>) -> Metric {
        let (warning, critical) = thresholds.unzip();
        Metric { metric: self.metric, value, unit: Some(self.unit), warning, critical, level, action }
    }
}

fn level(value: f64, (warning, critical): (f64, f64), falling: bool) -> Level {
    let beyond = |threshold| if falling { value < threshold } else { value > threshold };
    match (beyond(warning), beyond(critical)) {
        (_, true) => Level::Critical,
        (true, false) => Level::Warning,
        (false, false) => Level::Ok,
    }
}

fn plain(metric: &'static str, value: Value, unit: Option<&'static str>, fault: Option<&str>) -> Metric {
    let level = if fault.is_some() { Level::Warning } else { Level::Ok };
    Metric { metric, value, unit, warning: None, critical: None, level, action: fault.map(str::to_owned) }
}

fn version(stats: &Stats) -> Metric {
    let fault = has_wal_reset_bug(rusqlite::version_number()).then_some(
        "this SQLite can lose commits when a checkpoint overlaps them (the WAL-reset bug): update it to 3.51.3, 3.50.7, 3.44.6 or \
         newer; until then, use queue_checkpoint() in place of PRAGMA wal_checkpoint",
    );
    plain("sqlite_version", Value::Text(stats.sqlite_version.clone()), None, fault)
}

fn journal(stats: &Stats) -> Metric {
    let fault = (stats.wal_mode == 0 && stats.path.is_some())
        .then_some("readers and writers keep each other waiting: PRAGMA journal_mode=WAL");
    plain("journal_mode", Value::Text(stats.journal_mode.clone()), None, fault)
}

fn patience(caller: &Caller) -> Result<Metric> {
    let milliseconds = caller.busy_timeout()?;
    let fault = (milliseconds == 0)
        .then_some("this connection gives up at once when another one writes: PRAGMA busy_timeout=5000");
    Ok(plain("busy_timeout", Value::Integer(milliseconds), Some("ms"), fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_beyond_their_thresholds() {
        for (value, expected) in
            [(50.0, Level::Ok), (50.1, Level::Warning), (100.0, Level::Warning), (100.1, Level::Critical)]
        {
            assert_eq!(level(value, (50.0, 100.0), false), expected, "{value}");
        }
        for (value, expected) in
            [(10.0, Level::Ok), (9.9, Level::Warning), (5.0, Level::Warning), (4.9, Level::Critical)]
        {
            assert_eq!(level(value, (10.0, 5.0), true), expected, "{value}");
        }
        assert!(Level::Critical > Level::Warning && Level::Warning > Level::Ok);
    }
}
