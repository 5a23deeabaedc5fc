//! Puts the tasks of dead workers back into the queue.
//!
//! # Promise
//!
//! - [`super::stale`] defines which leases are stale, and [`super::changes`] what becomes of their tasks. A
//!   lease renewed meanwhile is not stolen, see [`row`].
//! - **A task that cannot be put back blocks no other.** Each is tried once per call, in the order of the
//!   table's key; of two tasks that exclude each other, the first is put back. The returned number counts
//!   those put back; the others are listed with their reasons.
//! - A task without attempts left becomes dead rather than queued, but counts as requeued.
//! - Inside the caller's transaction, the work is part of it. No blocked task ends that transaction: if the
//!   schema could ([`conflicts`]), the call is refused before anything is changed. Otherwise the work runs in
//!   batches, each a short transaction of its own, so that other writers get their turn in between; while the
//!   caller reads, it is one transaction.
//! - An error or interrupt says how many tasks were put back before.
//! - With an index that the status leads, the cost follows the number of leases; without one, all tasks are
//!   read once. A blocked task costs about as much as another.
//!
//! # How
//!
//! The keys of stale leases are listed first. Each task is then requeued and its lease judged again, so a
//! lease that a trigger renews is not taken twice, and the work ends. Each task is a statement of its own
//! with a savepoint: a statement for many would be undone by the one that fails, and would need a variable
//! for each. [`super::pace`] decides on batches and pauses. If a task rolls back a whole batch
//! (`RAISE(ROLLBACK)`), it is left out, and the tasks before it are requeued again.

mod batches;
mod conflicts;
pub mod matching;
mod row;
mod scope;
mod statements;

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, ffi};

use self::batches::Work;
use self::row::{Key, Rows};
use self::scope::Scope;
use self::statements::Statements;
use super::blocked::{self, Blocked};
use super::mapping::{Mapping, Role};
use super::{changes, leases, stale};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::host::{self, Transaction};
use crate::progress::Watch;

/// How many blocked tasks results name.
const MOST_NAMED: usize = 10;

#[derive(Debug, Default)]
pub struct Outcome {
    /// Tasks put back.
    pub requeued: usize,
    pub blocked: usize,
    /// The first of the blocked, at most [`blocked::MOST`].
    pub tasks: Vec<Blocked>,
    /// Why the blocked tasks could not be stored for `queue_stale`.
    pub unremembered: Option<Error>,
}

impl Outcome {
    /// The blocked tasks that results name.
    pub fn named(&self) -> impl Iterator<Item = &Blocked> {
        self.tasks.iter().take(MOST_NAMED)
    }

    /// A note on the blocked tasks.
    pub fn note(&self) -> Option<String> {
        let named: Vec<String> = self.named().map(ToString::to_string).collect();
        let more = if self.blocked > named.len() { ", …" } else { "" };
        (self.blocked > 0).then(|| {
            let (count, named) = (self.blocked, named.join(", "));
            format!("{count} tasks could not be put back into the queue and keep their leases: {named}{more}")
        })
    }

    fn block(&mut self, task: Blocked) {
        self.blocked += 1;
        if self.tasks.len() < blocked::MOST {
            self.tasks.push(task);
        }
    }

    fn add(&mut self, more: Self) {
        self.requeued += more.requeued;
        self.blocked += more.blocked;
        let room = blocked::MOST - self.tasks.len().min(blocked::MOST);
        self.tasks.extend(more.tasks.into_iter().take(room));
    }
}

/// Requeues the tasks of stale leases. After an error, what earlier batches have requeued stays so; the
/// message says how many.
pub fn requeue(caller: &Caller, grace: i64, now: DateTime<Utc>) -> Result<Outcome> {
    let conn = caller.connection();
    let limit = leases::limit(grace, now)?;
    let mapping = leases::require(conn)?;
    let stale = stale::condition(conn, &mapping, limit)?;
    let statements = Statements::new(conn, &mapping, &stale, &changes::of_stale(&mapping)?)?;
    let listed = || statements.keys(conn, &[Value::Integer(limit)]);
    put_back(caller, &mapping, &statements, limit, now, listed)
}

