//! The schedule: which jobs there are, when they are due, running what is due, and what became of it.
//!
//! # The parts
//!
//! | part | |
//! | --- | --- |
//! | [`cron`] | when a job's times are; pure |
//! | [`due`] | whether a job is due; pure |
//! | [`job`] | the jobs and what their steps do |
//! | [`ledger`] | what is remembered, in tables of the database |
//! | [`run`] | running what is due, once whoever calls |
//!
//! There is no process of ours that waits for a time: whoever calls `queue_run_due()` often enough keeps the schedule.

pub mod cron;
pub mod due;
pub mod job;
pub mod ledger;
pub mod run;

use crate::clock;
use crate::connection::Caller;
use crate::error::Result;
use crate::settings::Settings;
use due::{Verdict, judge};

/// A row of `queue_schedule()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The job.
    pub job: &'static str,
    /// Its cron expression, or `off`.
    pub cron: String,
    /// When it last began, UTC.
    pub last_run: Option<String>,
    /// When it will be due, UTC; in the past if it is due already.
    pub next_due: Option<String>,
    /// What became of the last run.
    pub last_status: Option<String>,
}

/// The jobs, and when each is due.
///
/// # Errors
///
/// Settings that cannot be used, or whatever SQLite says.
pub fn schedule(caller: &Caller) -> Result<Vec<Planned>> {
    let conn = caller.connection();
    let settings = Settings::of(conn)?;
    let zone = run::zone(&settings)?;
    let planned = job::JOBS.iter().map(|job| {
        let cron = run::cron(&settings, job.cron)?;
        let memory = ledger::recall(conn, job.name)?;
        let next = match judge(&cron, zone, &memory.past, caller.now()) {
            Verdict::Due { due, .. } => Some(due),
            Verdict::Waits { until, .. } => until,
        };
        Ok(Planned {
            job: job.name,
            cron: cron.text().to_owned(),
            last_run: memory.last_run,
            next_due: next.map(clock::sqlite_text),
            last_status: memory.last_status,
        })
    });
    planned.collect()
}
