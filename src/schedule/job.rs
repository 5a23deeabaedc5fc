//! The jobs and their steps.
//!
//! # Promise
//!
//! The jobs are those of the runbook: `hourly` (checkpoint, requeue), `daily` (backup named daily, verify,
//! rotate, analyze, checkpoint, requeue), `weekly` (backup named weekly, integrity, optimize with VACUUM),
//! `monthly` (backup named monthly, VACUUM if fragmented). No VACUUM and no snapshot is made if it might move
//! rowids that something refers to ([`rowids`]): the step is `ok` with a note. A failed step does not stop
//! the others, except those that would make things worse: rotation and VACUUM are skipped if the backup
//! before them failed or is not sound, or the database itself is not. Which steps are left out, and which
//! backup is shared: see [`super::course`].

use serde_json::{Value, json};

use crate::backup::take::options;
use crate::backup::{find, rotate, take, verify};
use crate::checkpoint;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::queue::default_grace::{self, DefaultGrace};
use crate::queue::requeue;
use crate::retention::policy::Policy;
use crate::settings::registry as setting;
use crate::settings::{Setting, Settings};
use crate::upkeep::{analyze, integrity, optimize, rowids, stats, vacuum_unattended};

pub struct Job {
    /// Also the name of its backups.
    pub name: &'static str,
    /// The setting with its cron expression.
    pub cron: &'static Setting,
    pub steps: &'static [Step],
}

/// In the order in which due ones run.
pub static JOBS: [Job; 4] = [
    Job { name: "hourly", cron: &setting::CRON_HOURLY, steps: &[Step::Checkpoint, Step::Requeue] },
    Job {
        name: "daily",
        cron: &setting::CRON_DAILY,
        steps: &[Step::Backup, Step::Verify, Step::Rotate, Step::Analyze, Step::Checkpoint, Step::Requeue],
    },
    Job { name: "weekly", cron: &setting::CRON_WEEKLY, steps: &[Step::Backup, Step::Integrity, Step::Optimize] },
    Job { name: "monthly", cron: &setting::CRON_MONTHLY, steps: &[Step::Backup, Step::Vacuum] },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Backup,
    /// Verifies the job's backup.
    Verify,
    /// Rotates by the setting `keep`.
    Rotate,
    Analyze,
    Checkpoint,
    Requeue,
    /// Checks the database's integrity.
    Integrity,
    /// VACUUM and ANALYZE.
    Optimize,
    /// VACUUM if fragmented.
    Vacuum,
}

impl Step {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Verify => "verify",
            Self::Rotate => "rotate",
            Self::Analyze => "analyze",
            Self::Checkpoint => "checkpoint",
            Self::Requeue => "requeue",
            Self::Integrity => "integrity",
            Self::Optimize => "optimize",
            Self::Vacuum => "vacuum",
        }
    }

    /// The steps of the same job without which this one is skipped.
    pub fn needs(self) -> &'static [Self] {
        match self {
            Self::Verify | Self::Vacuum => &[Self::Backup],
            Self::Rotate => &[Self::Backup, Self::Verify],
            Self::Optimize => &[Self::Backup, Self::Integrity],
            _ => &[],
        }
    }

    /// Whether it keeps writers out for as long as it takes. An integrity check only reads.
    pub fn is_heavy(self) -> bool {
        matches!(self, Self::Optimize | Self::Vacuum)
    }

    /// Whether the result of an earlier attempt still counts: a backup may have been deleted since, say as
    /// damaged.
    pub fn stands(self, caller: &Caller, detail: &Value) -> Result<bool> {
        match detail.get("id").and_then(Value::as_str) {
            _ if self != Self::Backup => Ok(true),
            Some(id) => find::is_there(caller, id),
            None => Ok(false),
        }
    }

    /// Runs the step and returns its result as JSON. `name` is that of the backup to make; `backup` is the id of
    /// the job's backup, if there is one yet.
    pub fn run(self, caller: &Caller, name: &str, backup: Option<&str>) -> Result<Value> {
        let settings = Settings::of(caller.connection())?;
        match self {
            Self::Backup => back_up(caller, name, &settings),
            Self::Verify => verify(caller, backup),
            Self::Rotate => {
                let keep = settings.text(&setting::KEEP)?.unwrap_or_default();
                let deleted = rotate::rotate(caller, &Policy::from_text(&keep)?, None, backup)?;
                Ok(json!({ "keep": keep, "deleted": deleted }))
            }
            Self::Analyze => shown(&analyze::analyze(caller, None, None)?),
            Self::Checkpoint => shown(&checkpoint::checkpoint(caller, None, None)?),
            Self::Requeue => rescue(caller),
            Self::Integrity => check_integrity(caller),
            Self::Optimize => shown(&optimize::optimize(caller, 1, None)?),
            Self::Vacuum => vacuum_if_fragmented(caller, &settings),
        }
    }
}

