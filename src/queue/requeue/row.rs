//! Requeues one task, and determines the outcome.
//!
//! # Promise
//!
//! - The statement that changes a lease also judges whether it is stale.
//! - A task is put back completely or not at all. A refusal by a constraint, trigger or foreign key,
//!   immediate or deferred, undoes that one task and is the reason why it is blocked. So is a trigger that
//!   restores the old lease, and a trigger or constraint that silently changes nothing.
//! - A task that was put back counts even if a trigger hands it out again at once, or moves it elsewhere. One
//!   that is no longer stale, or gone, does not.
//! - Errors about the database rather than the task (a lock, the disk, memory, an interrupt) are errors of
//!   the call.
//!
//! # How
//!
//! Each task has a savepoint: `RAISE(FAIL)` keeps half of its statement's work, and a deferred foreign key
//! lets the statement pass. SQLite tells at once whether a deferred one is violated
//! ([`host::has_violations`]). If the caller's transaction already had violations, new ones cannot be told
//! apart, and its COMMIT judges them as it would have anyway.

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Statement, ffi};

use crate::connection::run_to_end;
use crate::error::{Error, Result};
use crate::host;
use crate::memory;
use crate::queue::excerpts::cell;

const LONGEST_REASON: usize = 500;

const IGNORED: &str = "a trigger or an ON CONFLICT IGNORE clause leaves the task as it is";
const UNDONE: &str = "a trigger gives the task its old lease back";
const DEFERRED: &str = "FOREIGN KEY constraint failed (a deferred one, which a COMMIT would refuse)";

/// A key's value exactly as stored: a text need not be UTF-8.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    Value(Value),
    Text(Vec<u8>),
}

impl Key {
    /// Copies a value; fails with `SQLITE_NOMEM`, as whoever writes a task decides its length.
    pub fn of(value: ValueRef<'_>) -> Result<Self> {
        Ok(match value {
            ValueRef::Text(bytes) => Self::Text(memory::copied(bytes)?),
            ValueRef::Null => Self::Value(Value::Null),
            ValueRef::Integer(number) => Self::Value(Value::Integer(number)),
            ValueRef::Real(number) => Self::Value(Value::Real(number)),
            ValueRef::Blob(bytes) => Self::Value(Value::Blob(memory::copied(bytes)?)),
        })
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Value(value) => ValueRef::from(value),
            Self::Text(bytes) => ValueRef::Text(bytes),
        }))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub id: Value,
    /// As stored.
    pub lease: Value,
    stale: bool,
}

#[derive(Debug, PartialEq)]
pub enum TaskOutcome {
    /// It is back in the queue.
    Requeued,
    /// It was no longer stale.
    Passed,
    /// It cannot be put back, and is unchanged.
    Blocked(String),
    /// The same, and SQLite has rolled back the whole transaction.
    Over(String),
}

/// The two statements: ?1 is the limit, ?2 the present, ?3 and on the row's key.
pub struct Sql {
    /// Requeues the task if its lease is stale.
    pub update: String,
    /// Reads whether the lease is stale, and the task's id and lease.
    pub look: String,
}

struct Savepoint<'c> {
    set: Statement<'c>,
    back: Statement<'c>,
    release: Statement<'c>,
}

/// The prepared statements.
pub struct Rows<'c> {
    conn: &'c Connection,
    update: Statement<'c>,
    look: Statement<'c>,
    /// `None` while a writing statement runs, which allows no savepoint.
    marks: Option<Savepoint<'c>>,
}

impl<'c> Rows<'c> {
    /// Fails if, for example, a function is missing that the table needs.
    pub fn prepare(
        conn: &'c Connection,
        sql: &Sql,
        limit: i64,
        present: &Value,
        savepoints: bool,
    ) -> rusqlite::Result<Self> {
        let mut update = conn.prepare(&sql.update)?;
        update.raw_bind_parameter(1, limit)?;
        update.raw_bind_parameter(2, present)?;
        let mut look = conn.prepare(&sql.look)?;
        look.raw_bind_parameter(1, limit)?;
        look.raw_bind_parameter(2, present)?;
        let marks = if savepoints { Some(Savepoint::prepare(conn)?) } else { None };
        Ok(Self { conn, update, look, marks })
    }

