//! The functions: arguments in, core called, result out.
//!
//! A function that works for long takes a listener, which hears of its progress and may stop it.

use rusqlite::types::Value;
use serde::Serialize;

use super::arguments::Arguments;
use crate::backup::{check, create, delete, options, restore as restoring, rotate as rotating};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::progress::Listener;
use crate::queue::requeue;
use crate::settings;
use crate::upkeep::schedule::{record as recording, run};
use crate::upkeep::{
    analyze as analyzing, checkpoint as checkpointing, optimize as optimizing, stats as measuring,
    vacuum as vacuuming,
};

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

/// `queue_backup([path [, options]])`
///
/// # Errors
///
/// See [`create::backup`].
pub fn backup<'a>(caller: &'a Caller, arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    let path = arguments.text(0, "path")?;
    let options: options::Options = arguments.options(1)?;
    create::backup(caller, path, &options, listener)?.json().map(Output::Json)
}

/// `queue_restore(backup [, target [, options]])`
///
/// # Errors
///
/// See [`restoring::restore`].
pub fn restore<'a>(caller: &'a Caller, arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    let (backup, target) = (arguments.text(0, "backup")?, arguments.text(1, "target")?);
    let options: restoring::Options = arguments.options(2)?;
    json(&restoring::restore(caller, backup, target, &options, listener)?)
}

/// `queue_verify(backup [, level [, options]])`
///
/// # Errors
///
/// See [`check::check`].
pub fn verify<'a>(caller: &'a Caller, arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    let (backup, level) = (arguments.text(0, "backup")?, arguments.text(1, "level")?);
    let options: check::Options = arguments.options(2)?;
    json(&check::check(caller, backup, level, &options, listener)?)
}

/// `queue_checkpoint([mode])`
///
/// # Errors
///
/// See [`checkpointing::checkpoint`].
pub fn checkpoint(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    json(&checkpointing::checkpoint(caller, arguments.text(0, "mode")?, None)?)
}

/// `queue_vacuum()`
///
/// # Errors
///
/// See [`vacuuming::vacuum`].
pub fn vacuum<'a>(caller: &'a Caller, _arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    json(&vacuuming::vacuum(caller, listener)?)
}

/// `queue_analyze([table])`
///
/// # Errors
///
/// See [`analyzing::analyze`].
pub fn analyze<'a>(caller: &'a Caller, arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    json(&analyzing::analyze(caller, arguments.text(0, "table")?, listener)?)
}

/// `queue_optimize([full])`
///
/// # Errors
///
/// See [`optimizing::optimize`].
pub fn optimize<'a>(caller: &'a Caller, arguments: &Arguments, listener: Option<Listener<'a>>) -> Result<Output> {
    let full = arguments.integer_if_given(0, "full")?.unwrap_or(0);
    json(&optimizing::optimize(caller, full, listener)?)
}

/// `queue_delete_backup(backup [, options])`
///
/// # Errors
///
/// See [`delete::delete`].
pub fn delete_backup(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let options: delete::Options = arguments.options(1)?;
    json(&delete::delete(caller, arguments.text(0, "backup")?, &options)?)
}

/// `queue_requeue_stale(secs)`
///
/// # Errors
///
/// See [`requeue::requeue`].
pub fn requeue_stale(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let grace = arguments.integer(0, "secs")?;
    let outcome = requeue::requeue(caller, grace, caller.now())?;
    Ok(Output::Integer(i64::try_from(outcome.requeued).unwrap_or(i64::MAX)))
}

/// `queue_rotate(keep [, dir])`
///
/// # Errors
///
/// See [`rotating::rotate`].
pub fn rotate(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let policy = arguments.policy(0)?;
    let deleted = rotating::rotate(caller, &policy, arguments.text(1, "dir")?, None)?;
    Ok(Output::Integer(i64::try_from(deleted).unwrap_or(i64::MAX)))
}

/// `qk_record(queue, job, step, status, detail, now, number)`, which SQL does not have.
///
/// # Errors
///
/// See [`recording::record`].
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

/// `queue_run_due([now])`
///
/// # Errors
///
/// See [`run::run_due`].
pub fn run_due(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    json(&run::run_due(caller, arguments.time(0, "now")?)?)
}

/// `queue_set(name, value)`
///
/// # Errors
///
/// See [`settings::set`].
pub fn set(caller: &Caller, arguments: &Arguments) -> Result<Output> {
    let name = arguments.text(0, "name")?;
    let name =
        name.ok_or_else(|| Error::usage("name is required, but is NULL; queue_settings() lists all settings"))?;
    settings::set(caller.connection(), name, &arguments.value(1, "value")?).map(Output::Value)
}

/// `queue_stats()`
///
/// # Errors
///
/// See [`measuring::stats`].
pub fn stats(caller: &Caller, _arguments: &Arguments) -> Result<Output> {
    json(&measuring::stats(caller)?)
}

/// `queue_version()`
///
/// # Errors
///
/// None.
pub fn version(_caller: &Caller, _arguments: &Arguments) -> Result<Output> {
    Ok(Output::Text(crate::VERSION.into()))
}

fn json(result: &impl Serialize) -> Result<Output> {
    let text = serde_json::to_string(result);
    text.map(Output::Json).map_err(|error| Error::internal(format!("the result cannot be written as JSON ({error})")))
}