/// Requeues the tasks that `listed` lists, in the way that fits what the caller's connection does.
fn put_back(
    caller: &Caller,
    mapping: &Mapping,
    statements: &Statements,
    limit: i64,
    now: DateTime<Utc>,
    listed: impl FnOnce() -> Result<Vec<Key>>,
) -> Result<Outcome> {
    let conn = caller.connection();
    let transaction_use = TransactionUse::of(conn)?;
    if let (true, Some(name)) = (transaction_use.is_the_callers(), conflicts::found(conn)?) {
        return Err(Error::usage(format!(
            "cannot requeue inside a transaction: {name} may roll it back, with all that was done in it (RAISE(ROLLBACK) or ON \
             CONFLICT ROLLBACK); COMMIT first, and call it on its own"
        )));
    }
    let present = mapping.time()?.write(now);
    let prepared = || -> Result<(Vec<Key>, Rows<'_>)> {
        let rows =
            Rows::prepare(conn, &statements.row, limit, &present, transaction_use != TransactionUse::Statement)?;
        Ok((listed()?, rows))
    };
    let (keys, rows) = prepared().map_err(|error| explain(caller, error))?;
    let (mut work, mut watch) = (Work::new(conn, rows, statements.width), Watch::new(caller, None));
    let done = match transaction_use {
        TransactionUse::Free => work.in_batches(&keys, &mut watch),
        TransactionUse::Reading => work.in_one(&keys, Some(&mut watch)),
        TransactionUse::Transaction | TransactionUse::Statement => work.inside(&keys, &mut watch),
    };
    let mut outcome = work.outcome();
    done.map_err(|error| transaction_use.stopped(conn, explain(caller, error), outcome.requeued))?;
    outcome.unremembered = remember(conn, mapping, &outcome.tasks, now).err();
    Ok(outcome)
}

/// Requeues every held task, stale or not, on a connection of ours: in a restored database, the workers know
/// nothing of their leases. Does nothing without a task table.
pub fn requeue_all(conn: &Connection, now: DateTime<Utc>) -> Result<Outcome> {
    let Some(mapping) = Mapping::find(conn)? else { return Ok(Outcome::default()) };
    if !mapping.has(Role::Status)? {
        return Ok(Outcome::default());
    }
    let leased = format!("{} AND ?1 IS NOT NULL", stale::leased(&mapping)?);
    let statements = Statements::new(conn, &mapping, &leased, &changes::of_any(&mapping)?)?;
    let present = mapping.time()?.write(now);
    let all = || -> Result<Outcome> {
        let rows = match Rows::prepare(conn, &statements.row, 0, &present, true) {
            Ok(rows) => rows,
            // The schema needs a function or collation that only the application has.
            Err(error) if row::is_of_the_task(&error) => return statements.all_blocked(conn, &row::reason(error)),
            Err(error) => return Err(error.into()),
        };
        let mut work = Work::new(conn, rows, statements.width);
        work.in_one(&statements.keys(conn, &[Value::Integer(0)])?, None)?;
        Ok(work.outcome())
    };
    all().map_err(|error| error.context("cannot requeue the leases"))
}

/// The state of the connection that calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TransactionUse {
    /// It has no transaction, so ours are possible.
    Free,
    /// It reads the database, and its snapshot would not see others' later commits: everything is one
    /// transaction.
    Reading,
    /// It has a transaction open.
    Transaction,
    /// It runs a writing statement, which the work becomes part of.
    Statement,
}

impl TransactionUse {
    fn of(conn: &Connection) -> Result<Self> {
        if !conn.is_autocommit() {
            return Ok(if Scope::begin(conn)?.is_some() { Self::Transaction } else { Self::Statement });
        }
        Ok(match (Scope::begin(conn)?.is_some(), host::transaction(conn)) {
            (false, _) => Self::Statement,
            (true, Transaction::None) => Self::Free,
            (true, _) => Self::Reading,
        })
    }

    fn is_the_callers(self) -> bool {
        matches!(self, Self::Transaction | Self::Statement)
    }

    /// Adds what remains done after an error.
    fn stopped(self, conn: &Connection, error: Error, requeued: usize) -> Error {
        match self {
            Self::Free => error.context(format!("requeued {requeued} tasks, then stopped")),
            Self::Reading => error.if_interrupted("no task was requeued"),
            Self::Transaction if conn.is_autocommit() => error
                .advice("SQLite has rolled back the transaction that this call was part of, so no task was requeued"),
            _ if requeued == 0 => error.if_interrupted("no task was requeued"),
            _ => error
                .context(format!("requeued {requeued} tasks as part of the transaction that is open, then stopped")),
        }
    }
}

fn remember(conn: &Connection, mapping: &Mapping, found: &[Blocked], now: DateTime<Utc>) -> Result<()> {
    let scope = Scope::begin(conn)?;
    blocked::remember(conn, mapping, found, now)?;
    scope.map_or(Ok(()), Scope::keep)?;
    Ok(())
}

/// Adds what is in the way, and what to do.
fn explain(caller: &Caller, error: Error) -> Error {
    let error = error.context("cannot requeue");
    match error.primary_code() {
        ffi::SQLITE_BUSY => {}
        ffi::SQLITE_READONLY => return error.advice("open the database for writing"),
        _ => return error,
    }
    let Ok(caller_state) = caller.state() else { return error };
    if caller_state.wal() && caller_state.transaction == Transaction::Read {
        return error.advice(
            "another connection has committed since this one began to read; finish its open statements or transaction and call \
             again",
        );
    }
    error.advice(
        caller_state
            .in_the_way()
            .unwrap_or_else(|| "another connection is writing; try again, or raise PRAGMA busy_timeout".into()),
    )
}
