//! Rows of measurements, settings and integrity checks.

use rusqlite::types::Value;

use super::{each, integer, text};
use crate::calls::arguments::Arguments;
use crate::connection::Caller;
use crate::error::Result;
use crate::health;
use crate::phase::Phase;
use crate::settings::Settings;
use crate::upkeep::{integrity, stats};

pub(crate) fn integrity_rows(caller: &Caller, arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let most = arguments.integer_if_given(1, "max_errors")?.unwrap_or(integrity::DEFAULT_MAX_ERRORS);
    caller.phase().enter(Phase::Checking);
    let found = integrity::integrity(caller.connection(), arguments.text(0, "level")?, most)?;
    each(integrity::messages(found), |message| vec![Value::Text(message)])
}

pub(crate) fn health_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let real = |value: Option<f64>| value.map_or(Value::Null, Value::Real);
    each(health::health(caller)?, |row| {
        vec![
            text(Some(row.metric)),
            row.value,
            text(row.unit),
            real(row.warning),
            real(row.critical),
            text(Some(row.level.word())),
            text(row.action),
        ]
    })
}

pub(crate) fn settings_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    each(Settings::of(caller.connection())?.rows()?, |row| {
        vec![Value::Text(row.name), row.value, row.default_value, Value::Text(row.description)]
    })
}

pub(crate) fn statistics(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let row = stats::stats(caller)?;
    Ok(vec![vec![
        Value::Integer(row.page_count),
        Value::Integer(row.page_size),
        Value::Real(row.total_size_mb),
        Value::Integer(row.freelist_count),
        Value::Integer(row.wal_mode),
        Value::Real(row.wal_size_mb),
        text(row.path),
        Value::Integer(row.size_bytes),
        Value::Integer(row.wal_size_bytes),
        Value::Real(row.fragmentation_pct),
        integer(row.free_disk_bytes),
        Value::Text(row.journal_mode),
        Value::Text(row.sqlite_version),
    ]])
}
