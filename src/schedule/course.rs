//! What becomes of a step of a due job, before it is run.
//!
//! # Promise
//!
//! A run and a dry run go by the same answers.

use serde_json::Value;

use super::job::Step;
use super::pending::Due;
use crate::connection::Caller;
use crate::error::Result;

/// What all jobs of a call have in common.
pub struct Call {
    pub retry_now: bool,
}

pub enum Course {
    /// An earlier attempt has done it, with this result.
    Done(Value),
    Due,
}

impl Call {
    /// `done` reads the result of an earlier attempt.
    pub fn course(
        &self,
        caller: &Caller,
        due: &Due,
        step: Step,
        done: impl FnOnce() -> Result<Option<String>>,
    ) -> Result<Course> {
        // At the first attempt, an older row is from before a clock was set back.
        let done = if due.slot.attempt > 1 { done()? } else { None };
        if let Some(detail) = done {
            let detail = serde_json::from_str(&detail).unwrap_or(Value::String(detail));
            if step.stands(caller, &detail)? {
                return Ok(Course::Done(detail));
            }
        }
        Ok(Course::Due)
    }
}
