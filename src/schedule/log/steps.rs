//! What the log says of steps: which fail, and since when.
//!
//! # Promise
//!
//! A step **fails** if its newest row that says how it ended (`ok`, `failed`, `interrupted`) is not `ok`: one
//! that is running, or was skipped for another, is as it was before. What fails **lapses** once it is no longer
//! tried ([`is_lapsed`]). Details are read of no row but the one asked for. Missing tables and rows edited by hand
//! are as for [`super::read`].

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};

use super::read::{LOG, text, unreadable, word};
use crate::bounds;
use crate::clock;
use crate::error::Result;
use crate::memory;
use crate::schema;

/// Far more steps than anybody has.
const MOST: u32 = 1000;

/// Jobs of which each step is about something that may be configured no more: a remote, an address.
const LAPSING: [&str; 2] = ["offsite", "notify"];
/// What is tried leaves a row at least each hour.
const LAPSES_AFTER: TimeDelta = TimeDelta::days(2);

/// A step that fails.
#[derive(Debug, Clone, PartialEq)]
pub struct FailingStep {
    pub job: String,
    pub step: String,
    /// The rows of its first failure since it last was `ok`, and of its newest.
    pub first: i64,
    pub newest: i64,
    /// Whether one of these is `failed`; else all that happened is that its process was ended.
    pub has_failed: bool,
}

/// A row without its detail.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRow {
    pub job: String,
    pub step: String,
    pub started: String,
    pub status: String,
}

/// The steps that fail and have not lapsed, the one that has failed for longest first.
pub fn failing(conn: &Connection) -> Result<Vec<FailingStep>> {
    if !schema::has_table(conn, LOG)? {
        return Ok(Vec::new());
    }
    let sql = "WITH fine(job, step, id) AS (SELECT job, step, max(id) FROM main.queuekeeper_log WHERE status = 'ok' GROUP BY job, step)
               SELECT log.job, log.step, min(log.id), max(log.id), max(log.status = 'failed')
               FROM main.queuekeeper_log AS log LEFT JOIN fine ON fine.job = log.job AND fine.step = log.step
               WHERE log.status IN ('failed', 'interrupted') AND (fine.id IS NULL OR log.id > fine.id)
               GROUP BY log.job, log.step ORDER BY 3 LIMIT ?1";
    let mut statement = conn.prepare(sql).map_err(unreadable)?;
    let rows = statement.query_map([MOST], |row| {
        Ok(FailingStep {
            job: word(row, 0)?.unwrap_or_default(),
            step: word(row, 1)?.unwrap_or_default(),
            first: row.get(2)?,
            newest: row.get(3)?,
            has_failed: row.get(4)?,
        })
    });
    let found: Vec<FailingStep> = memory::collected(rows.map_err(unreadable)?.map(|row| row.map_err(unreadable)))?;
    let kept = found.into_iter().filter_map(|failing| match is_lapsed(conn, &failing.job, &failing.step) {
        Ok(lapsed) => (!lapsed).then_some(Ok(failing)),
        Err(error) => Some(Err(error)),
    });
    kept.collect()
}

/// Whether a step of [`LAPSING`] is no longer tried: its newest row is two days older than the log's.
pub fn is_lapsed(conn: &Connection, job: &str, step: &str) -> Result<bool> {
    if !LAPSING.contains(&job) {
        return Ok(false);
    }
    let began =
        |of| -> Result<Option<DateTime<Utc>>> { Ok(newest(conn, of)?.and_then(|row| clock::parse(&row.started))) };
    let (own, newest) = (began(Some((job, step)))?, began(None)?);
    Ok(own.zip(newest).is_some_and(|(own, newest)| newest - own >= LAPSES_AFTER))
}

/// The newest row, of one job and step or of all.
pub fn newest(conn: &Connection, of: Option<(&str, &str)>) -> Result<Option<StepRow>> {
    let mut found = None;
    walk(conn, of, |row| {
        found = Some(row);
        false
    })?;
    Ok(found)
}

/// When a row began, and its detail.
pub fn began_and_detail(conn: &Connection, number: i64) -> Result<(Option<String>, Option<String>)> {
    let sql = "SELECT started_utc, detail FROM main.queuekeeper_log WHERE id = ?1";
    conn.query_row(sql, [number], |row| Ok((word(row, 0)?, text(row, 1, bounds::LOG_DETAIL)?))).map_err(unreadable)
}

/// The rows from the newest on, of one job and step or of all, until `each` says false.
pub fn walk(conn: &Connection, of: Option<(&str, &str)>, mut each: impl FnMut(StepRow) -> bool) -> Result<()> {
    if !schema::has_table(conn, LOG)? {
        return Ok(());
    }
    let sql = "SELECT job, step, started_utc, status FROM main.queuekeeper_log
               WHERE ?1 IS NULL OR (job = ?1 AND step = ?2) ORDER BY id DESC";
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query(params![of.map(|of| of.0), of.map(|of| of.1)])?;
        while let Some(row) = rows.next()? {
            let word = |column| word(row, column).map(Option::unwrap_or_default);
            if !each(StepRow { job: word(0)?, step: word(1)?, started: word(2)?, status: word(3)? }) {
                break;
            }
        }
        Ok(())
    };
    read().map_err(unreadable)
}
