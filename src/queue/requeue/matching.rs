//! Puts tasks back that somebody chose: those of one worker, say, whose leases have hours left.
//!
//! # Promise
//!
//! - Only tasks that a worker holds match, stale or not; the filter chooses among them ([`Filter`]). What becomes of
//!   them, and how, is as for stale leases ([`super`]): an attempt counts as made.
//! - Each task is put back only if it is still held as it was when it was chosen, by the same worker under the same
//!   lease: one that was finished, renewed or claimed anew in between is passed.
//! - With `expect`, nothing is changed unless so many match. A dry run changes nothing, and works where nothing can be
//!   written.
//! - That a worker is dead is the caller's word. One that lives does its tasks, and another does them again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::statements::Statements;
use super::{Outcome, explain, put_back};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::queue::blocked::Blocked;
use crate::queue::filter::Filter;
use crate::queue::{changes, leases};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    dry_run: bool,
    /// How many tasks must match.
    expect: Option<u64>,
}

/// The result of `queue_requeue()`.
#[derive(Debug, Serialize)]
pub struct Requeued {
    /// Tasks that match, at most the filter's limit.
    matched: usize,
    requeued: usize,
    dry_run: bool,
    #[serde(skip_serializing_if = "is_none")]
    blocked: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocked_tasks: Vec<Blocked>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference.
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// Requeues the tasks that a worker holds and the filter chooses.
pub fn requeue(caller: &Caller, filter: Option<&str>, options: &Options, now: DateTime<Utc>) -> Result<Requeued> {
    let conn = caller.connection();
    let filter = Filter::of(filter)?;
    let mapping = leases::require(conn)?;
    let chosen = filter.condition(&mapping)?;
    let statements =
        Statements::for_listed(conn, &mapping, &chosen.sql, chosen.limit, &changes::of_stale(&mapping)?)?;
    let keys = statements.keys(conn, &chosen.values).map_err(|error| explain(caller, error))?;
    let matched = keys.len() / statements.width;
    if let Some(expected) = options.expect.filter(|expected| usize::try_from(*expected) != Ok(matched)) {
        return Err(Error::usage(format!(
            "{matched} tasks match, but {expected} were expected: nothing was changed"
        )));
    }
    let outcome = if options.dry_run {
        Outcome::default()
    } else {
        put_back(caller, &mapping, &statements, 0, now, || Ok(keys))?
    };
    Ok(Requeued {
        matched,
        requeued: outcome.requeued,
        dry_run: options.dry_run,
        blocked: outcome.blocked,
        blocked_tasks: outcome.named().cloned().collect(),
    })
}
