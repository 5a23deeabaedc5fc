//! The schedule, and what was run.

use rusqlite::types::Value;

use super::text;
use crate::calls::arguments::Arguments;
use crate::connection::Caller;
use crate::error::Result;
use crate::upkeep::schedule::{self, memory};

pub(crate) fn schedule_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let rows = schedule::schedule(caller)?.into_iter().map(|row| {
        vec![text(Some(row.job)), text(Some(row.cron)), text(row.last_run), text(row.next_due), text(row.last_status)]
    });
    Ok(rows.collect())
}

pub(crate) fn history_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let rows = memory::history(caller.connection())?.into_iter().map(|row| {
        vec![
            text(Some(row.job)),
            text(Some(row.step)),
            text(Some(row.started)),
            text(row.finished),
            text(Some(row.status)),
            text(row.detail),
        ]
    });
    Ok(rows.collect())
}
