//! The steps that fail now, of the schedule's jobs and of others.
//!
//! # Promise
//!
//! - [`super::log::steps`] says which steps fail, as the Python package does (`_failing.py`; a test compares the
//!   two). Jobs that are off count for nothing. What others do counts until it is `ok` or lapses: the off-site
//!   copies, an address to notify.
//! - When a step is tried again is what [`super::schedule`] says of its job.

use super::log::steps::{self, FailingStep};
use super::schedule;
use crate::connection::Caller;
use crate::error::Result;

/// A step that fails, and when it is tried again, if that is known.
pub struct Failing {
    pub step: FailingStep,
    /// UTC.
    pub next_due: Option<String>,
}

/// The steps that fail, the one that has failed for longest first.
pub fn failing(caller: &Caller) -> Result<Vec<Failing>> {
    let found = steps::failing(caller.connection())?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let planned = schedule(caller)?;
    let counted = found.into_iter().filter_map(|step| {
        let plan = planned.iter().find(|plan| plan.job == step.job);
        let is_off = plan.is_some_and(|plan| plan.cron.as_deref() == Some("off"));
        (!is_off).then(|| Failing { next_due: plan.and_then(|plan| plan.next_due.clone()), step })
    });
    Ok(counted.collect())
}
