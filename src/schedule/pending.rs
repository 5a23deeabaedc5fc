//! Whether a job is due now, from its settings and its row.

use chrono::{DateTime, Utc};

use super::due::{Past, Slot, Verdict, judge};
use super::job::Job;
use super::log::read::{JobRecord, job_record};
use crate::connection::Caller;
use crate::cron::{Cron, Zone};
use crate::error::{Error, Result};
use crate::settings::registry as setting;
use crate::settings::{Setting, Settings};

/// A job as it is now.
pub struct Look {
    pub record: JobRecord,
    pub verdict: Verdict,
    now: DateTime<Utc>,
    cron: Cron,
    zone: Zone,
}

/// A job that is due.
pub struct Due {
    pub job: &'static Job,
    pub slot: Slot<'static>,
    pub past: Past,
    /// When it was found to be due.
    pub now: DateTime<Utc>,
    /// Its next time.
    pub next: Option<DateTime<Utc>>,
}

impl Look {
    /// The job, if it is due.
    pub fn due(self, job: &'static Job) -> Option<Due> {
        let Verdict::Due { due, attempt } = self.verdict else { return None };
        let next = self.cron.next(self.now, self.zone);
        Some(Due { job, slot: Slot { job: job.name, due, attempt }, past: self.record.past, now: self.now, next })
    }
}

/// The zone of the cron expressions.
pub fn zone(settings: &Settings) -> Result<Zone> {
    let named = settings.text(&setting::TIME_ZONE)?;
    Ok(if named.as_deref() == Some("local") { Zone::Local } else { Zone::Utc })
}

pub fn cron(settings: &Settings, setting: &Setting) -> Result<Cron> {
    let text = settings.text(setting)?.unwrap_or_default();
    Cron::parse(&text)
        .map_err(|reason| Error::usage(format!("the setting {} cannot be used: {reason}", setting.name)))
}

/// Reads a job's settings and row. The inner error is that of an invalid cron expression. With `retry_now` a
/// failed job waits for no pause.
pub fn look(caller: &Caller, job: &Job, retry_now: bool) -> Result<Result<Look>> {
    let settings = Settings::of(caller.connection())?;
    let zone = zone(&settings)?;
    let cron = match cron(&settings, job.cron) {
        Ok(cron) => cron,
        Err(error) => return Ok(Err(error)),
    };
    let mut record = job_record(caller.connection(), job.name)?;
    if retry_now {
        record.past = record.past.without_pause();
    }
    let now = caller.now();
    let verdict = judge(&cron, zone, &record.past, now);
    Ok(Ok(Look { record, verdict, now, cron, zone }))
}