fn shown(outcome: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(outcome)
        .map_err(|error| Error::internal(format!("the result cannot be written as JSON ({error})")))
}

fn back_up(caller: &Caller, name: &str, settings: &Settings) -> Result<Value> {
    let kind = settings.text(&setting::JOB_BACKUP_TYPE)?.unwrap_or_default();
    // A chain of daily backups ends with the week.
    let kind = if name != "daily" && kind == "incremental" { "full" } else { &kind };
    if kind != "snapshot" {
        return object(back_up_as(caller, name, settings, kind)?);
    }
    // A snapshot is the copy of a VACUUM, and may be restored.
    let reason = match rowids::reason_against(caller)? {
        Some(reason) => reason,
        None => match back_up_as(caller, name, settings, kind) {
            Err(error) => match error.missing() {
                Some(missing) => format!("the schema needs {missing}, which only the application's connection has"),
                None => return Err(error),
            },
            taken => return object(taken?),
        },
    };
    let mut taken = back_up_as(caller, name, settings, "full")?;
    taken.notes.push(format!("a full backup instead of a snapshot: {reason}"));
    object(taken)
}

fn back_up_as(caller: &Caller, name: &str, settings: &Settings, kind: &str) -> Result<take::Taken> {
    let requested = json!({ "name": name, "type": kind, "compression": settings.text(&setting::JOB_COMPRESSION)? });
    let options: options::Options = serde_json::from_value(requested)
        .map_err(|error| Error::internal(format!("the options of the job's backup are not understood ({error})")))?;
    take::backup(caller, None, &options, None)
}

fn object(taken: take::Taken) -> Result<Value> {
    serde_json::from_str(&taken.json()?)
        .map_err(|error| Error::internal(format!("the backup's object is no JSON ({error})")))
}

fn verify(caller: &Caller, backup: Option<&str>) -> Result<Value> {
    let outcome = verify::verify(caller, backup, None, &verify::Options::default(), None)?;
    match outcome.details.first() {
        None => shown(&outcome),
        Some(first) => Err(Error::corrupt(format!("the backup '{}' is corrupted: {first}", outcome.backup_path))),
    }
}

fn rescue(caller: &Caller) -> Result<Value> {
    let left_out = |note: &str| Ok(json!({ "requeued": 0, "note": note }));
    let seconds = match default_grace::of(caller.connection())? {
        DefaultGrace::NoQueue => return left_out("the database has no task table"),
        DefaultGrace::Unknown => return left_out(&format!("left out: {}", default_grace::UNKNOWN)),
        DefaultGrace::Seconds(seconds) => seconds,
    };
    let outcome = requeue::requeue(caller, seconds, caller.now()).map_err(Error::explained)?;
    let mut detail = json!({ "requeued": outcome.requeued });
    if outcome.blocked > 0 {
        detail["blocked"] = json!(outcome.blocked);
        detail["blocked_tasks"] = json!(outcome.named().collect::<Vec<_>>());
    }
    if let Some(error) = outcome.unremembered {
        detail["note"] = json!(format!("queue_stale() does not show which tasks are blocked: {error}"));
    }
    Ok(detail)
}

fn check_integrity(caller: &Caller) -> Result<Value> {
    let found = integrity::integrity(caller.connection(), None, integrity::DEFAULT_MAX_ERRORS)?;
    match found.findings.first() {
        None => Ok(match integrity::note(&found) {
            None => json!({ "message": "ok" }),
            Some(note) => json!({ "message": "ok", "note": note }),
        }),
        Some(first) => Err(Error::corrupt(format!(
            "the database is damaged ({} findings): {first}; queue_restore('latest') brings back the newest backup",
            found.findings.len()
        ))),
    }
}

fn vacuum_if_fragmented(caller: &Caller, settings: &Settings) -> Result<Value> {
    let (found, bearable) =
        (stats::stats(caller)?.fragmentation_pct, settings.real(&setting::FRAGMENTATION_PCT_CRITICAL)?);
    if found <= bearable {
        return Ok(json!({ "vacuumed": false, "fragmentation_pct": found, "fragmentation_pct_critical": bearable }));
    }
    let outcome = match vacuum_unattended::vacuum(caller, None)? {
        Ok(outcome) => outcome,
        Err(reason) => return Ok(json!({ "vacuumed": false, "fragmentation_pct": found, "note": reason })),
    };
    let mut outcome = shown(&outcome)?;
    if let Some(object) = outcome.as_object_mut() {
        object.insert("vacuumed".into(), json!(true));
        object.insert("fragmentation_pct".into(), json!(found));
    }
    Ok(outcome)
}
