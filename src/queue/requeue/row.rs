//! Putting one task back, and finding out what became of it.
//!
//! # Promise
//!
//! - Whether a lease is stale is judged in the very statement that changes it.
//! - A task is put back whole or left as it was: whatever a constraint, a trigger or a foreign key says against it, immediate or
//!   deferred, undoes that one task and is the reason why it is blocked. So do a trigger that puts the old lease back, and a
//!   trigger or constraint that says nothing but changes nothing.
//! - A task that was put back counts, also where a trigger hands it out again at once, or moves it elsewhere. One that is no longer
//!   stale, or no longer there, does not.
//! - An error that is about the database rather than the task (a lock, the disk, memory, an interrupt) is an error.
//!
//! # How
//!
//! A savepoint a task, since `RAISE(FAIL)` keeps half of what its statement did, and a deferred foreign key lets the statement
//! pass. That a deferred one is violated, SQLite tells at once ([`host::has_violations`]); where the caller's own transaction has
//! left some before, it cannot be told whose they are, and its COMMIT judges them as it would have anyway.

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Statement, ffi};

use crate::connection::run_to_end;
use crate::error::{Error, Result};
use crate::host;
use crate::memory;
use crate::queue::excerpts::cell;

/// Longer reasons are cut.
const LONGEST_REASON: usize = 500;

const IGNORED: &str = "a trigger or an ON CONFLICT IGNORE clause leaves the task as it is";
const UNDONE: &str = "a trigger gives the task its old lease back";
const DEFERRED: &str = "FOREIGN KEY constraint failed (a deferred one, which a COMMIT would refuse)";

/// A value of a key, exactly as it is stored: a text need not be UTF-8.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// Anything but a text.
    Value(Value),
    /// The bytes of a text.
    Text(Vec<u8>),
}

impl Key {
    /// The value of a column.
    ///
    /// # Errors
    ///
    /// `SQLITE_NOMEM`: whoever can write a task decides how long it is.
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

/// A task as it stands in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: Value,
    /// The time of its lease, as stored.
    pub lease: Value,
    stale: bool,
}

/// What became of a task.
#[derive(Debug, PartialEq)]
pub enum Fate {
    /// It is back in the queue.
    Requeued,
    /// It was no longer stale.
    Passed,
    /// It cannot be put back, and is as it was.
    Blocked(String),
    /// The same, and SQLite has rolled back the whole transaction.
    Over(String),
}

/// The two statements, as SQL: ?1 is the limit, ?2 the present, and from ?3 on the key of the row.
pub struct Sql {
    /// Puts the task back if its lease is stale.
    pub update: String,
    /// Reads whether the lease is stale, and the task's id and lease.
    pub look: String,
}

struct Marks<'c> {
    set: Statement<'c>,
    back: Statement<'c>,
    release: Statement<'c>,
}

/// The statements for one task after the other.
pub struct Rows<'c> {
    conn: &'c Connection,
    update: Statement<'c>,
    look: Statement<'c>,
    /// None while a statement that writes is running, which allows no savepoint.
    marks: Option<Marks<'c>>,
}

impl<'c> Rows<'c> {
    /// Prepares the statements.
    ///
    /// # Errors
    ///
    /// What SQLite says, such as that a function is lacking which the table needs.
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
        let marks = if savepoints { Some(Marks::prepare(conn)?) } else { None };
        Ok(Self { conn, update, look, marks })
    }

    /// Puts the task of this key back, if its lease is stale.
    ///
    /// # Errors
    ///
    /// What is about the database, not the task; then the transaction may be over.
    pub fn put_back(&mut self, key: &[Key]) -> Result<Fate> {
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
                return Ok(Fate::Over(reason));
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
                Ok(if changed { Fate::Requeued } else { Fate::Passed })
            }
        }
    }

    /// The task of this key, if there is one.
    pub fn look(&mut self, key: &[Key]) -> Result<Option<Task>> {
        for (place, value) in key.iter().enumerate() {
            self.look.raw_bind_parameter(place + 3, value)?;
        }
        let mut rows = self.look.raw_query();
        let Some(row) = rows.next()? else { return Ok(None) };
        let stale = row.get::<_, Option<bool>>(0)?.unwrap_or(false);
        Ok(Some(Task { stale, id: cell(row, 1)?, lease: cell(row, 2)? }))
    }

    /// After a change, the task has a stale lease: a new one counts, one with the old time does not, whoever has it.
    fn given_back(&mut self, key: &[Key], after: Option<&Task>) -> Result<Fate> {
        let Some(marks) = &mut self.marks else { return Ok(Fate::Requeued) };
        marks.undo()?;
        let before = self.look(key)?;
        // Whose name stands in it does not matter: a lease of that time ended long ago.
        if before.zip(after).is_some_and(|(before, after)| before.lease == after.lease) {
            self.release()?;
            return Ok(Fate::Blocked(UNDONE.into()));
        }
        self.changed()?;
        self.release()?;
        Ok(Fate::Requeued)
    }

    /// Whether a trigger asks an `AUTOINCREMENT` for a number after the last one: SQLite says then that the disk is full.
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

    /// Undoes what was done for the task. Where there are no savepoints, `RAISE(FAIL)` may have left the task changed.
    fn undone(&mut self, key: &[Key], reason: String) -> Result<Fate> {
        if let Some(marks) = &mut self.marks {
            marks.undo()?;
            self.release()?;
            return Ok(Fate::Blocked(reason));
        }
        let stale = self.look(key)?.is_some_and(|task| task.stale);
        Ok(if stale { Fate::Blocked(reason) } else { Fate::Requeued })
    }

    fn mark(&mut self) -> rusqlite::Result<()> {
        self.marks.as_mut().map_or(Ok(()), |marks| run_to_end(&mut marks.set))
    }

    fn release(&mut self) -> rusqlite::Result<()> {
        self.marks.as_mut().map_or(Ok(()), |marks| run_to_end(&mut marks.release))
    }
}

impl<'c> Marks<'c> {
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

/// Whether an error says something about the task at hand, rather than about the database or the disk.
pub fn is_of_the_task(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map_or(0, |failure| failure.extended_code & 0xff);
    [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_ERROR, ffi::SQLITE_MISMATCH, ffi::SQLITE_TOOBIG].contains(&code)
}

/// An error in words, as the reason why a task is blocked.
pub fn reason(error: rusqlite::Error) -> String {
    Error::from(error).message().chars().take(LONGEST_REASON).collect()
}
