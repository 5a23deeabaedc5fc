//! How the copies elsewhere stand, by the log: the core copies nothing, the Python package does.
//!
//! # Promise
//!
//! - Off-site copies are known where the setting `remote` or a row of the log tells of them.
//! - [`of`] says when copying is tried again by the rule by which the package tries again
//!   (`python/src/queuekeeper/_copies.py`; a test compares the two): after the first failure by the next call,
//!   then after pauses, which a new backup ends. What has not failed waits for no time.
//! - What is no longer tried ([`is_lapsed`]) fails no more, and its status is `lapsed`.
//! - What was pushed is as old as the beginning of its push.

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::due::pause;
use super::log::steps::{StepRow, is_lapsed, newest, walk};
use crate::clock;
use crate::connection::Caller;
use crate::error::Result;
use crate::settings::Settings;
use crate::settings::registry as setting;

pub const JOB: &str = "offsite";
pub const PUSH: &str = "push";
const STEPS: [&str; 2] = [PUSH, "rotate remote"];

const LAPSED: &str = "lapsed";

/// More failures than this make no pause longer.
const ROUNDS: usize = 8;

/// How copying stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Offsite {
    /// When it last began.
    pub last_run: Option<String>,
    /// The status of its newest push, or of its newest rotation if only that is not `ok`; or `lapsed`.
    pub last_status: Option<String>,
    /// When it is tried again after a failure.
    pub next: Option<DateTime<Utc>>,
}

/// How copying stands; `None` if nothing tells of any.
pub fn of(caller: &Caller, settings: &Settings) -> Result<Option<Offsite>> {
    let conn = caller.connection();
    let mut rows = Vec::new();
    for step in STEPS {
        rows.extend(newest(conn, Some((JOB, step)))?);
    }
    for row in rows.iter_mut().filter(|row| row.status != "ok") {
        if is_lapsed(conn, &row.job, &row.step)? {
            row.status = LAPSED.into();
        }
    }
    let Some(first) = rows.first() else {
        return Ok(settings.stored(&setting::REMOTE).is_some().then(Offsite::default));
    };
    let broken = rows.iter().find(|row| row.status != "ok" && row.status != LAPSED);
    Ok(Some(Offsite {
        last_run: Some(first.started.clone()),
        last_status: Some(broken.unwrap_or(first).status.clone()),
        next: broken.map(|broken| next(conn, broken, caller.now())).transpose()?,
    }))
}

/// When the newest push that was done began. One with a future time, by a wrong clock, would look new until
/// then, and is left out by `counts`.
pub fn pushed(conn: &Connection, counts: impl Fn(DateTime<Utc>) -> bool) -> Result<Option<DateTime<Utc>>> {
    let mut found = None;
    walk(conn, Some((JOB, PUSH)), |row| {
        let began = clock::parse(&row.started).filter(|_| row.status == "ok");
        found = found.max(began.filter(|began| counts(*began)));
        true
    })?;
    Ok(found)
}

/// When what is `broken` is tried again; in the past if the next call tries.
fn next(conn: &Connection, broken: &StepRow, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    let tries = tries(conn)?;
    let earlier = u32::try_from(tries.len().saturating_sub(1)).unwrap_or(u32::MAX);
    Ok(match clock::parse(tries.first().unwrap_or(&broken.started)) {
        Some(tried) if tried <= now && earlier > 0 => tried + pause(earlier),
        Some(tried) if tried <= now => tried,
        // A clock that was set back ends the pause.
        _ => now,
    })
}

/// When the calls began in which a step failed since it last was `ok` and a backup was made, the newest first, at
/// most [`ROUNDS`].
fn tries(conn: &Connection) -> Result<Vec<String>> {
    let mut tries: Vec<String> = Vec::new();
    for step in STEPS {
        walk(conn, None, |row| match (row.job == JOB, row.status == "ok") {
            (false, true) => row.step != "backup",
            (true, fine) if row.step == step => {
                if !fine && !tries.contains(&row.started) {
                    tries.push(row.started);
                }
                !fine && tries.len() < ROUNDS
            }
            _ => true,
        })?;
        if !tries.is_empty() {
            break;
        }
    }
    Ok(tries)
}
