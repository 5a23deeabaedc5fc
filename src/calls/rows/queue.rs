//! Rows of the queue's depth and of leases.

use rusqlite::types::Value;

use crate::calls::arguments::Arguments;
use crate::connection::Caller;
use crate::error::Result;
use crate::queue::{depth, leases};

pub(crate) fn depth_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    depth::depth(caller.connection(), |row| {
        vec![row.status, Value::Integer(row.tasks), row.oldest_utc, row.newest_utc]
    })
}

pub(crate) fn stale(caller: &Caller, arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let grace = arguments.integer_if_given(0, "secs")?;
    leases::stale(caller.connection(), grace, caller.now(), |row| {
        vec![
            row.task_id,
            row.status,
            row.locked_by,
            row.lease_until_utc,
            row.overdue_seconds,
            row.attempts,
            row.blocked,
        ]
    })
}

pub(crate) fn leases_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    leases::all(caller.connection(), caller.now(), |row| {
        vec![
            row.task_id,
            row.task_type,
            row.status,
            row.locked_by,
            row.lease_until_utc,
            row.ends_utc,
            row.overdue_seconds,
            row.attempts,
            row.blocked,
        ]
    })
}
