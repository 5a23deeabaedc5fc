//! The default grace of leases: the setting `stale_secs`.
//!
//! # Promise
//!
//! No task is taken from a living worker by a guess. A lease with an end is over when that has passed, so any
//! grace will do. But if the lease's time is when the claim **began**, only the queue's owner knows how long
//! a task may take. Then there is no default: what needs one is left out or fails with that reason, and
//! `stale_secs` must be set.
//!
//! # How
//!
//! This is known for presets ([`crate::settings::presets`] gives them no `stale_secs`, or the library's own
//! limit), and for any queue whose `column_lease_until` is also its `column_reserved_at` or
//! `column_updated_at`. A manual mapping that uses a claim's time only as `column_lease_until` cannot be
//! recognized. With `stale_needs_dead_worker` the heartbeats decide, so the claim's time is no guess.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::mapping::{Mapping, Role};
use crate::error::{Error, Result};
use crate::settings::{presets, registry as setting};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultGrace {
    /// There is no task table.
    NoQueue,
    /// Leases have no end, and `stale_secs` is not set.
    Unknown,
    Seconds(i64),
}

/// Why leases are not judged, and what to do.
pub const UNKNOWN: &str = "the time of a lease is when the claim began, so how long a task may take must be said: \
                           queue_set('stale_secs', …) with more seconds than the longest task takes";

pub fn of(conn: &Connection) -> Result<DefaultGrace> {
    let Some(mapping) = Mapping::find(conn)? else { return Ok(DefaultGrace::NoQueue) };
    let settings = mapping.settings();
    let value = settings.value(&setting::STALE_SECS)?;
    let by_hand = settings.stored(&setting::STALE_SECS).is_some();
    let by_heartbeat = settings.whole(&setting::STALE_NEEDS_DEAD_WORKER)? != 0;
    match value {
        Value::Integer(seconds) if by_hand || by_heartbeat || !is_of_the_claim(&mapping)? => {
            Ok(DefaultGrace::Seconds(seconds))
        }
        _ => Ok(DefaultGrace::Unknown),
    }
}

/// The given seconds, else the default.
pub fn seconds(conn: &Connection, given: Option<i64>) -> Result<i64> {
    match (given, given.map_or_else(|| of(conn), |_| Ok(DefaultGrace::NoQueue))?) {
        (Some(seconds), _) | (None, DefaultGrace::Seconds(seconds)) => Ok(seconds),
        (None, DefaultGrace::Unknown) => Err(Error::usage(format!("secs is required: {UNKNOWN}, or pass secs"))),
        // The next step reports that there is no queue.
        (None, DefaultGrace::NoQueue) => Ok(0),
    }
}

/// Whether the lease's time is when it ends, as far as is known.
pub fn has_end(mapping: &Mapping) -> Result<bool> {
    let settings = mapping.settings();
    let preset = settings.text(&setting::PRESET)?.unwrap_or_default();
    let by_preset = settings.stored(&setting::COLUMN_LEASE_UNTIL).is_none();
    Ok(!(by_preset && presets::WITHOUT_END.contains(&preset.as_str()) || is_of_the_claim(mapping)?))
}

/// Whether the lease's time is that of the claim, as a second role of its column tells.
fn is_of_the_claim(mapping: &Mapping) -> Result<bool> {
    let Some(lease) = mapping.actual(Role::LeaseUntil)? else { return Ok(false) };
    for role in [Role::ReservedAt, Role::UpdatedAt] {
        if mapping.actual(role)?.is_some_and(|column| column.name == lease.name) {
            return Ok(true);
        }
    }
    Ok(false)
}
