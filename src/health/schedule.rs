//! The metrics of what the schedule's log knows: `offsite_age` and `failing_steps`.

use rusqlite::types::Value;

use super::{CLOCKS_DIFFER, Gauge, Level, Metric, hours};
use crate::clock;
use crate::connection::Caller;
use crate::error::Result;
use crate::schedule::failing::{self, Failing};
use crate::schedule::log::steps;
use crate::schedule::offsite;
use crate::settings::Settings;
use crate::settings::registry as setting;

/// How many steps the action names.
const NAMED: usize = 5;
/// Characters that it shows of a word or an error.
const LONGEST: usize = 300;

pub const OFFSITE: Gauge = Gauge {
    metric: "offsite_age",
    unit: "hours",
    warning: &setting::OFFSITE_HOURS_WARNING,
    critical: &setting::OFFSITE_HOURS_CRITICAL,
    falling: false,
    needed: true,
    action: "queuekeeper run-due pushes the backups elsewhere: see in queue_history() what became of the step push of offsite, and in \
             queue_schedule() when it is tried again",
    read: |caller, _stats| {
        let now = caller.now();
        let pushed = offsite::pushed(caller.connection(), |began| now - began >= -CLOCKS_DIFFER)?;
        Ok(pushed.map(|began| hours(now - began)))
    },
};

/// Whether anything tells of off-site copies. A log that cannot be read may.
pub fn is_copied(caller: &Caller, settings: &Settings) -> bool {
    offsite::of(caller, settings).map_or(true, |known| known.is_some())
}

/// Counts the steps that fail; critical if the check of the database's integrity does, other than by the end of its
/// process.
pub fn failing_steps(caller: &Caller) -> Metric {
    let metric = |value, level, action| Metric {
        metric: "failing_steps",
        value,
        unit: Some("steps"),
        warning: None,
        critical: None,
        level,
        action,
    };
    let read = || -> Result<Metric> {
        let found = failing::failing(caller)?;
        #[allow(clippy::cast_precision_loss)] // There are at most a thousand.
        let count = Value::Real(found.len() as f64);
        let Some(first) = found.first() else { return Ok(metric(count, Level::Ok, None)) };
        let critical = found.iter().any(|each| each.step.step == "integrity" && each.step.has_failed);
        let level = if critical { Level::Critical } else { Level::Warning };
        Ok(metric(count, level, Some(action(caller, &found, first)?)))
    };
    read()
        .unwrap_or_else(|error| metric(Value::Null, Level::Critical, Some(caller.blame_disk(error).message().into())))
}

fn action(caller: &Caller, found: &[Failing], first: &Failing) -> Result<String> {
    let conn = caller.connection();
    let mut named = Vec::new();
    let now = clock::sqlite_text(caller.now());
    for Failing { step, next_due } in found.iter().take(NAMED) {
        let since = steps::began_and_detail(conn, step.first)?.0.unwrap_or_else(|| "an unknown time".into());
        let again = next_due.as_ref().map_or_else(String::new, |next| {
            if *next <= now {
                // The library copies nothing.
                let who = if step.job == offsite::JOB { "queuekeeper run-due" } else { "queue_run_due()" };
                format!(", tried again by the next {who}")
            } else {
                format!(", tried again at {next}")
            }
        });
        named.push(format!("{} {} since {}{again}", excerpt(&step.job), excerpt(&step.step), excerpt(&since)));
    }
    if found.len() > NAMED {
        named.push(format!("{} more", found.len() - NAMED));
    }
    let error = steps::began_and_detail(conn, first.step.newest)?.1.unwrap_or_else(|| "its process died".into());
    Ok(format!(
        "failing (UTC): {}. What failed first, {} {}, says: {}. queue_history() shows each attempt",
        named.join("; "),
        excerpt(&first.step.job),
        excerpt(&first.step.step),
        excerpt(&error)
    ))
}

/// The beginning of a text that anybody may have written, in one line.
fn excerpt(text: &str) -> String {
    let mut line: String =
        text.chars().take(LONGEST).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}
