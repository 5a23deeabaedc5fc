//! Requeues a list of tasks, in transactions short enough for other writers.

use std::time::Instant;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::Outcome;
use super::row::{self, Key, Rows, TaskOutcome};
use super::scope::Scope;
use crate::error::{Error, Result};
use crate::host::{self, Transaction};
use crate::progress::Watch;
use crate::queue::blocked::Blocked;
use crate::queue::pace::Pace;

/// How a group of tasks ended.
enum End {
    /// All were tried.
    Done,
    /// The task at this index has rolled back the transaction, for this reason.
    Over(usize, String),
}

/// Progress through a list of tasks.
pub struct Work<'c> {
    conn: &'c Connection,
    rows: Rows<'c>,
    /// The number of values in a key.
    width: usize,
    outcome: Outcome,
}

impl<'c> Work<'c> {
    pub fn new(conn: &'c Connection, rows: Rows<'c>, width: usize) -> Self {
        Self { conn, rows, width: width.max(1), outcome: Outcome::default() }
    }

    /// What is done; committed, unless it was done inside the caller's transaction.
    pub fn outcome(self) -> Outcome {
        self.outcome
    }

    /// A transaction per batch, with pauses. After an error, earlier batches stay committed.
    pub fn in_batches(&mut self, keys: &[Key], watch: &mut Watch<'_>) -> Result<()> {
        let (mut pace, mut rest) = (Pace::start(), keys);
        while !rest.is_empty() {
            let (now, later) = rest.split_at((pace.batch() * self.width).min(rest.len()));
            rest = later;
            let started = Instant::now();
            self.in_one(now, Some(watch))?;
            let pause = pace.pause_after(started.elapsed());
            let committed = host::transaction(self.conn) != Transaction::Write;
            if committed && !rest.is_empty() {
                watch.pause(pause)?;
            }
        }
        Ok(())
    }

    /// One transaction, or several if a task rolls it back.
    pub fn in_one(&mut self, keys: &[Key], mut watch: Option<&mut Watch<'_>>) -> Result<()> {
        let mut rest = keys;
        while !rest.is_empty() {
            let Some(scope) = Scope::begin(self.conn)? else {
                return Err(Error::internal("a statement that writes has begun in the middle of a requeue"));
            };
            let mut done = Outcome::default();
            match self.each(rest, &mut done, watch.as_deref_mut())? {
                End::Over(at, reason) => {
                    drop(scope);
                    let (before, from) = rest.split_at(at * self.width);
                    let (this, after) = from.split_at(self.width);
                    self.in_one(before, watch.as_deref_mut())?;
                    self.block(this, reason)?;
                    rest = after;
                }
                End::Done => match scope.keep() {
                    Ok(()) => {
                        self.outcome.add(done);
                        return Ok(());
                    }
                    Err(error) if row::is_of_the_task(&error) => {
                        return self.one_by_one(rest, &row::reason(error), watch);
                    }
                    Err(error) => return Err(error.into()),
                },
            }
        }
        Ok(())
    }

    /// After a refused commit: one transaction per task shows which one it was.
    fn one_by_one(&mut self, keys: &[Key], reason: &str, mut watch: Option<&mut Watch<'_>>) -> Result<()> {
        if keys.len() <= self.width {
            return self.block(keys, reason.into());
        }
        keys.chunks(self.width).try_for_each(|key| self.in_one(key, watch.as_deref_mut()))
    }

    /// Within the caller's transaction or writing statement. After an error, what was done is part of that
    /// transaction, unless SQLite has ended it.
    pub fn inside(&mut self, keys: &[Key], watch: &mut Watch<'_>) -> Result<()> {
        let mut done = Outcome::default();
        let end = self.each(keys, &mut done, Some(watch));
        self.outcome.add(done);
        match end? {
            End::Done => Ok(()),
            End::Over(_, reason) => Err(Error::usage(reason)),
        }
    }

    fn each(&mut self, keys: &[Key], done: &mut Outcome, mut watch: Option<&mut Watch<'_>>) -> Result<End> {
        for (at, key) in keys.chunks(self.width).enumerate() {
            if let Some(watch) = &mut watch {
                watch.check()?;
            }
            match self.rows.put_back(key)? {
                TaskOutcome::Requeued => done.requeued += 1,
                TaskOutcome::Passed => {}
                TaskOutcome::Blocked(reason) => done.block(self.named(key, reason)?),
                TaskOutcome::Over(reason) => return Ok(End::Over(at, reason)),
            }
        }
        Ok(End::Done)
    }

    fn block(&mut self, key: &[Key], reason: String) -> Result<()> {
        let blocked = self.named(key, reason)?;
        self.outcome.block(blocked);
        Ok(())
    }

    fn named(&mut self, key: &[Key], reason: String) -> Result<Blocked> {
        let task = self.rows.look(key)?;
        let (task_id, lease) = task.map_or((Value::Null, Value::Null), |task| (task.id, task.lease));
        Ok(Blocked { task_id, lease, reason })
    }
}
