//! Runs due jobs.
//!
//! # Promise
//!
//! - Any number of processes may call [`run_due`] at any time, from cron, Task Scheduler, APScheduler or a
//!   shell loop: each due job runs once. A call during another one's work returns at once with nothing done.
//! - A process that dies leaves its job due: the next call starts it again after a pause (see
//!   [`super::due`]), without the steps that were done.
//! - Every step is recorded in `queuekeeper_log` at its beginning and end. A failed step is no error of the
//!   call: the result and the log have it, and the job is retried. An interrupt is an error, and ends the
//!   call.
//! - A job with an invalid cron expression (somebody edited the settings by hand) is an error of the call,
//!   after all other due jobs have run.
//! - A call with nothing due writes nothing to the database and takes no lock in it, so it can be made every
//!   minute. The exception is once after a process died or the clock was set back: the log is corrected.
//!
//! # How
//!
//! An OS lock on the file `NAME-schedule` beside the database marks the process at work. The system releases
//! it with the process, so a dead one never blocks; a live one is reported after a while ([`lock`]). What is
//! due is decided under the lock.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::attempt::Attempt;
use super::course::Call;
use super::due::Verdict;
use super::job::JOBS;
use super::log::write::LogWriter;
use super::pending::look;
use super::ran::{Ran, no_schedule, refuse_faults};
use super::{dry_run, lock};
use crate::clock::Clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::host::{self, Transaction};
use crate::schema;
use crate::settings::Settings;
use crate::settings::registry as setting;

#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Stands for the present in everything that the call does.
    pub now: Option<DateTime<Utc>>,
    /// Ignores the pauses after failures.
    pub retry_now: bool,
    /// See [`dry_run`].
    pub dry_run: bool,
}

/// Runs every due job. Fails inside a transaction of the caller, or if somebody has held the lock for too
/// long.
pub fn run_due(caller: &Caller, options: Options) -> Result<Vec<Ran>> {
    let clock = options.now.map(Clock::showing).unwrap_or_default();
    let call = || Call::new(options.retry_now, caller.now());
    if options.dry_run {
        return caller.by_clock(clock, || dry_run::would_run(caller, &call()));
    }
    let file = check(caller)?;
    let Some(_lock) = lock::take(caller, &file)? else {
        return Ok(Vec::new());
    };
    caller.by_clock(clock, || run_all(caller, &file, &call()))
}

/// Fails unless the caller's database can have a schedule, and another connection may write it now; returns
/// its file.
pub fn check(caller: &Caller) -> Result<std::path::PathBuf> {
    let conn = caller.connection();
    refuse_transaction(conn)?;
    let Some(file) = caller.file() else {
        return Err(no_schedule());
    };
    let caller_state = caller.state()?;
    if caller_state.excludes_others() {
        let reason = caller_state.in_the_way().unwrap_or_default();
        return Err(Error::busy(format!("jobs cannot run: {reason}")));
    }
    caller.check_writable(&caller_state, "run the schedule")?;
    caller.check_in_place()?;
    // A statement that writes elsewhere (CREATE TEMP TABLE … AS SELECT) holds no lock here yet, but keeps any
    // that it takes: after the first read, the jobs' commits would be blocked by it.
    schema::tables(conn)?;
    refuse_transaction(conn)?;
    Ok(file)
}

fn refuse_transaction(conn: &Connection) -> Result<()> {
    if conn.is_autocommit() && host::transaction(conn) == Transaction::None {
        return Ok(());
    }
    Err(Error::usage(
        "this connection has a transaction open, in which jobs cannot run; COMMIT or ROLLBACK it, finish its statements, and \
         call again on its own: SELECT queue_run_due()",
    ))
}

fn run_all(caller: &Caller, file: &Path, call: &Call) -> Result<Vec<Ran>> {
    let mut ran = Vec::new();
    match run_each(caller, file, call, &mut ran) {
        Ok(()) => Ok(ran),
        Err(error) if ran.is_empty() => {
            Err(error.if_interrupted("no job was run to its end; call again for the rest"))
        }
        Err(error) => {
            let names: Vec<&str> = ran.iter().map(|ran| ran.job).collect();
            Err(error
                .if_interrupted(format!("run to their end before: {}; call again for the rest", names.join(", "))))
        }
    }
}

fn run_each(caller: &Caller, file: &Path, call: &Call, ran: &mut Vec<Ran>) -> Result<()> {
    let conn = caller.connection();
    let mut log = None;
    let mut faults = Vec::new();
    for job in &JOBS {
        // Anew for each job: the one before may have taken long.
        let look = match look(caller, job, call.retry_now())? {
            Ok(look) => look,
            Err(error) => {
                faults.push(error.message().to_owned());
                continue;
            }
        };
        if look.record.last_status.as_deref() == Some("running") {
            opened(&mut log, caller, file)?;
        }
        if let Verdict::Waits { forget_beyond: Some(done), .. } = look.verdict {
            opened(&mut log, caller, file)?.done(job.name, None, done, &look.record.past)?;
        }
        if let Some(due) = look.due(job) {
            let log = opened(&mut log, caller, file)?;
            ran.push(Attempt { caller, log, call, due: &due }.run()?);
        }
    }
    if let Some(log) = &log {
        match Settings::of(conn)?.positive(&setting::HISTORY_ROWS) {
            Ok(most) => log.trim(most)?,
            Err(error) => faults.push(error.message().to_owned()),
        }
    }
    refuse_faults(&faults, "everything else that was due was run, see queue_history()")
}

fn opened<'s, 'a>(log: &'s mut Option<LogWriter<'a>>, caller: &'a Caller, file: &Path) -> Result<&'s LogWriter<'a>> {
    match log {
        Some(log) => Ok(log),
        none => {
            let log = LogWriter::open(caller, file)?;
            log.mark_interrupted()?;
            Ok(none.insert(log))
        }
    }
}
