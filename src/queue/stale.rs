//! The SQL that decides whether a lease is stale.
//!
//! # Promise
//!
//! A worker holds a task in the statuses of the setting `status_leased`. Its lease is **stale** if
//! `column_lease_until` is more than the given number of seconds in the past. A lease without a time, with an
//! unreadable one, or with one before 2000 (another unit, or a program's "none") is not stale, as nothing is
//! known about it. [`super::unreadable`] counts those.
//!
//! With `stale_needs_dead_worker`, the worker's last heartbeat must be as old, too. A worker without a row or
//! with NULL has no heartbeat. An unreadable heartbeat is an error before anything is done: the wrong format
//! would make every living worker look dead.
//!
//! # How
//!
//! The task table's alias is `task`, and ?1 is the Unix time before which a lease must have ended. A
//! heartbeat that becomes unreadable after the check counts as alive in the statement that requeues.

use rusqlite::Connection;

use super::excerpts::cell;
use super::mapping::{Mapping, Role};
use super::time::EARLIEST;
use crate::error::{Error, Result};
use crate::schema::{self, quoted};
use crate::settings::{kind, registry as setting, statuses};

/// A condition: the lease is stale. `limit` is the value of ?1. Fails on an unreadable heartbeat of a worker whose
/// lease is over.
pub fn condition(conn: &Connection, mapping: &Mapping, limit: i64) -> Result<String> {
    let ended = mapping.time()?.seconds(&mapping.column(Role::LeaseUntil)?);
    let mut stale = format!("{} AND {ended} >= {EARLIEST} AND {ended} < ?1", leased(mapping)?);
    if mapping.settings().whole(&setting::STALE_NEEDS_DEAD_WORKER)? != 0 {
        let workers = Workers::find(conn, mapping)?;
        workers.check_heartbeats(conn, mapping, &stale, limit)?;
        stale.push_str(&format!(" AND NOT EXISTS ({})", workers.sign_of_life()));
    }
    Ok(stale)
}

/// A condition: a worker holds the task. Fails if settings give a status two meanings.
pub fn leased(mapping: &Mapping) -> Result<String> {
    statuses::refuse_clash(mapping.settings(), None)?;
    Ok(format!("{} IN ({})", mapping.column(Role::Status)?, mapping.leased()?))
}

/// The table of workers, with the alias `worker`.
struct Workers {
    table: String,
    /// A condition: the worker holds `task`.
    holds: String,
    id: String,
    heartbeat: String,
    /// An expression: the Unix time of the last heartbeat.
    seen: String,
}

impl Workers {
    fn find(conn: &Connection, mapping: &Mapping) -> Result<Self> {
        mapping.needs(&[Role::LockedBy])?;
        let word = |which| mapping.settings().text(which).map(Option::unwrap_or_default);
        let (table, id, heartbeat) =
            (word(&setting::WORKERS_TABLE)?, word(&setting::COLUMN_WORKER_ID)?, word(&setting::COLUMN_HEARTBEAT)?);
        let columns = if schema::has_table(conn, &table)? { schema::columns(conn, &table)? } else { Vec::new() };
        let has = |name: &str| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        if !has(&id) || !has(&heartbeat) {
            return Err(Error::usage(format!(
                "the database has no table {table} with the columns {id} and {heartbeat}, which the setting \
                 stale_needs_dead_worker needs; name others with queue_set('workers_table', …), or reset it with \
                 queue_set('stale_needs_dead_worker', NULL)"
            )));
        }
        let (id, heartbeat) = (format!("worker.{}", quoted(&id)), format!("worker.{}", quoted(&heartbeat)));
        Ok(Self {
            table: format!("main.{} AS worker", quoted(&table)),
            holds: format!("{id} = {}", mapping.column(Role::LockedBy)?),
            seen: mapping.time()?.seconds(&heartbeat),
            id,
            heartbeat,
        })
    }

    /// A condition: there is a heartbeat, but it is unreadable.
    fn unreadable(&self) -> String {
        format!("{} IS NOT NULL AND ifnull({} < {EARLIEST}, 1)", self.heartbeat, self.seen)
    }

    /// A query for the worker of `task` if it may have been alive since ?1.
    fn sign_of_life(&self) -> String {
        format!(
            "SELECT 1 FROM {} WHERE {} AND ({} >= ?1 OR ({}))",
            self.table,
            self.holds,
            self.seen,
            self.unreadable()
        )
    }

    /// Fails if a worker with an overdue lease has an unreadable heartbeat; `overdue` is the condition.
    fn check_heartbeats(&self, conn: &Connection, mapping: &Mapping, overdue: &str, limit: i64) -> Result<()> {
        let sql = format!(
            "SELECT {}, {} FROM {} CROSS JOIN {} ON {} WHERE {overdue} AND {} LIMIT 1",
            self.id,
            self.heartbeat,
            mapping.table_by_status(conn)?,
            self.table,
            self.holds,
            self.unreadable()
        );
        let found = conn
            .prepare(&sql)
            .map_err(Error::from)
            .and_then(|mut found| {
                let mut rows = found.query([limit])?;
                let Some(row) = rows.next()? else { return Ok(None) };
                Ok(Some((cell(row, 0)?, cell(row, 1)?)))
            })
            .map_err(|error| error.context("cannot read the workers' signs of life"))?;
        let Some((worker, heartbeat)) = found else { return Ok(()) };
        Err(Error::usage(format!(
            "the last sign of life of the worker {} is {}, which is no time in the format that the setting time_format names, so \
             whether it lives is unknown and nothing was requeued; correct that row, or name the format of all times of this \
             queue with queue_set('time_format', …)",
            kind::shown(&worker),
            kind::shown(&heartbeat)
        )))
    }
}
