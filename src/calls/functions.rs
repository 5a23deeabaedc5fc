//! What functions return, and those whose arguments need more than their types.
//!
//! All others are made from `operations.toml`, see [`super::operations`]. A function that works for long takes a listener, which hears of its
//! progress and may stop it.

use rusqlite::types::Value;
use serde::Serialize;

use super::arguments::Arguments;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::json;
use crate::settings;
use crate::upkeep::schedule::record as recording;

/// What a function returns.
#[derive(Debug)]
pub enum Output {
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// A text that is JSON.
    Json(String),
    /// A value as it is stored.
    Value(Value),
}

/// `qk_record(queue, job, step, status, detail, now, number)`, which SQL does not have.
pub fn record(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let required = |place, what| {
        arguments.text(place, what)?.ok_or_else(|| Error::usage(format!("{what} is required, but is NULL")))
    };
    let done = recording::Done {
        job: required(0, "job")?,
        step: required(1, "step")?,
        status: required(2, "status")?,
        detail: arguments.text(3, "detail")?,
    };
    recording::record(caller, done, arguments.time(4, "now")?).map(Output::Integer)
}

/// `queue_set(name, value)`
pub fn set(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let name = arguments.text(0, "name")?;
    let name =
        name.ok_or_else(|| Error::usage("name is required, but is NULL; queue_settings() lists all settings"))?;
    settings::set(caller.connection(), name, &arguments.value(1, "value")?).map(Output::Value)
}

/// A result that is an object.
pub fn json(result: &impl Serialize) -> Result<Output> {
    json::text(result).map(Output::Json)
}

/// A result that is a number.
pub fn count(number: impl TryInto<i64>) -> Result<Output> {
    Ok(Output::Integer(number.try_into().unwrap_or(i64::MAX)))
}
