//! Running what is due.
//!
//! # Promise
//!
//! - Any number of processes may call [`run_due`] at any time, from cron, Task Scheduler, APScheduler or a loop in a shell: each due
//!   job is run once. Whoever comes while another one is at work returns at once with nothing done.
//! - A process that dies in the middle leaves the job due: the next call begins it again after a pause (see [`super::due`]), without
//!   the steps that were done.
//! - Every step is recorded in `queuekeeper_log` before it begins and when it has ended. A step that fails is no error of the
//!   call: the result and the log say so, and the job is tried again. An interrupt is an error, and ends the call.
//!
//! # How
//!
//! An OS lock on the file `NAME-schedule` beside the database says who is at work. The system drops it with the process, so
//! nobody is ever locked out by the dead. What is due is judged under the lock.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::ffi;
use serde::Serialize;
use serde_json::Value;

use super::cron::{Cron, Zone};
use super::due::{Verdict, judge};
use super::job::{JOBS, Job, Step};
use super::ledger::{Ledger, recall};
use crate::clock::{self, Clock};
use crate::connection::{Caller, Standing};
use crate::error::{Error, Result};
use crate::files::{self, DirectoryLock, LiveFiles};
use crate::host::{self, Transaction};
use crate::settings::registry as setting;
use crate::settings::{Setting, Settings};

/// A job that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ran {
    /// Its name.
    pub job: &'static str,
    /// Which of its times it was run for, UTC.
    pub due_utc: String,
    /// Which attempt at that it was, from 1.
    pub attempt: u32,
    /// When it began, UTC.
    pub started_utc: String,
    /// When it ended, UTC.
    pub finished_utc: String,
    /// `ok`, or `failed` when any step was.
    pub status: &'static str,
    /// Its steps.
    pub steps: Vec<StepRan>,
}

/// A step that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRan {
    /// Its name.
    pub step: &'static str,
    /// `ok`, `failed` or `skipped`.
    pub status: &'static str,
    /// What it came to, or the error in words.
    pub detail: Value,
}

/// The jobs' times are in this zone.
///
/// # Errors
///
/// A setting that cannot be used.
pub fn zone(settings: &Settings) -> Result<Zone> {
    let named = settings.text(&setting::TIME_ZONE)?;
    Ok(if named.as_deref() == Some("local") { Zone::Local } else { Zone::Utc })
}

/// When a job is due.
///
/// # Errors
///
/// A setting that cannot be used.
pub fn cron(settings: &Settings, setting: &Setting) -> Result<Cron> {
    let text = settings.text(setting)?.unwrap_or_default();
    Cron::parse(&text)
        .map_err(|reason| Error::usage(format!("the setting {} cannot be used: {reason}", setting.name)))
}

/// Runs every job that is due at `now` (the present, if it is not given), and takes that for the present in all that it does.
///
/// # Errors
///
/// A transaction of the caller's, a database without a file or that cannot be written, settings that cannot be used, a ledger
/// that cannot be written, or an interrupt.
pub fn run_due(caller: &Caller, now: Option<DateTime<Utc>>) -> Result<Vec<Ran>> {
    let file = check(caller)?;
    let live = LiveFiles::of(caller)?;
    let Some(_lock) = DirectoryLock::take_if_free(&files::with_suffix(&file, "-schedule"), &live)? else {
        return Ok(Vec::new());
    };
    let clock = now.map(Clock::showing).unwrap_or_default();
    caller.by_clock(clock, || run_all(caller, &file))
}

fn check(caller: &Caller) -> Result<std::path::PathBuf> {
    let conn = caller.connection();
    if !conn.is_autocommit() || host::transaction(conn) != Transaction::None {
        return Err(Error::usage(
            "this connection has a transaction open, in which jobs cannot run; COMMIT or ROLLBACK it, finish its \
             statements, and call again on its own: SELECT queue_run_due()",
        ));
    }
    let Some(file) = caller.file() else {
        return Err(Error::usage("an in-memory or temporary database has no schedule"));
    };
    let standing = caller.standing()?;
    if standing.alone() {
        let reason = standing.in_the_way().unwrap_or_default();
        return Err(Error::busy(format!("jobs cannot run: {reason}")));
    }
    if standing.readonly {
        return Err(Standing::read_only("run the schedule"));
    }
    caller.check_in_place()?;
    Ok(file)
}

