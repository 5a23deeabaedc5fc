//! What becomes of a step of a due job, before it is run.
//!
//! # Promise
//!
//! - A run and a dry run go by the same answers.
//! - VACUUM keeps writers out for as long as it takes. It is left out of a call that begins later than
//!   [`HEAVY_FOR`] after the job's own time, say on a new queue, after a machine slept, or at a late retry. It
//!   does not make the job fail. The call's beginning counts, so that a long backup before it does not put
//!   it off for ever.
//! - A backup is shared, see [`super::shared`].

use std::cell::RefCell;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::due::Slot;
use super::job::{JOBS, Step};
use super::pending::{Due, look};
use super::shared::Shared;
use crate::clock;
use crate::connection::Caller;
use crate::error::Result;

/// How long after its job's time a heavy step may begin.
const HEAVY_FOR: TimeDelta = TimeDelta::hours(1);

/// What all jobs of a call have in common.
pub struct Call {
    retry_now: bool,
    began: DateTime<Utc>,
    shared: RefCell<Option<Shared>>,
}

pub enum Course {
    /// An earlier attempt has done it, with this result.
    Done(Value),
    /// Another job of the call has done it, with this result.
    Served(Value),
    /// Not now, for this reason.
    LeftOut(Value),
    Due,
}

/// Reads the result of a step in an earlier attempt.
pub type Earlier<'a> = &'a dyn Fn(Slot<'_>, Step) -> Result<Option<String>>;

impl Call {
    /// A call that begins at `now`.
    pub fn new(retry_now: bool, now: DateTime<Utc>) -> Self {
        Self { retry_now, began: now, shared: RefCell::new(None) }
    }

    pub fn retry_now(&self) -> bool {
        self.retry_now
    }

    pub fn course(&self, caller: &Caller, due: &Due, step: Step, earlier: Earlier<'_>) -> Result<Course> {
        // At the first attempt, an older row is from before a clock was set back.
        let done = if due.slot.attempt > 1 { earlier(due.slot, step)? } else { None };
        if let Some(detail) = done {
            let detail = serde_json::from_str(&detail).unwrap_or(Value::String(detail));
            if step.stands(caller, &detail)? {
                return Ok(Course::Done(detail));
            }
        }
        let served = || self.shared.borrow().as_ref().and_then(|shared| shared.served(due));
        Ok(match step {
            Step::Backup => served().map_or(Course::Due, Course::Served),
            _ if step.is_heavy() && self.began - due.slot.due > HEAVY_FOR => Course::LeftOut(too_late(due)),
            _ => Course::Due,
        })
    }

    /// Lets the jobs after it share a backup that was made, or would be.
    pub fn share(&self, shared: Option<Shared>) {
        if let Some(shared) = shared {
            let mut place = self.shared.borrow_mut();
            *place = Some(shared.later(place.take()));
        }
    }

    /// The rarer jobs that a backup of `due` will serve, the rarest last.
    pub fn sharers(&self, caller: &Caller, due: &Due, earlier: Earlier<'_>) -> Result<Vec<Due>> {
        let rarer = JOBS.iter().skip_while(|job| job.name != due.job.name).skip(1);
        let mut found = Vec::new();
        for job in rarer.filter(|job| job.steps.contains(&Step::Backup)) {
            // An invalid cron expression is told at the job's own turn.
            let other = look(caller, job, self.retry_now)?.ok().and_then(|look| look.due(job));
            if let Some(other) = other
                && matches!(self.course(caller, &other, Step::Backup, earlier)?, Course::Due)
            {
                found.push(other);
            }
        }
        Ok(found)
    }
}

/// The name of a backup of `due` that serves these.
pub fn name_for(due: &Due, sharers: &[Due]) -> &'static str {
    sharers.last().map_or(due.job.name, |rarest| rarest.job.name)
}

fn too_late(due: &Due) -> Value {
    let next = due.next.map_or_else(|| "never".into(), |next| format!("{} UTC", clock::sqlite_text(next)));
    json!({ "note": format!(
        "left out: it keeps writers out, so it is run only within an hour of the job's time, {} UTC; next time: {next}",
        clock::sqlite_text(due.slot.due)
    ) })
}
