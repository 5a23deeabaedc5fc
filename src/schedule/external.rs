//! What was done around the schedule by others, such as copying backups elsewhere, recorded in the same log.
//!
//! # Promise
//!
//! - A step is recorded when it begins (`running`) and again when it has ended (`ok`, `failed`, `skipped`), in one row; or once, when
//!   it has ended. One that never ended is marked `interrupted` when the same step begins again.
//! - Nothing is recorded in the name of the schedule's own jobs: what their steps did in earlier attempts is read from the log, so a
//!   row of somebody else's would make them leave out work.
//! - The log's bound and everything else that [`super::log::write`] promises hold.
//!
//! # How
//!
//! Only the C ABI offers it. Who has SQL can insert rows by himself; the package has no SQL of its own, since its process may run on
//! another SQLite than Python's module.

use chrono::{DateTime, Utc};

use super::job::JOBS;
use super::log::write::Ledger;
use super::run;
use crate::clock::Clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::settings::registry as setting;

const BEGUN: &str = "running";
const ENDED: [&str; 3] = ["ok", "failed", "skipped"];

/// A step of others'.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    /// What it belongs to.
    pub job: &'a str,
    /// Its name.
    pub step: &'a str,
    /// `running`, `ok`, `failed` or `skipped`.
    pub status: &'a str,
    /// What it came to: JSON, or the error in words.
    pub detail: Option<&'a str>,
}

/// Records a step at `now` (the present, if it is not given); the number of its row in the log.
///
/// # Errors
///
/// Words that are not allowed, a transaction of the caller's, a database without a file or that cannot be written, or whatever
/// SQLite says.
pub fn record(caller: &Caller, done: Done<'_>, now: Option<DateTime<Utc>>) -> Result<i64> {
    check(done)?;
    let file = run::check(caller)?;
    caller.by_clock(now.map(Clock::showing).unwrap_or_default(), || {
        let ledger = Ledger::open(caller, &file)?;
        let now = caller.now();
        if done.status == BEGUN {
            return ledger.begin_of_others(done.job, done.step, now);
        }
        let number = ledger.end_of_others(done.job, done.step, done.status, done.detail.unwrap_or_default(), now)?;
        ledger.trim(Settings::of(caller.connection())?.positive(&setting::HISTORY_ROWS)?)?;
        Ok(number)
    })
}

fn check(done: Done<'_>) -> Result<()> {
    for (what, word) in [("job", done.job), ("step", done.step)] {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_. ".contains(&byte);
        if word.is_empty() || word.len() > 64 || !word.bytes().all(plain) {
            return Err(Error::usage(format!(
                "{what} cannot be '{}'; it must be 1 to 64 letters, digits, '-', '_', '.' or spaces",
                word.escape_debug()
            )));
        }
    }
    if JOBS.iter().any(|job| job.name.eq_ignore_ascii_case(done.job)) {
        return Err(Error::usage(format!("job cannot be '{}': that is a job of the schedule itself", done.job)));
    }
    if done.status != BEGUN && !ENDED.contains(&done.status) {
        return Err(Error::usage(format!(
            "status cannot be '{}'; it must be {BEGUN}, {}",
            done.status.escape_debug(),
            ENDED.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(job: &str, step: &str, status: &str) -> Result<()> {
        check(Done { job, step, status, detail: None })
    }

    #[test]
    fn only_plain_words_are_recorded() {
        assert!(checked("offsite", "push", "running").is_ok());
        assert!(checked("notify", "ntfy 2", "failed").is_ok());
        for bad in ["", "a\nb", "ünd", "a;b", &"x".repeat(65)] {
            assert!(checked(bad, "push", "ok").is_err(), "{bad}");
            assert!(checked("offsite", bad, "ok").is_err(), "{bad}");
        }
        for status in ["", "done", "interrupted", "OK"] {
            assert!(checked("offsite", "push", status).unwrap_err().message().contains("running, ok"), "{status}");
        }
    }

    #[test]
    fn the_schedules_own_jobs_are_not_recorded_by_others() {
        for job in ["daily", "DAILY", "hourly", "weekly", "monthly"] {
            assert!(checked(job, "backup", "ok").unwrap_err().message().contains("schedule itself"), "{job}");
        }
    }
}
