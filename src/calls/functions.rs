//! The functions' result type, and the functions whose arguments need more than a type check.
//!
//! All others are generated from `operations.toml`, see [`super::operations`]. Long-running functions take a
//! listener, which is told the progress and may stop them.

use rusqlite::types::Value;
use serde::Serialize;

use super::arguments::Arguments;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::json;
use crate::schedule::external as recording;
use crate::settings;

#[derive(Debug)]
pub enum Output {
    Integer(i64),
    Text(String),
    Json(String),
    Value(Value),
}

/// `qk_record(queue, job, step, status, detail, now, number)`; C only.
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

pub fn json(result: &impl Serialize) -> Result<Output> {
    json::text(result).map(Output::Json)
}

pub fn count(number: impl TryInto<i64>) -> Result<Output> {
    Ok(Output::Integer(number.try_into().unwrap_or(i64::MAX)))
}
