//! What requeuing changes in a task: the assignments of its `UPDATE`.
//!
//! # Promise
//!
//! The status becomes queued, or dead where the setting `stale_attempts` says so; what the claim wrote is cleared; the time of the
//! last change becomes the present. Columns that the queue lacks, and generated ones, are left out. Two things are errors before
//! anything is changed, rather than a queue that is half put right: a status that cannot be set, because its column is generated;
//! and a column that is to be cleared, but is `NOT NULL` or generated. A `NOT NULL` time of the lease becomes the present instead:
//! no queue could do without that column, and a lease that has ended holds no task.
//!
//! # How
//!
//! One column may have two roles: where a claim writes only the time of the last change, that is the time of the lease as well.
//! Then the later assignment counts, as it would in SQL. ?2 is the present time in the queue's own format, and the task table is
//! called `task`.

use super::shape::{Role, Shape};
use crate::error::{Error, Result};
use crate::schema::{Column, quoted};
use crate::settings::registry as setting;

const CLEARED: &str = "NULL";
const PRESENT: &str = "?2";

/// What requeuing does about attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempts {
    Ignore,
    /// Add one; a task that then has as many as allowed is dead.
    Count,
    /// The claim has added one already.
    Limit,
}

impl Attempts {
    fn of(shape: &Shape) -> Result<Self> {
        let named = match shape.settings().text(&setting::STALE_ATTEMPTS)?.as_deref() {
            Some("count") => Self::Count,
            Some("limit") => Self::Limit,
            _ => return Ok(Self::Ignore),
        };
        shape.needs(&[Role::Attempts])?;
        Ok(named)
    }
}

/// The assignments that put a task back into the queue whose lease is stale.
///
/// # Errors
///
/// Settings that cannot be used, or that this table cannot follow.
pub fn of_stale(shape: &Shape) -> Result<String> {
    assignments(shape, Attempts::of(shape)?)
}

/// The assignments that put a task back into the queue that nobody has failed at.
///
/// # Errors
///
/// As for [`of_stale`].
pub fn of_any(shape: &Shape) -> Result<String> {
    assignments(shape, Attempts::Ignore)
}

fn assignments(shape: &Shape, attempts: Attempts) -> Result<String> {
    let mut changes = Changes { shape, made: Vec::new() };
    let status = shape.actual(Role::Status)?;
    if let Some(column) = status {
        changes.must_be_stored(column)?;
    }
    changes.set(status, &next_status(shape, attempts)?);
    if attempts == Attempts::Count {
        let more = format!("ifnull({}, 0) + 1", shape.column(Role::Attempts)?);
        changes.set(shape.actual(Role::Attempts)?, &more);
    }
    let lease = shape.actual(Role::LeaseUntil)?;
    changes.set(lease, if lease.is_some_and(|column| column.not_null) { PRESENT } else { CLEARED });
    for role in [Role::LockedBy, Role::ReservedAt] {
        changes.set(shape.actual(role)?, CLEARED);
    }
    for column in shape.further_cleared()? {
        changes.must_be_stored(column)?;
        changes.set(Some(column), CLEARED);
    }
    changes.set(shape.actual(Role::UpdatedAt)?, PRESENT);
    if shape.settings().whole(&setting::REQUEUE_SETS_RUN_AFTER)? != 0 {
        changes.set(shape.actual(Role::RunAfter)?, PRESENT);
    }
    changes.finish()
}

fn next_status(shape: &Shape, attempts: Attempts) -> Result<String> {
    let queued = shape.status(&setting::STATUS_QUEUED)?;
    let more = match attempts {
        Attempts::Count => 1,
        Attempts::Limit => 0,
        Attempts::Ignore => return Ok(queued),
    };
    if !shape.has(Role::MaxAttempts)? {
        return Ok(queued);
    }
    // A task without a limit is never dead. With + 0, a number in a column of texts is compared as a number.
    Ok(format!(
        "CASE WHEN ifnull({}, 0) + {more} >= {} + 0 THEN {} ELSE {queued} END",
        shape.column(Role::Attempts)?,
        shape.column(Role::MaxAttempts)?,
        shape.status(&setting::STATUS_DEAD)?
    ))
}

struct Changes<'a> {
    shape: &'a Shape,
    made: Vec<(&'a Column, String)>,
}

impl<'a> Changes<'a> {
    fn set(&mut self, column: Option<&'a Column>, value: &str) {
        let Some(column) = column.filter(|column| column.stored) else { return };
        self.made.retain(|(known, _)| known.name != column.name);
        self.made.push((column, value.to_owned()));
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
            self.shape.name()
        ))
    }
}
