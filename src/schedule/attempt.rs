//! Runs a due job, step by step, and records it.

use rusqlite::ffi;
use serde_json::Value;

use super::course::{Call, Course, name_for};
use super::due::Slot;
use super::job::Step;
use super::log::read::done_before;
use super::log::steps;
use super::log::write::LogWriter;
use super::pending::Due;
use super::ran::{Ran, StepRan};
use super::shared::Shared;
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};

pub struct Attempt<'a> {
    pub caller: &'a Caller,
    pub log: &'a LogWriter<'a>,
    pub call: &'a Call,
    pub due: &'a Due,
}

impl Attempt<'_> {
    pub fn run(&self) -> Result<Ran> {
        let started = self.caller.now();
        self.log.begin(self.due.slot, started)?;
        let mut steps: Vec<StepRan> = Vec::new();
        for &step in self.due.job.steps {
            let ran = self.step(step, &steps);
            steps.push(ran.map_err(|error| self.ended(error, step, &steps))?);
        }
        let fine = steps.iter().all(|step| step.status != "failed");
        let status = if fine { "ok" } else { "failed" };
        // Done until now, not only until the due time: else a changed cron expression would make the job due
        // for a time in the past that the old one did not have.
        if fine {
            self.log.done(self.due.job.name, Some(status), self.due.now, &self.due.past)?;
        } else {
            self.log.fail(self.due.job.name, status)?;
        }
        Ok(Ran {
            job: self.due.job.name,
            due_utc: clock::sqlite_text(self.due.slot.due),
            attempt: self.due.slot.attempt,
            started_utc: Some(clock::sqlite_text(started)),
            finished_utc: Some(clock::sqlite_text(self.caller.now())),
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
            self.due.job.name,
            step.name()
        ))
    }

    fn step(&self, step: Step, before: &[StepRan]) -> Result<StepRan> {
        let name = step.name();
        let course = self.call.course(self.caller, self.due, step, &|slot, step| self.earlier(slot, step))?;
        if let Course::Done(detail) = course {
            self.call.share(Shared::of(self.due.job.name, &detail));
            if self.fails(name)? {
                self.stands_again(name, &detail)?;
            }
            return Ok(StepRan { step: name, status: "ok", detail });
        }
        let number = self.log.begin_step(self.due.slot, name, self.caller.now())?;
        let lacking = step.needs().iter().find(|&&needed| of(before, needed).is_none_or(|ran| ran.status != "ok"));
        let (status, detail) = match (lacking, course) {
            (Some(lacking), _) => ("skipped", Value::String(format!("without {} this is not done", lacking.name()))),
            (None, Course::LeftOut(detail)) => ("skipped", detail),
            (None, Course::Served(detail)) => ("ok", detail),
            (None, _) => self.work(step, before, number)?,
        };
        self.log.end_step(number, status, &text(&detail), self.caller.now())?;
        Ok(StepRan { step: name, status, detail })
    }

    /// Whether a later attempt failed at what had been done: the backup was not to be found, say.
    fn fails(&self, step: &str) -> Result<bool> {
        let failing = self.log.read(steps::failing)?;
        Ok(failing.iter().any(|each| each.job == self.due.job.name && each.step == step))
    }

    /// Records that what an earlier attempt has done is there again.
    fn stands_again(&self, step: &str, detail: &Value) -> Result<()> {
        let mut told = detail.clone();
        if let Some(object) = told.as_object_mut() {
            object.insert("made_by".into(), self.due.job.name.into());
            object.insert("note".into(), "what an earlier attempt has done is there again".into());
        }
        let number = self.log.begin_step(self.due.slot, step, self.caller.now())?;
        self.log.end_step(number, "ok", &text(&told), self.caller.now())
    }

    /// Runs the step, whose row in the log is `number`; returns its status and detail.
    fn work(&self, step: Step, before: &[StepRan], number: i64) -> Result<(&'static str, Value)> {
        let backup = of(before, Step::Backup).and_then(|ran| ran.detail.get("id")).and_then(Value::as_str);
        let done = self.caller.serve(|caller| match step {
            Step::Backup => self.back_up(caller),
            _ => step.run(caller, self.due.job.name, backup),
        });
        match done {
            Ok(detail) => Ok(("ok", detail)),
            Err(error) if error.primary_code() == ffi::SQLITE_INTERRUPT => {
                let now = self.caller.now();
                let _ = self.log.after_interrupt(|log| log.end_step(number, "interrupted", error.message(), now));
                Err(error)
            }
            Err(error) => Ok(("failed", Value::String(error.message().into()))),
        }
    }

    fn back_up(&self, caller: &Caller) -> Result<Value> {
        let sharers = self.call.sharers(caller, self.due, &|slot, step| self.earlier(slot, step))?;
        let detail = Step::Backup.run(caller, name_for(self.due, &sharers), None)?;
        self.call.share(Shared::of(self.due.job.name, &detail));
        Ok(detail)
    }

    fn earlier(&self, slot: Slot<'_>, step: Step) -> Result<Option<String>> {
        self.log.read(|conn| done_before(conn, slot, step.name()))
    }
}

fn text(detail: &Value) -> String {
    detail.as_str().map_or_else(|| detail.to_string(), str::to_owned)
}

fn of(ran: &[StepRan], step: Step) -> Option<&StepRan> {
    ran.iter().find(|ran| ran.step == step.name())
}
