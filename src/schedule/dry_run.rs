//! Shows what a call would run.
//!
//! # Promise
//!
//! - Nothing is written, and no lock is taken: it can be asked within a transaction, and while another
//!   process runs jobs. What that one is at is shown as if it had died.
//! - A call at the same time runs the jobs and steps that are shown as due, unless one of them fails or takes
//!   so long that another becomes due.

use serde_json::{Value, json};

use super::course::{Call, Course, Earlier, name_for};
use super::job::{JOBS, Step};
use super::log::read::{LOG, done_before};
use super::pending::{Due, look};
use super::ran::{Ran, StepRan, no_schedule, refuse_faults};
use super::shared::Shared;
use crate::clock;
use crate::connection::Caller;
use crate::error::Result;
use crate::schema;

pub fn would_run(caller: &Caller, call: &Call) -> Result<Vec<Ran>> {
    if caller.file().is_none() {
        return Err(no_schedule());
    }
    let (mut planned, mut faults) = (Vec::new(), Vec::new());
    for job in &JOBS {
        match look(caller, job, call.retry_now())? {
            Ok(look) => planned.extend(look.due(job).map(|due| one(caller, call, &due)).transpose()?),
            Err(error) => faults.push(error.message().to_owned()),
        }
    }
    refuse_faults(&faults, "everything else that is due would be run")?;
    Ok(planned)
}

fn one(caller: &Caller, call: &Call, due: &Due) -> Result<Ran> {
    let steps = due.job.steps.iter().map(|&step| plan(caller, call, due, step)).collect::<Result<_>>()?;
    Ok(Ran {
        job: due.job.name,
        due_utc: clock::sqlite_text(due.slot.due),
        attempt: due.slot.attempt,
        started_utc: None,
        finished_utc: None,
        status: "due",
        steps,
    })
}

fn plan(caller: &Caller, call: &Call, due: &Due, step: Step) -> Result<StepRan> {
    let conn = caller.connection();
    let earlier: Earlier<'_> = &|slot, step| {
        if schema::has_table(conn, LOG)? { done_before(conn, slot, step.name()) } else { Ok(None) }
    };
    let (status, detail) = match call.course(caller, due, step, earlier)? {
        Course::Done(detail) => {
            call.share(Shared::of(due.job.name, &detail));
            ("skipped", json!({ "note": "done by an earlier attempt" }))
        }
        Course::Served(detail) => ("due", detail),
        Course::LeftOut(detail) => ("skipped", detail),
        Course::Due if step == Step::Backup => {
            let name = name_for(due, &call.sharers(caller, due, earlier)?);
            call.share(Some(Shared::planned(due, name)));
            ("due", json!({ "name": name }))
        }
        Course::Due => ("due", Value::Null),
    };
    Ok(StepRan { step: step.name(), status, detail })
}
