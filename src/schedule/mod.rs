//! The schedule: jobs, when they are due, and running them.
//!
//! | module | |
//! | --- | --- |
//! | [`due`] | whether a job is due; pure |
//! | [`job`] | the jobs and their steps |
//! | [`run`] | runs what is due |
//! | [`pending`] | which jobs those are |
//! | [`attempt`] | runs one of them |
//! | [`course`] | what becomes of each of its steps |
//! | [`shared`] | the backup that they share |
//! | [`dry_run`] | shows all that instead |
//! | [`ran`] | what it came to |
//! | [`lock`] | one call at a time, and the error if it is held too long |
//! | [`external`] | records others' steps, such as the off-site copy |
//! | [`offsite`] | how the off-site copies stand, by the log |
//! | [`failing`] | the steps that fail now |
//! | [`log`] | what ran, with results, in tables of the database |
//!
//! No process of ours waits: whoever calls `queue_run_due()` often enough drives the schedule.

mod attempt;
mod course;
mod dry_run;
pub mod due;
pub mod external;
pub mod failing;
pub mod job;
mod lock;
pub mod log;
pub mod offsite;
mod pending;
mod ran;
pub mod run;
mod shared;

use rusqlite::types::Value;

use crate::clock;
use crate::connection::Caller;
use crate::error::Result;
use crate::settings::{Setting, Settings};
use due::{Verdict, judge};

/// A row of `queue_schedule()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub job: &'static str,
    /// Or `off`; with ` (cannot be used)` appended if invalid; `None` for the off-site copies, which have no time
    /// of their own.
    pub cron: Option<String>,
    /// When it last began, UTC.
    pub last_run: Option<String>,
    /// UTC; in the past if it is due. Of off-site copies, when they are tried again after a failure.
    pub next_due: Option<String>,
    pub last_status: Option<String>,
}

/// The jobs, then the off-site copies where there are any.
pub fn schedule(caller: &Caller) -> Result<Vec<Planned>> {
    let conn = caller.connection();
    let settings = Settings::of(conn)?;
    let zone = pending::zone(&settings)?;
    let planned = job::JOBS.iter().map(|job| {
        let cron = pending::cron(&settings, job.cron);
        let record = log::read::job_record(conn, job.name)?;
        let next = match cron.as_ref().map(|cron| judge(cron, zone, &record.past, caller.now())) {
            Ok(Verdict::Due { due, .. }) => Some(due),
            Ok(Verdict::Waits { until, .. }) => until,
            Err(_) => None,
        };
        Ok(Planned {
            job: job.name,
            cron: Some(cron.map_or_else(|_| unusable(&settings, job.cron), |cron| cron.text().to_owned())),
            last_run: record.last_run,
            next_due: next.map(clock::sqlite_text),
            last_status: record.last_status,
        })
    });
    let mut planned = planned.collect::<Result<Vec<_>>>()?;
    planned.extend(offsite::of(caller, &settings)?.map(|offsite| Planned {
        job: offsite::JOB,
        cron: None,
        last_run: offsite.last_run,
        next_due: offsite.next.map(clock::sqlite_text),
        last_status: offsite.last_status,
    }));
    Ok(planned)
}

fn unusable(settings: &Settings, setting: &Setting) -> String {
    match settings.stored(setting) {
        Some(Value::Text(text)) => format!("{text} (cannot be used)"),
        _ => "(cannot be used)".into(),
    }
}