    /// Requeues the task of this key if its lease is stale. An error is about the database; the transaction
    /// may be over then.
    pub fn put_back(&mut self, key: &[Key]) -> Result<TaskOutcome> {
        for (place, value) in key.iter().enumerate() {
            self.update.raw_bind_parameter(place + 3, value)?;
        }
        let inside = !self.conn.is_autocommit();
        let violated_before = host::has_violations(self.conn);
        self.mark()?;
        if let Err(error) = self.changed() {
            if !is_of_the_task(&error) && !self.is_out_of_numbers(&error) {
                return Err(error.into());
            }
            let reason = reason(error);
            if inside && self.conn.is_autocommit() {
                return Ok(TaskOutcome::Over(reason));
            }
            return self.undone(key, reason);
        }
        let changed = self.conn.changes() > 0;
        if changed && !violated_before && host::has_violations(self.conn) {
            return self.undone(key, DEFERRED.into());
        }
        let now = self.look(key)?;
        let stale = now.as_ref().is_some_and(|task| task.stale);
        match (changed, stale) {
            (true, true) => self.given_back(key, now.as_ref()),
            (false, true) => self.undone(key, IGNORED.into()),
            (changed, false) => {
                self.release()?;
                Ok(if changed { TaskOutcome::Requeued } else { TaskOutcome::Passed })
            }
        }
    }

    pub fn look(&mut self, key: &[Key]) -> Result<Option<Task>> {
        for (place, value) in key.iter().enumerate() {
            self.look.raw_bind_parameter(place + 3, value)?;
        }
        let mut rows = self.look.raw_query();
        let Some(row) = rows.next()? else { return Ok(None) };
        let stale = row.get::<_, Option<bool>>(0)?.unwrap_or(false);
        Ok(Some(Task { stale, id: cell(row, 1)?, lease: cell(row, 2)? }))
    }

    /// The task still has a stale lease after the change. A new lease means success; the old time means that
    /// it was undone, whoever has it.
    fn given_back(&mut self, key: &[Key], after: Option<&Task>) -> Result<TaskOutcome> {
        let Some(marks) = &mut self.marks else { return Ok(TaskOutcome::Requeued) };
        marks.undo()?;
        let before = self.look(key)?;
        // The worker's name does not matter: a lease of that time ended long ago.
        if before.zip(after).is_some_and(|(before, after)| before.lease == after.lease) {
            self.release()?;
            return Ok(TaskOutcome::Blocked(UNDONE.into()));
        }
        self.changed()?;
        self.release()?;
        Ok(TaskOutcome::Requeued)
    }

    /// Whether a trigger's insert has exhausted an `AUTOINCREMENT`, which SQLite reports as a full disk.
    fn is_out_of_numbers(&self, error: &rusqlite::Error) -> bool {
        let full = error.sqlite_error_code() == Some(ffi::ErrorCode::DiskFull);
        let exhausted = |schema| {
            let sql = format!("SELECT 1 FROM {schema}.sqlite_sequence WHERE seq = {}", i64::MAX);
            self.conn.prepare(&sql).and_then(|mut found| found.exists([])).unwrap_or(false)
        };
        full && ["main", "temp"].into_iter().any(exhausted)
    }

    fn changed(&mut self) -> rusqlite::Result<()> {
        run_to_end(&mut self.update)
    }

    /// Undoes the task's change. Without savepoints, `RAISE(FAIL)` may have left it changed.
    fn undone(&mut self, key: &[Key], reason: String) -> Result<TaskOutcome> {
        if let Some(marks) = &mut self.marks {
            marks.undo()?;
            self.release()?;
            return Ok(TaskOutcome::Blocked(reason));
        }
        let stale = self.look(key)?.is_some_and(|task| task.stale);
        Ok(if stale { TaskOutcome::Blocked(reason) } else { TaskOutcome::Requeued })
    }

    fn mark(&mut self) -> rusqlite::Result<()> {
        self.marks.as_mut().map_or(Ok(()), |marks| run_to_end(&mut marks.set))
    }

    fn release(&mut self) -> rusqlite::Result<()> {
        self.marks.as_mut().map_or(Ok(()), |marks| run_to_end(&mut marks.release))
    }
}

impl<'c> Savepoint<'c> {
    fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            set: conn.prepare("SAVEPOINT queuekeeper_task")?,
            back: conn.prepare("ROLLBACK TO queuekeeper_task")?,
            release: conn.prepare("RELEASE queuekeeper_task")?,
        })
    }

    fn undo(&mut self) -> rusqlite::Result<()> {
        run_to_end(&mut self.back)
    }
}

/// Whether an error is about this task, not about the database or the disk.
pub fn is_of_the_task(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map_or(0, |failure| failure.extended_code & 0xff);
    [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_ERROR, ffi::SQLITE_MISMATCH, ffi::SQLITE_TOOBIG].contains(&code)
}

/// The error as the reason why a task is blocked.
pub fn reason(error: rusqlite::Error) -> String {
    Error::from(error).message().chars().take(LONGEST_REASON).collect()
}