fn run_all(caller: &Caller, file: &Path) -> Result<Vec<Ran>> {
    let ledger = Ledger::open(caller, file)?;
    let mut ran = Vec::new();
    for job in &JOBS {
        let settings = Settings::of(ledger.connection())?;
        let (cron, zone) = (cron(&settings, job.cron)?, zone(&settings)?);
        let past = recall(ledger.connection(), job.name)?.past;
        match judge(&cron, zone, &past, caller.now()) {
            Verdict::Waits { forget_beyond: Some(done), .. } => ledger.forget_beyond(job.name, done)?,
            Verdict::Waits { .. } => {}
            Verdict::Due { due, attempt } => {
                let run = Run { caller, ledger: &ledger, job, due, attempt };
                ran.push(run.run()?);
                ledger.trim(settings.positive(&setting::HISTORY_ROWS)?)?;
            }
        }
    }
    Ok(ran)
}

struct Run<'a> {
    caller: &'a Caller,
    ledger: &'a Ledger<'a>,
    job: &'static Job,
    due: DateTime<Utc>,
    attempt: u32,
}

impl Run<'_> {
    fn run(&self) -> Result<Ran> {
        let started = self.caller.now();
        self.ledger.begin(self.job.name, self.due, self.attempt, started)?;
        let mut steps: Vec<StepRan> = Vec::new();
        for &step in self.job.steps {
            let ran = self.step(step, &steps);
            if ran.is_err() {
                self.ledger.end(self.job.name, "interrupted", None)?;
            }
            steps.push(ran?);
        }
        let fine = steps.iter().all(|step| step.status == "ok");
        let status = if fine { "ok" } else { "failed" };
        self.ledger.end(self.job.name, status, fine.then_some(self.due))?;
        Ok(Ran {
            job: self.job.name,
            due_utc: clock::sqlite_text(self.due),
            attempt: self.attempt,
            started_utc: clock::sqlite_text(started),
            finished_utc: clock::sqlite_text(self.caller.now()),
            status,
            steps,
        })
    }

    fn step(&self, step: Step, before: &[StepRan]) -> Result<StepRan> {
        let name = step.name();
        if let Some(detail) = self.ledger.done_before(self.job.name, name, self.due)? {
            let detail = serde_json::from_str(&detail).unwrap_or(Value::String(detail));
            return Ok(StepRan { step: name, status: "ok", detail });
        }
        let number = self.ledger.begin_step(self.job.name, name, self.due, self.caller.now())?;
        let of = |needed: Step| before.iter().find(|ran| ran.step == needed.name());
        let lacking = step.needs().iter().find(|&&needed| of(needed).is_none_or(|ran| ran.status != "ok"));
        let (status, detail) = match lacking {
            Some(lacking) => ("skipped", Value::String(format!("without {} this is not done", lacking.name()))),
            None => {
                let backup = of(Step::Backup).and_then(|ran| ran.detail.get("backup_path")).and_then(Value::as_str);
                match step.run(self.caller, self.job, backup) {
                    Ok(detail) => ("ok", detail),
                    Err(error) if error.primary_code() == ffi::SQLITE_INTERRUPT => {
                        self.ledger.end_step(number, "interrupted", error.message(), self.caller.now())?;
                        return Err(error);
                    }
                    Err(error) => ("failed", Value::String(error.message().into())),
                }
            }
        };
        let text = detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
        self.ledger.end_step(number, status, &text, self.caller.now())?;
        Ok(StepRan { step: name, status, detail })
    }
}
