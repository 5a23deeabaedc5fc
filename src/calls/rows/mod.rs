//! The rows of each table-valued function; its columns are declared in `operations.toml`, in the same order.

pub(super) mod backups;
pub(super) mod queue;
pub(super) mod schedule;
pub(super) mod upkeep;

use rusqlite::types::Value;

pub(super) fn text(value: Option<impl Into<String>>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.into()))
}

pub(super) fn integer(value: Option<impl TryInto<i64>>) -> Value {
    value.map_or(Value::Null, |value| Value::Integer(value.try_into().unwrap_or(i64::MAX)))
}
