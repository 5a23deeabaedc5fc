//! The table `queuekeeper_blocked`: tasks that the last requeue could not put back, and why.
//!
//! # Promise
//!
//! - A requeue stores the reason together with the task's lease. The reason is shown as long as the task has
//!   that lease; only the next requeue finds out whether it still applies.
//! - The table is created when a task is first blocked. A requeue that finds nothing new writes nothing. At
//!   most [`MOST`] tasks are stored; those that no worker holds any more are deleted.
//! - A failure to store (a database that tolerates no table of ours, a view of that name, a lock) fails no
//!   requeue.
//!
//! # How
//!
//! Whether a task can be put back shows only when it is tried, and a table-valued function must not write.
//! Hence the table, instead of an attempt that is undone. It is written on the caller's connection, so in the
//! caller's transaction, if there is one, it is committed or rolled back with the requeued tasks.

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

const TABLE: &str = "queuekeeper_blocked";
const COLUMNS: [&str; 4] = ["task_id", "lease", "reason", "blocked_utc"];

pub const MOST: usize = 10_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Blocked {
    pub task_id: Value,
    /// The time of its lease, as stored.
    pub lease: Value,
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

/// An SQL expression: why `task` could not be put back, or NULL.
pub fn reason_of(conn: &Connection, mapping: &Mapping) -> Result<String> {
    if !is_there(conn)? {
        return Ok("NULL".into());
    }
    // The unary plus removes the affinity, so that the index, whose column has none, is used.
    Ok(format!(
        "(SELECT known.reason FROM main.queuekeeper_blocked AS known
          WHERE known.task_id = +{} AND known.lease IS +{} LIMIT 1)",
        mapping.column(Role::Id)?,
        mapping.column(Role::LeaseUntil)?
    ))
}

/// Stores what a requeue has found.
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
        // A table made by hand may have no key.
        execute(conn, "DELETE FROM main.queuekeeper_blocked WHERE task_id = ?1", params![task.task_id])?;
        execute(
            conn,
            "INSERT INTO main.queuekeeper_blocked(task_id, lease, reason, blocked_utc) VALUES (?1, ?2, ?3, ?4)",
            params![task.task_id, task.lease, task.reason, now],
        )?;
    }
    Ok(())
}

/// Deletes tasks that no worker holds any more.
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

/// Whether the table exists, so that a task was ever blocked.
pub fn is_there(conn: &Connection) -> Result<bool> {
    if !schema::has_table(conn, TABLE)? {
        return Ok(false);
    }
    let columns = schema::columns(conn, TABLE)?;
    Ok(COLUMNS.iter().all(|name| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))))
}
