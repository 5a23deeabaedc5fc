//! Runs due jobs.
//!
//! # Promise
//!
//! - Any number of processes may call [`run_due`] at any time, from cron, Task Scheduler, APScheduler or a
//!   shell loop: each due job runs once. A call during another one's work returns at once with nothing done.
//! - A process that dies leaves its job due: the next call starts it again after a pause (see
//!   [`super::due`]), without the steps that were done.
//! - Every step is recorded in `queuekeeper_log` at its beginning and end. A failed step is no error of the
//!   call: the result and the log have it, and the job is retried. An interrupt is an error, and ends the
//!   call.
//! - A job with an invalid cron expression (somebody edited the settings by hand) is an error of the call,
//!   after all other due jobs have run.
//! - A call with nothing due writes nothing to the database and takes no lock in it, so it can be made every
//!   minute. The exception is once after a process died or the clock was set back: the log is corrected.
//!
//! # How
//!
//! An OS lock on the file `NAME-schedule` beside the database marks the process at work. The system releases
//! it with the process, so a dead one never blocks; a live one is reported after a while ([`lock`]). What is
//! due is decided under the lock.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ffi};
use serde::Serialize;
use serde_json::Value;

use super::due::{Past, Slot, Verdict, judge};
use super::job::{JOBS, Job, Step};
use super::lock;
use super::log::read::{done_before, job_record};
use super::log::write::LogWriter;
use crate::clock::{self, Clock};
use crate::connection::Caller;
use crate::cron::{Cron, Zone};
use crate::error::{Error, Result};
use crate::host::{self, Transaction};
use crate::schema;
use crate::settings::registry as setting;
use crate::settings::{Setting, Settings};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ran {
    pub job: &'static str,
    /// Which of its times, UTC.
    pub due_utc: String,
    /// From 1.
    pub attempt: u32,
    pub started_utc: String,
    pub finished_utc: String,
    /// `ok`, or `failed` if any step failed.
    pub status: &'static str,
    pub steps: Vec<StepRan>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRan {
    pub step: &'static str,
    /// `ok`, `failed` or `skipped`.
    pub status: &'static str,
    /// The result, or the error message.
    pub detail: Value,
}

/// The zone of the cron expressions.
pub fn zone(settings: &Settings) -> Result<Zone> {
    let named = settings.text(&setting::TIME_ZONE)?;
    Ok(if named.as_deref() == Some("local") { Zone::Local } else { Zone::Utc })
}

pub fn cron(settings: &Settings, setting: &Setting) -> Result<Cron> {
    let text = settings.text(setting)?.unwrap_or_default();
    Cron::parse(&text)
        .map_err(|reason| Error::usage(format!("the setting {} cannot be used: {reason}", setting.name)))
}

/// Runs every due job. `now`, if given, stands for the present in everything that it does. Fails inside a
/// transaction of the caller, or if somebody has held the lock for too long.
pub fn run_due(caller: &Caller, now: Option<DateTime<Utc>>) -> Result<Vec<Ran>> {
    let file = check(caller)?;
    let Some(_lock) = lock::take(caller, &file)? else {
        return Ok(Vec::new());
    };
    let clock = now.map(Clock::showing).unwrap_or_default();
    caller.by_clock(clock, || run_all(caller, &file))
}

/// Fails unless the caller's database can have a schedule, and another connection may write it now; returns
/// its file.
pub fn check(caller: &Caller) -> Result<std::path::PathBuf> {
    let conn = caller.connection();
    refuse_transaction(conn)?;
    let Some(file) = caller.file() else {
        return Err(Error::usage("an in-memory or temporary database has no schedule"));
    };
    let caller_state = caller.state()?;
    if caller_state.excludes_others() {
        let reason = caller_state.in_the_way().unwrap_or_default();
        return Err(Error::busy(format!("jobs cannot run: {reason}")));
    }
    caller.check_writable(&caller_state, "run the schedule")?;
    caller.check_in_place()?;
    // A statement that writes elsewhere (CREATE TEMP TABLE … AS SELECT) holds no lock here yet, but keeps any
    // that it takes: after the first read, the jobs' commits would be blocked by it.
    schema::tables(conn)?;
    refuse_transaction(conn)?;
    Ok(file)
}

fn refuse_transaction(conn: &Connection) -> Result<()> {
    if conn.is_autocommit() && host::transaction(conn) == Transaction::None {
        return Ok(());
    }
    Err(Error::usage(
        "this connection has a transaction open, in which jobs cannot run; COMMIT or ROLLBACK it, finish its statements, and \
         call again on its own: SELECT queue_run_due()",
    ))
}

fn run_all(caller: &Caller, file: &Path) -> Result<Vec<Ran>> {
    let mut ran = Vec::new();
    match run_each(caller, file, &mut ran) {
        Ok(()) => Ok(ran),
        Err(error) if ran.is_empty() => {
            Err(error.if_interrupted("no job was run to its end; call again for the rest"))
        }
        Err(error) => {
            let names: Vec<&str> = ran.iter().map(|ran| ran.job).collect();
            Err(error
                .if_interrupted(format!("run to their end before: {}; call again for the rest", names.join(", "))))
        }
    }
}

fn run_each(caller: &Caller, file: &Path, ran: &mut Vec<Ran>) -> Result<()> {
    let conn = caller.connection();
    let mut log = None;
    let mut faults = Vec::new();
    for job in &JOBS {
        // Anew for each job: the one before may have taken long.
        let settings = Settings::of(conn)?;
        let zone = zone(&settings)?;
        let cron = match cron(&settings, job.cron) {
            Ok(cron) => cron,
            Err(error) => {
                faults.push(error.message().to_owned());
                continue;
            }
        };
        let record = job_record(conn, job.name)?;
        if record.last_status.as_deref() == Some("running") {
            opened(&mut log, caller, file)?;
        }
        let now = caller.now();
        match judge(&cron, zone, &record.past, now) {
            Verdict::Waits { forget_beyond: Some(done), .. } => {
                opened(&mut log, caller, file)?.done(job.name, None, done, &record.past)?;
            }
            Verdict::Waits { .. } => {}
            Verdict::Due { due, attempt } => {
                let slot = Slot { job: job.name, due, attempt };
                let log = opened(&mut log, caller, file)?;
                let run = Run { caller, log, job, slot, now, past: &record.past };
                ran.push(run.run()?);
            }
        }
    }
    if let Some(log) = &log {
        match Settings::of(conn)?.positive(&setting::HISTORY_ROWS) {
            Ok(most) => log.trim(most)?,
            Err(error) => faults.push(error.message().to_owned()),
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::usage(format!("{}; everything else that was due was run, see queue_history()", faults.join("; "))))
}

fn opened<'s, 'a>(log: &'s mut Option<LogWriter<'a>>, caller: &'a Caller, file: &Path) -> Result<&'s LogWriter<'a>> {
    match log {
        Some(log) => Ok(log),
        none => {
            let log = LogWriter::open(caller, file)?;
            log.mark_interrupted()?;
            Ok(none.insert(log))
        }
    }
}

struct Run<'a> {
    caller: &'a Caller,
    log: &'a LogWriter<'a>,
    job: &'static Job,
    slot: Slot<'static>,
    /// When the job was found to be due.
    now: DateTime<Utc>,
    past: &'a Past,
}

impl Run<'_> {
    fn run(&self) -> Result<Ran> {
        let started = self.caller.now();
        self.log.begin(self.slot, started)?;
        let mut steps: Vec<StepRan> = Vec::new();
        for &step in self.job.steps {
            let ran = self.step(step, &steps);
            steps.push(ran.map_err(|error| self.ended(error, step, &steps))?);
        }
        let fine = steps.iter().all(|step| step.status == "ok");
        let status = if fine { "ok" } else { "failed" };
        // Done until now, not only until the due time: else a changed cron expression would make the job due
        // for a time in the past that the old one did not have.
        if fine {
            self.log.done(self.job.name, Some(status), self.now, self.past)?;
        } else {
            self.log.fail(self.job.name, status)?;
        }
        Ok(Ran {
            job: self.job.name,
            due_utc: clock::sqlite_text(self.slot.due),
            attempt: self.slot.attempt,
            started_utc: clock::sqlite_text(started),
            finished_utc: clock::sqlite_text(self.caller.now()),
            status,
            steps,
        })
    }

    /// Ends the job with an error of the call. If that cannot be recorded either, the next call records it.
    fn ended(&self, error: Error, step: Step, done: &[StepRan]) -> Error {
        let _ = self.log.after_interrupt(LogWriter::mark_interrupted);
        let done: Vec<&str> = done.iter().map(|step| step.step).collect();
        let done = if done.is_empty() { "no step".into() } else { done.join(", ") };
        error.context(format!(
            "the job {} ended in its step {} ({done} had ended before)",
            self.job.name,
            step.name()
        ))
    }

    fn step(&self, step: Step, before: &[StepRan]) -> Result<StepRan> {
        let name = step.name();
        if let Some(detail) = self.log.read(|conn| done_before(conn, self.slot, name))? {
            let detail = serde_json::from_str(&detail).unwrap_or(Value::String(detail));
            if step.stands(self.caller, &detail)? {
                return Ok(StepRan { step: name, status: "ok", detail });
            }
        }
        let number = self.log.begin_step(self.slot, name, self.caller.now())?;
        let of = |needed: Step| before.iter().find(|ran| ran.step == needed.name());
        let lacking = step.needs().iter().find(|&&needed| of(needed).is_none_or(|ran| ran.status != "ok"));
        let (status, detail) = match lacking {
            Some(lacking) => ("skipped", Value::String(format!("without {} this is not done", lacking.name()))),
            None => {
                let backup = of(Step::Backup).and_then(|ran| ran.detail.get("id")).and_then(Value::as_str);
                match self.caller.serve(|caller| step.run(caller, self.job, backup)) {
                    Ok(detail) => ("ok", detail),
                    Err(error) if error.primary_code() == ffi::SQLITE_INTERRUPT => {
                        let now = self.caller.now();
                        let _ =
                            self.log.after_interrupt(|log| log.end_step(number, "interrupted", error.message(), now));
                        return Err(error);
                    }
                    Err(error) => ("failed", Value::String(error.message().into())),
                }
            }
        };
        let text = detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
        self.log.end_step(number, status, &text, self.caller.now())?;
        Ok(StepRan { step: name, status, detail })
    }
}
