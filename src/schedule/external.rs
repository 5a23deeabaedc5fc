//! Records steps of others, such as off-site copies, in the schedule's log.
//!
//! # Promise
//!
//! - A step is recorded at its beginning (`running`) and at its end (`ok`, `failed`, `skipped`), in one row;
//!   or only at its end. A step that never ended becomes `interrupted` when the same step begins again.
//! - Nothing is recorded under the schedule's own jobs: their earlier attempts' steps are read from the log,
//!   so a foreign row would make them skip work.
//! - The log's bound and all else that [`super::log::write`] promises hold.
//!
//! # How
//!
//! C only. SQL can insert rows itself; the Python package has no SQL, since its process may run on another
//! SQLite than Python's module.

use chrono::{DateTime, Utc};

use super::job::JOBS;
use super::log::write::LogWriter;
use super::run;
use crate::clock::Clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::settings::registry as setting;

const BEGUN: &str = "running";
const ENDED: [&str; 3] = ["ok", "failed", "skipped"];

#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    pub job: &'a str,
    pub step: &'a str,
    /// `running`, `ok`, `failed` or `skipped`.
    pub status: &'a str,
    /// JSON, or an error message.
    pub detail: Option<&'a str>,
}

/// Records a step, at `now` if given; returns its row number in the log. Fails inside a transaction of the
/// caller.
pub fn record(caller: &Caller, done: Done<'_>, now: Option<DateTime<Utc>>) -> Result<i64> {
    check(done)?;
    let file = run::check(caller)?;
    caller.by_clock(now.map(Clock::showing).unwrap_or_default(), || {
        let log = LogWriter::open(caller, &file)?;
        let now = caller.now();
        if done.status == BEGUN {
            return log.begin_of_others(done.job, done.step, now);
        }
        let number = log.end_of_others(done.job, done.step, done.status, done.detail.unwrap_or_default(), now)?;
        log.trim(Settings::of(caller.connection())?.positive(&setting::HISTORY_ROWS)?)?;
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
