//! Rows of the schedule and its history.

use rusqlite::types::Value;

use super::{each, text};
use crate::calls::arguments::Arguments;
use crate::connection::Caller;
use crate::error::Result;
use crate::schedule::{self, log};

pub(crate) fn schedule_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    each(schedule::schedule(caller)?, |row| {
        vec![text(Some(row.job)), text(row.cron), text(row.last_run), text(row.next_due), text(row.last_status)]
    })
}

pub(crate) fn history_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    each(log::read::history(caller.connection())?, |row| {
        vec![
            text(Some(row.job)),
            text(Some(row.step)),
            text(Some(row.started)),
            text(row.finished),
            text(Some(row.status)),
            text(row.detail),
        ]
    })
}
