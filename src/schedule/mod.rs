//! The schedule: which jobs there are, when they are due, running what is due, and what became of it.
//!
//! # The parts
//!
//! | part | |
//! | --- | --- |
//! | [`due`] | whether a job is due; pure |
//! | [`job`] | the jobs and what their steps do |
//! | [`run`] | running what is due, once whoever calls |
//! | [`external`] | what others did around it, such as the off-site copy |
//! | [`log`] | what ran and what became of it, in tables of the database |
//!
//! There is no process of ours that waits for a time: whoever calls `queue_run_due()` often enough keeps the schedule.

pub mod due;
pub mod external;
mod held;
pub mod job;
pub mod log;
pub mod run;

use rusqlite::types::Value;

use crate::clock;
use crate::connection::Caller;
use crate::error::Result;
use crate::settings::{Setting, Settings};
use due::{Verdict, judge};

/// A row of `queue_schedule()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The job.
    pub job: &'static str,
    /// Its cron expression, or `off`; followed by ` (cannot be used)`, if somebody edited the settings so.
    pub cron: String,
    /// When it last began, UTC.
    pub last_run: Option<String>,
    /// When it will be due, UTC; in the past if it is due already.
    pub next_due: Option<String>,
    /// What became of the last run.
    pub last_status: Option<String>,
}

/// The jobs, and when each is due.
pub fn schedule(caller: &Caller) -> Result<Vec<Planned>> {
    let conn = caller.connection();
    let settings = Settings::of(conn)?;
    let zone = run::zone(&settings)?;
    let planned = job::JOBS.iter().map(|job| {
        let cron = run::cron(&settings, job.cron);
        let memory = log::read::recall(conn, job.name)?;
        let next = match cron.as_ref().map(|cron| judge(cron, zone, &memory.past, caller.now())) {
            Ok(Verdict::Due { due, .. }) => Some(due),
            Ok(Verdict::Waits { until, .. }) => until,
            Err(_) => None,
        };
        Ok(Planned {
            job: job.name,
            cron: cron.map_or_else(|_| unusable(&settings, job.cron), |cron| cron.text().to_owned()),
            last_run: memory.last_run,
            next_due: next.map(clock::sqlite_text),
            last_status: memory.last_status,
        })
    });
    planned.collect()
}

fn unusable(settings: &Settings, setting: &Setting) -> String {
    match settings.stored(setting) {
        Some(Value::Text(text)) => format!("{text} (cannot be used)"),
        _ => "(cannot be used)".into(),
    }
}
