//! What requeuing changes in a task: the assignments of its `UPDATE`.
//!
//! # Promise
//!
//! - The status becomes queued, what the claim wrote is cleared, the time of the last change becomes now.
//! - A task without attempts left, as the setting `stale_attempts` counts them, becomes dead instead,
//!   finished now, with an error that says why. Without that setting the limit applies if the queue has
//!   columns for attempts and their limit.
//! - Columns that the queue lacks, and generated ones, are left out. Two cases are errors before anything
//!   changes, as they would leave the queue half repaired: a generated status column, and a column to be
//!   cleared that is `NOT NULL` or generated. A `NOT NULL` time of the lease becomes now instead: a queue
//!   needs that column, and an expired lease holds no task.
//!
//! # How
//!
//! One column may have two roles: if a claim writes only the time of the last change, that is also the
//! lease's time. Then the later assignment wins, as in SQL. ?2 is the present in the queue's format; the task
//! table's alias is `task`.

use super::mapping::{Mapping, Role};
use crate::error::{Error, Result};
use crate::schema::{Column, quoted};
use crate::settings::registry as setting;

const CLEARED: &str = "NULL";
const PRESENT: &str = "?2";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempts {
    Ignore,
    /// Adds one; a task that then reaches its limit is dead.
    Count,
    /// The claim has added one already.
    Limit,
}

impl Attempts {
    fn of(mapping: &Mapping) -> Result<Self> {
        let named = match mapping.settings().text(&setting::STALE_ATTEMPTS)?.as_deref() {
            Some("count") => Self::Count,
            Some("limit") => Self::Limit,
            _ => return Ok(Self::Ignore),
        };
        let chosen = mapping.settings().stored(&setting::STALE_ATTEMPTS).is_some();
        if !(chosen || mapping.has(Role::Attempts)? && mapping.has(Role::MaxAttempts)?) {
            return Ok(Self::Ignore);
        }
        mapping.needs(&[Role::Attempts])?;
        Ok(named)
    }

    /// An SQL expression: attempts so far, this one included.
    fn made(self, mapping: &Mapping) -> Result<String> {
        let more = if self == Self::Count { 1 } else { 0 };
        Ok(format!("ifnull({}, 0) + {more}", mapping.column(Role::Attempts)?))
    }
}

/// The assignments that requeue a task with a stale lease.
pub fn of_stale(mapping: &Mapping) -> Result<String> {
    assignments(mapping, Attempts::of(mapping)?)
}

/// The assignments that requeue a task without counting an attempt.
pub fn of_any(mapping: &Mapping) -> Result<String> {
    assignments(mapping, Attempts::Ignore)
}

fn assignments(mapping: &Mapping, attempts: Attempts) -> Result<String> {
    let mut changes = Changes { mapping, made: Vec::new() };
    let status = mapping.actual(Role::Status)?;
    if let Some(column) = status {
        changes.must_be_stored(column)?;
    }
    let exhausted = exhausted(mapping, attempts)?;
    changes.set(status, &next_status(mapping, exhausted.as_deref())?);
    if attempts == Attempts::Count {
        changes.set(mapping.actual(Role::Attempts)?, &attempts.made(mapping)?);
    }
    let lease = mapping.actual(Role::LeaseUntil)?;
    changes.set(lease, if lease.is_some_and(|column| column.not_null) { PRESENT } else { CLEARED });
    for role in [Role::LockedBy, Role::ReservedAt] {
        // One column may be both the lease's time and the claim's.
        changes.set(mapping.actual(role)?.filter(|&column| Some(column) != lease), CLEARED);
    }
    for column in mapping.further_cleared()? {
        changes.must_be_stored(column)?;
        changes.set(Some(column), CLEARED);
    }
    changes.set(mapping.actual(Role::UpdatedAt)?, PRESENT);
    if mapping.settings().whole(&setting::REQUEUE_SETS_RUN_AFTER)? != 0 {
        changes.set(mapping.actual(Role::RunAfter)?, PRESENT);
    }
    if let Some(exhausted) = exhausted {
        changes.set_where(&exhausted, mapping.actual(Role::FinishedAt)?, PRESENT);
        changes.set_where(&exhausted, mapping.actual(Role::Error)?, &last_error(mapping, attempts)?);
    }
    changes.finish()
}

fn next_status(mapping: &Mapping, exhausted: Option<&str>) -> Result<String> {
    let queued = mapping.status(&setting::STATUS_QUEUED)?;
    let Some(exhausted) = exhausted else { return Ok(queued) };
    Ok(format!("CASE WHEN {exhausted} THEN {} ELSE {queued} END", mapping.status(&setting::STATUS_DEAD)?))
}

/// An SQL condition: the task has no attempts left. `None` without a limit.
fn exhausted(mapping: &Mapping, attempts: Attempts) -> Result<Option<String>> {
    if attempts == Attempts::Ignore || !mapping.has(Role::MaxAttempts)? {
        return Ok(None);
    }
    // `+ 0` compares a number in a text column as a number.
    Ok(Some(format!("{} >= {} + 0", attempts.made(mapping)?, mapping.column(Role::MaxAttempts)?)))
}

fn last_error(mapping: &Mapping, attempts: Attempts) -> Result<String> {
    Ok(format!(
        "'given up: the lease of ' || ifnull({}, 'a worker') || ' was over at attempt ' || ({}) || ' of ' || {}",
        mapping.column(Role::LockedBy)?,
        attempts.made(mapping)?,
        mapping.column(Role::MaxAttempts)?
    ))
}

struct Changes<'a> {
    mapping: &'a Mapping,
    made: Vec<(&'a Column, String)>,
}

impl<'a> Changes<'a> {
    fn set(&mut self, column: Option<&'a Column>, value: &str) {
        let Some(column) = column.filter(|column| column.stored) else { return };
        self.made.retain(|(known, _)| known.name != column.name);
        self.made.push((column, value.to_owned()));
    }

    /// Sets a column if the condition holds; otherwise an earlier assignment applies.
    fn set_where(&mut self, condition: &str, column: Option<&'a Column>, value: &str) {
        let Some(column) = column.filter(|column| column.stored) else { return };
        let before = self.made.iter().find(|(known, _)| known.name == column.name).map(|(_, value)| value.clone());
        // A column that cannot be cleared is an error, whatever the condition.
        if before.as_deref() == Some(value) || (column.not_null && before.as_deref() == Some(CLEARED)) {
            return;
        }
        let otherwise = before.unwrap_or_else(|| format!("task.{}", quoted(&column.name)));
        self.set(Some(column), &format!("CASE WHEN {condition} THEN {value} ELSE {otherwise} END"));
    }

    fn must_be_stored(&self, column: &Column) -> Result<()> {
        if column.stored {
            return Ok(());
        }
        Err(self.impossible(column, "is generated, so requeuing cannot set it"))
    }

    fn finish(self) -> Result<String> {
        if let Some((column, _)) = self.made.iter().find(|(column, value)| column.not_null && value == CLEARED) {
            return Err(self.impossible(column, "is NOT NULL, so requeuing cannot clear it"));
        }
        let assignment = |(column, value): &(&Column, String)| format!("{} = {value}", quoted(&column.name));
        Ok(self.made.iter().map(assignment).collect::<Vec<_>>().join(", "))
    }

    fn impossible(&self, column: &Column, why: &str) -> Error {
        Error::usage(format!(
            "the column {} of the table {} {why}; see which setting names it in queue_settings(), and have that name another column, \
             or none",
            column.name,
            self.mapping.name()
        ))
    }
}
