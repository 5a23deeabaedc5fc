//! The rows of the table-valued functions. `operations.toml` declares the columns, in the same order.

pub(super) mod backups;
pub(super) mod queue;
pub(super) mod schedule;
pub(super) mod upkeep;

use rusqlite::types::Value;

use crate::error::{Error, Result};
use crate::memory;

pub(super) fn each<T>(found: impl IntoIterator<Item = T>, row: impl Fn(T) -> Vec<Value>) -> Result<Vec<Vec<Value>>> {
    memory::collected(found.into_iter().map(|one| Ok::<_, Error>(row(one))))
}

pub(super) fn text(value: Option<impl Into<String>>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.into()))
}

pub(super) fn integer(value: Option<impl TryInto<i64>>) -> Value {
    value.map_or(Value::Null, |value| Value::Integer(value.try_into().unwrap_or(i64::MAX)))
}
