//! The statements of a requeue: which tasks, and what is done to each.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::Outcome;
use super::conflicts;
use super::row::{Key, Sql};
use crate::error::Result;
use crate::memory;
use crate::queue::blocked::Blocked;
use crate::queue::excerpts::cell;
use crate::queue::mapping::{Mapping, Role};
use crate::queue::stale;

pub struct Statements {
    list: String,
    ids: String,
    pub row: Sql,
    /// The number of values in a key.
    pub width: usize,
}

impl Statements {
    /// `condition` decides with ?1 whether to requeue a task; `changes` are assignments, with ?2 for the
    /// present.
    pub fn new(conn: &Connection, mapping: &Mapping, condition: &str, changes: &str) -> Result<Self> {
        Self::of(conn, mapping, mapping.row_key(conn)?, condition, changes)
    }

    /// The same for tasks that are still held as they were when `listed`, with its ?1 and so on, chose them: the key
    /// has the claim, too. At most `most` are chosen; -1 for all.
    pub fn for_listed(conn: &Connection, mapping: &Mapping, listed: &str, most: i64, changes: &str) -> Result<Self> {
        let mut key = mapping.row_key(conn)?;
        for role in [Role::LeaseUntil, Role::LockedBy] {
            key.extend(mapping.has(role)?.then(|| mapping.column(role)).transpose()?);
        }
        let held = stale::leased(mapping)?;
        let list = format!("{} LIMIT {most}", list(conn, mapping, &key, &format!("{held} AND {listed}"))?);
        let statements = Self::of(conn, mapping, key, &format!("{held} AND ?1 IS NOT NULL"), changes)?;
        Ok(Self { list, ..statements })
    }

    fn of(conn: &Connection, mapping: &Mapping, key: Vec<String>, condition: &str, changes: &str) -> Result<Self> {
        let (table, by_status) = (mapping.table(), mapping.table_by_status(conn)?);
        // A column's collation may differ from its key's, and match two rows.
        let is_key: Vec<String> = key
            .iter()
            .enumerate()
            .map(|(place, column)| format!("{column} IS ?{0} AND {column} COLLATE BINARY IS ?{0}", place + 3))
            .collect();
        // ?2 is always bound, so it must occur.
        let this = format!("{} AND ?2 IS NOT NULL", is_key.join(" AND "));
        let (id, lease) = (mapping.column(Role::Id)?, mapping.column(Role::LeaseUntil)?);
        let update = if conflicts::may_replace(conn, mapping.name())? { "UPDATE OR ABORT" } else { "UPDATE" };
        Ok(Self {
            list: list(conn, mapping, &key, condition)?,
            ids: format!("SELECT {id}, {lease} FROM {by_status} WHERE {condition} ORDER BY 1"),
            row: Sql {
                update: format!("{update} {table} SET {changes} WHERE {this} AND {condition}"),
                look: format!("SELECT {condition}, {id}, {lease} FROM {table} WHERE {this}"),
            },
            width: key.len(),
        })
    }

    /// The keys of the tasks to requeue, concatenated; `values` are those of the condition.
    pub fn keys(&self, conn: &Connection, values: &[Value]) -> Result<Vec<Key>> {
        let mut statement = conn.prepare(&self.list)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            for place in 0..self.width {
                memory::push(&mut keys, Key::of(row.get_ref(place)?)?)?;
            }
        }
        Ok(keys)
    }

    pub fn all_blocked(&self, conn: &Connection, reason: &str) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut statement = conn.prepare(&self.ids)?;
        let mut rows = statement.query([0])?;
        while let Some(row) = rows.next()? {
            outcome.block(Blocked { task_id: cell(row, 0)?, lease: cell(row, 1)?, reason: reason.into() });
        }
        Ok(outcome)
    }
}

/// The query for the keys of the tasks for which `condition` holds.
fn list(conn: &Connection, mapping: &Mapping, key: &[String], condition: &str) -> Result<String> {
    let places: Vec<String> = (1..=key.len()).map(|place| place.to_string()).collect();
    // In this order, neighbours in the table share a batch, and so the pages written.
    Ok(format!(
        "SELECT {} FROM {} WHERE {condition} ORDER BY {}",
        key.join(", "),
        mapping.table_by_status(conn)?,
        places.join(", ")
    ))
}
