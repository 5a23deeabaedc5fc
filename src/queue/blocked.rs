//! Which tasks the last requeue could not put back, and why: the table `queuekeeper_blocked`.
//!
//! # Promise
//!
//! - Requeuing remembers what blocked a task, with the lease that it then had. Reading shows the reason as long as the task has that
//!   very lease; whether the cause is still there, only the next requeue finds out.
//! - The table is made when a task is blocked for the first time. A requeue that finds what is remembered already writes nothing.
//!   At most [`MOST`] tasks are remembered; what no worker holds any more is forgotten.
//! - That it cannot be remembered (a database that tolerates no table of ours, something else of that name, a lock) fails no requeue.
//!
//! # How
//!
//! A table-valued function writes nothing, and whether a task can be put back shows only when SQLite is told to do it: hence what is
//! remembered, instead of an attempt that is undone. It is written on the caller's connection, so in the caller's transaction, if
//! there is one, it stays or goes with what was requeued.

use std::fmt;

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::mapping::{Mapping, Role};
use super::stale;
use crate::clock;
use crate::connection::execute;
use crate::error::Result;
use crate::schema;
use crate::settings::exclusive;

/// Its name.
const TABLE: &str = "queuekeeper_blocked";
const COLUMNS: [&str; 4] = ["task_id", "lease", "reason", "blocked_utc"];

/// The most tasks that are remembered.
pub const MOST: usize = 10_000;

/// A task that could not be put back.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocked {
    /// The task.
    pub task_id: Value,
    /// The time of its lease, as stored.
    pub lease: Value,
    /// Why.
    pub reason: String,
}

impl Blocked {
    fn id_in_words(&self) -> String {
        match &self.task_id {
            Value::Null => "NULL".into(),
            Value::Integer(number) => number.to_string(),
            Value::Real(number) => number.to_string(),
            Value::Text(text) => text.escape_debug().to_string(),
            Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id_in_words(), self.reason)
    }
}

impl Serialize for Blocked {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(2))?;
        match &self.task_id {
            Value::Integer(number) => object.serialize_entry("task_id", number)?,
            _ => object.serialize_entry("task_id", &self.id_in_words())?,
        }
        object.serialize_entry("reason", &self.reason)?;
        object.end()
    }
}

/// An expression: why the task that is called `task` could not be put back, or NULL.
pub fn reason_of(conn: &Connection, mapping: &Mapping) -> Result<String> {
    if !is_there(conn)? {
        return Ok("NULL".into());
    }
    // A value without affinity is looked up in an index of such values.
    Ok(format!(
        "(SELECT known.reason FROM main.queuekeeper_blocked AS known
          WHERE known.task_id = +{} AND known.lease IS +{} LIMIT 1)",
        mapping.column(Role::Id)?,
        mapping.column(Role::LeaseUntil)?
    ))
}

/// Remembers what a requeue has found.
///
/// # Errors
///
/// Why it cannot be remembered.
pub fn remember(conn: &Connection, mapping: &Mapping, found: &[Blocked], now: DateTime<Utc>) -> Result<()> {
    if !is_there(conn)? {
        if found.is_empty() {
            return Ok(());
        }
        exclusive::refuse(conn, "blocked tasks")?;
        schema::refuse_impostor(conn, TABLE, "blocked tasks cannot be remembered")?;
        // WITHOUT ROWID: VACUUM has no rowid to renumber.
        conn.execute_batch(
            "CREATE TABLE main.queuekeeper_blocked(task_id PRIMARY KEY NOT NULL, lease, reason TEXT NOT NULL,
             blocked_utc TEXT NOT NULL) WITHOUT ROWID",
        )?;
    }
    forget_the_rest(conn, mapping)?;
    let mut known =
        conn.prepare("SELECT 1 FROM main.queuekeeper_blocked WHERE task_id = ?1 AND lease IS ?2 AND reason = ?3")?;
    let now = clock::sqlite_text(now);
    for task in found.iter().take(MOST).filter(|task| task.task_id != Value::Null) {
        if known.exists(params![task.task_id, task.lease, task.reason])? {
            continue;
        }
        // A table made by hand may lack the key.
        execute(conn, "DELETE FROM main.queuekeeper_blocked WHERE task_id = ?1", params![task.task_id])?;
        execute(
            conn,
            "INSERT INTO main.queuekeeper_blocked(task_id, lease, reason, blocked_utc) VALUES (?1, ?2, ?3, ?4)",
            params![task.task_id, task.lease, task.reason, now],
        )?;
    }
    Ok(())
}

/// Forgets the tasks that no worker holds any more, if there are such.
fn forget_the_rest(conn: &Connection, mapping: &Mapping) -> Result<()> {
    let gone = format!(
        "task_id NOT IN (SELECT {id} FROM {} WHERE {} AND {id} IS NOT NULL)",
        mapping.table_by_status(conn)?,
        stale::leased(mapping)?,
        id = mapping.column(Role::Id)?,
    );
    let some = conn.prepare(&format!("SELECT 1 FROM main.queuekeeper_blocked WHERE {gone} LIMIT 1"))?.exists([])?;
    if some {
        execute(conn, &format!("DELETE FROM main.queuekeeper_blocked WHERE {gone}"), [])?;
    }
    Ok(())
}

/// Whether a task was ever blocked, so that there is the table.
pub fn is_there(conn: &Connection) -> Result<bool> {
    if !schema::has_table(conn, TABLE)? {
        return Ok(false);
    }
    let columns = schema::columns(conn, TABLE)?;
    Ok(COLUMNS.iter().all(|name| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))))
}
