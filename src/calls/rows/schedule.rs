//! The schedule, and what was run.

use rusqlite::types::Value;

use super::text;
use crate::calls::arguments::Arguments;
use crate::calls::table::Spec;
use crate::connection::Caller;
use crate::error::Result;
use crate::upkeep::schedule::{self, memory};

/// `queue_schedule`
pub static SCHEDULE: Spec = Spec {
    name: "queue_schedule",
    columns: &["job TEXT", "cron TEXT", "last_run_utc TEXT", "next_due_utc TEXT", "last_status TEXT"],
    arguments: &[],
    looks_at_files: false,
    rows: schedule_rows,
};

/// `queue_history`
pub static HISTORY: Spec = Spec {
    name: "queue_history",
    columns: &["job TEXT", "step TEXT", "started_utc TEXT", "finished_utc TEXT", "status TEXT", "detail TEXT"],
    arguments: &[],
    looks_at_files: false,
    rows: history_rows,
};

fn schedule_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let rows = schedule::schedule(caller)?.into_iter().map(|row| {
        vec![text(Some(row.job)), text(Some(row.cron)), text(row.last_run), text(row.next_due), text(row.last_status)]
    });
    Ok(rows.collect())
}

fn history_rows(caller: &Caller, _arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
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
