//! For how long a lease must be over where nobody says: the setting `stale_secs`.
//!
//! # Promise
//!
//! No task is taken from a living worker by a guess. A lease that has an end is over when that has passed, and any number of seconds
//! beyond is patience enough. But where the time of the lease is when the claim **began**, only the queue's owner knows how
//! long a task may take: there is no default then, what would need one is left out or says so, and `stale_secs` must be set by hand.
//!
//! # How
//!
//! It is known of presets ([`crate::settings::presets`] gives them no `stale_secs`, or the library's own limit), and of any queue whose
//! `column_lease_until` is also its `column_reserved_at` or its `column_updated_at`. A mapping by hand that names the column of a claim
//! as the end of the lease and nothing else cannot be told from one with an end. With `stale_needs_dead_worker` the workers' signs of
//! life decide, and the time of the claim is no guess.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::mapping::{Mapping, Role};
use crate::error::{Error, Result};
use crate::settings::registry as setting;

/// What is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// There is no task table.
    NoQueue,
    /// Leases have no end, and nobody has said how long a task may take.
    Unknown,
    /// So many seconds.
    Seconds(i64),
}

/// Why leases are left alone, and what to do.
pub const UNKNOWN: &str = "the time of a lease is when the claim began, so how long a task may take must be said: \
                           queue_set('stale_secs', …) with more seconds than the longest task takes";

/// What is known of the queue in the connection's main database.
pub fn of(conn: &Connection) -> Result<Patience> {
    let Some(mapping) = Mapping::find(conn)? else { return Ok(Patience::NoQueue) };
    let settings = mapping.settings();
    let value = settings.value(&setting::STALE_SECS)?;
    let by_hand = settings.stored(&setting::STALE_SECS).is_some();
    let by_heartbeat = settings.whole(&setting::STALE_NEEDS_DEAD_WORKER)? != 0;
    match value {
        Value::Integer(seconds) if by_hand || by_heartbeat || !is_of_the_claim(&mapping)? => {
            Ok(Patience::Seconds(seconds))
        }
        _ => Ok(Patience::Unknown),
    }
}

/// The seconds that were given, else those that are known.
pub fn seconds(conn: &Connection, given: Option<i64>) -> Result<i64> {
    match (given, given.map_or_else(|| of(conn), |_| Ok(Patience::NoQueue))?) {
        (Some(seconds), _) | (None, Patience::Seconds(seconds)) => Ok(seconds),
        (None, Patience::Unknown) => Err(Error::usage(format!("secs is required: {UNKNOWN}, or pass secs"))),
        // What comes next says that there is none.
        (None, Patience::NoQueue) => Ok(0),
    }
}

/// Whether the lease's time is that of the claim: it has a second role that says so.
fn is_of_the_claim(mapping: &Mapping) -> Result<bool> {
    let Some(lease) = mapping.actual(Role::LeaseUntil)? else { return Ok(false) };
    for role in [Role::ReservedAt, Role::UpdatedAt] {
        if mapping.actual(role)?.is_some_and(|column| column.name == lease.name) {
            return Ok(true);
        }
    }
    Ok(false)
}
