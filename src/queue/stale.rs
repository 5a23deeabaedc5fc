//! What makes a lease stale: the pieces of SQL for it, made from the queue's shape.
//!
//! # Promise
//!
//! A task is held by a worker in the statuses that the setting `status_leased` names. Its lease is **stale** when the time in
//! `column_lease_until` is more than the given number of seconds in the past. A lease without such a time, or with one that
//! cannot be read, is not stale: nothing is known about it. With `stale_needs_dead_worker`, the worker's last sign of life must
//! be as old, too; a worker that is not in the table of workers has given none.
//!
//! # How
//!
//! In all pieces the task table is called `task`, and ?1 is the Unix time before which a lease must have ended.

use rusqlite::Connection;

use super::shape::{Role, Shape};
use crate::error::{Error, Result};
use crate::schema::{self, quoted};
use crate::settings::{registry as setting, statuses};

/// The pieces of SQL.
pub struct Pieces {
    /// An expression: the Unix time at which the lease ended.
    pub ended: String,
    /// A condition: the lease is stale.
    pub stale: String,
}

impl Pieces {
    /// The pieces for a queue.
    ///
    /// # Errors
    ///
    /// A column or table that the settings need and the database lacks, or settings that cannot be used.
    pub fn of(conn: &Connection, shape: &Shape) -> Result<Self> {
        let ended = shape.time()?.seconds(&shape.column(Role::LeaseUntil)?);
        let mut stale = format!("{} AND {ended} < ?1", leased(shape)?);
        if shape.settings().whole(&setting::STALE_NEEDS_DEAD_WORKER)? != 0 {
            stale.push_str(&format!(" AND NOT EXISTS ({})", sign_of_life(conn, shape)?));
        }
        Ok(Self { ended, stale })
    }
}

/// A condition: a worker holds the task.
///
/// # Errors
///
/// Settings that cannot be used, or that give a status two meanings.
pub fn leased(shape: &Shape) -> Result<String> {
    statuses::refuse_clash(shape.settings(), None)?;
    Ok(format!("{} IN ({})", shape.column(Role::Status)?, shape.leased()?))
}

/// A query for the worker of `task`, if it has shown a sign of life since ?1.
fn sign_of_life(conn: &Connection, shape: &Shape) -> Result<String> {
    shape.needs(&[Role::LockedBy])?;
    let word = |which| shape.settings().text(which).map(Option::unwrap_or_default);
    let (table, id, heartbeat) =
        (word(&setting::WORKERS_TABLE)?, word(&setting::COLUMN_WORKER_ID)?, word(&setting::COLUMN_HEARTBEAT)?);
    let columns = if schema::has_table(conn, &table)? { schema::columns(conn, &table)? } else { Vec::new() };
    let has = |name: &str| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    if !has(&id) || !has(&heartbeat) {
        return Err(Error::usage(format!(
            "the database has no table {table} with the columns {id} and {heartbeat}, which the setting stale_needs_dead_worker \
             needs; name others with queue_set('workers_table', …), or reset it with queue_set('stale_needs_dead_worker', NULL)"
        )));
    }
    Ok(format!(
        "SELECT 1 FROM main.{} AS worker WHERE worker.{} = {} AND {} >= ?1",
        quoted(&table),
        quoted(&id),
        shape.column(Role::LockedBy)?,
        shape.time()?.seconds(&format!("worker.{}", quoted(&heartbeat)))
    ))
}
