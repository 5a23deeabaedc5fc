//! The columns and rows of each table-valued function.

mod backups;
mod queue;
mod schedule;
mod upkeep;

use rusqlite::types::Value;

pub use backups::{BACKUPS, ROTATION};
pub use queue::{DEPTH, STALE};
pub use schedule::{HISTORY, SCHEDULE};
pub use upkeep::{HEALTH, INTEGRITY, SETTINGS, STATS};

use super::table::Spec;

/// All tables.
pub const TABLES: &[&Spec] =
    &[&BACKUPS, &DEPTH, &HEALTH, &HISTORY, &INTEGRITY, &ROTATION, &SCHEDULE, &SETTINGS, &STALE, &STATS];

pub(super) fn text(value: Option<impl Into<String>>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.into()))
}

pub(super) fn integer(value: Option<impl TryInto<i64>>) -> Value {
    value.map_or(Value::Null, |value| Value::Integer(value.try_into().unwrap_or(i64::MAX)))
}
