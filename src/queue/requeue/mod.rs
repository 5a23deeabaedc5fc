//! Putting the tasks of dead workers back into the queue.
//!
//! # Promise
//!
//! - Which leases are stale, [`super::stale`] defines, and what becomes of their tasks, [`super::changes`]. A lease that is renewed in
//!   the meantime is not stolen: see [`row`].
//! - **One task that cannot be put back blocks no other.** Every task that can be put back when its turn comes is, the number that is
//!   returned is of those, and the rest is named, with the reason of each. The turns follow the key of the table, once a call: of two
//!   tasks that exclude each other, the first is put back.
//! - A task that has used up its attempts, and so becomes dead rather than queued, counts as requeued all the same.
//! - Inside a transaction of the caller, what is done belongs to that transaction, to be committed or rolled back with it, and
//!   nothing that blocks a task ends it: where the schema could ([`conflicts`]), the call is refused before anything is changed.
//!   Otherwise it runs in batches, each a transaction of its own, short enough for other writers to get their turn in between.
//! - An error, be it an interrupt, says how many tasks were put back before.
//! - The cost follows the number of leases, not of tasks, given an index that the status leads; without one, all tasks are read
//!   once. A blocked task costs about as much as another.
//!
//! # How
//!
//! The stale leases are listed first, by their keys, then requeued by that list, each judged again: so a lease that a trigger makes
//! anew is not taken twice, and the work ends. Each task is a statement of its own, with a savepoint: a statement for many would be
//! undone by the one that fails, and would need a variable for each. [`super::pace`] says how large the batches are, and how
//! long the pauses. A task that rolls back a whole batch (`RAISE(ROLLBACK)`) is left out, and what came before it is done again.

mod batches;
mod conflicts;
mod row;
mod scope;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ffi};

use self::batches::Work;
use self::row::{Key, Rows, Sql};
use self::scope::Scope;
use super::blocked::{self, Blocked};
use super::excerpts::cell;
use super::mapping::{Mapping, Role};
use super::stale::{self, Pieces};
use super::{changes, leases};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::host::{self, Transaction};
use crate::memory;
use crate::progress::Watch;

/// How many blocked tasks are named.
const MOST_NAMED: usize = 10;

/// What a requeue came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many tasks were put back.
    pub requeued: usize,
    /// How many could not be put back.
    pub blocked: usize,
    /// The first of those, at most [`blocked::MOST`].
    pub tasks: Vec<Blocked>,
    /// Why they could not be remembered for `queue_stale`.
    pub unremembered: Option<Error>,
}

impl Outcome {
    /// The blocked tasks that are named where all would be too many.
    pub fn named(&self) -> impl Iterator<Item = &Blocked> {
        self.tasks.iter().take(MOST_NAMED)
    }

    /// What could not be put back, in words.
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

/// Puts the tasks of stale leases back into the queue.
///
/// # Errors
///
/// A grace out of range, no task table, a read-only database, a lock that others hold, an interrupt. What earlier batches have
/// requeued stays requeued; the message says how many.
pub fn requeue(caller: &Caller, grace: i64, now: DateTime<Utc>) -> Result<Outcome> {
    let conn = caller.connection();
    let limit = leases::limit(grace, now)?;
    let mapping = leases::require(conn)?;
    let statements =
        Statements::new(conn, &mapping, &Pieces::of(conn, &mapping, limit)?.stale, &changes::of_stale(&mapping)?)?;
    let footing = Footing::of(conn)?;
    if let (true, Some(name)) = (footing.is_the_callers(), conflicts::found(conn)?) {
        return Err(Error::usage(format!(
            "cannot requeue inside a transaction: {name} may roll it back, with all that was done in it (RAISE(ROLLBACK) or ON \
             CONFLICT ROLLBACK); COMMIT first, and call SELECT queue_requeue_stale(…) on its own"
        )));
    }
    let present = mapping.time()?.write(now);
    let prepared = || -> Result<(Vec<Key>, Rows<'_>)> {
        let rows = Rows::prepare(conn, &statements.row, limit, &present, footing != Footing::Statement)?;
        Ok((statements.keys(conn, limit)?, rows))
    };
    let (keys, rows) = prepared().map_err(|error| explain(caller, error))?;
    let (mut work, mut watch) = (Work::new(conn, rows, statements.width), Watch::new(caller, None));
    let done = match footing {
        Footing::Free => work.in_batches(&keys, &mut watch),
        Footing::Reading => work.in_one(&keys, Some(&mut watch)),
        Footing::Transaction | Footing::Statement => work.inside(&keys, &mut watch),
    };
    let mut outcome = work.outcome();
    done.map_err(|error| footing.stopped(conn, explain(caller, error), outcome.requeued))?;
    outcome.unremembered = remember(conn, &mapping, &outcome.tasks, now).err();
    Ok(outcome)
}

/// Puts every task that a worker holds back into the queue, stale or not: in a database that was restored, the workers of that
/// time know nothing of their leases any more. Nothing, if there is no task table. `conn` is a connection of ours.
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
        work.in_one(&statements.keys(conn, 0)?, None)?;
        Ok(work.outcome())
    };
    all().map_err(|error| error.context("cannot requeue the leases"))
}

/// What the connection is doing while it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Footing {
    /// Nothing that would be in the way of transactions of ours.
    Free,
    /// It reads the database: all is one transaction, since a snapshot that it holds does not see what others commit in between.
    Reading,
    /// It has a transaction open.
    Transaction,
    /// It runs a statement that writes, to which all that is done belongs.
    Statement,
}

impl Footing {
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

    /// What an error leaves behind.
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

/// The statements for a queue.
struct Statements {
    list: String,
    ids: String,
    row: Sql,
    /// How many values a key has.
    width: usize,
}

impl Statements {
    /// `condition` says of a task, by ?1, whether it is to be put back; `changes` are assignments, with ?2 for the present.
    fn new(conn: &Connection, mapping: &Mapping, condition: &str, changes: &str) -> Result<Self> {
        let key = mapping.row_key(conn)?;
        let (table, by_status) = (mapping.table(), mapping.table_by_status(conn)?);
        // A column may collate otherwise than the key that it is part of, and so take two rows for one.
        let is_key: Vec<String> = key
            .iter()
            .enumerate()
            .map(|(place, column)| format!("{column} IS ?{0} AND {column} COLLATE BINARY IS ?{0}", place + 3))
            .collect();
        // ?2 is bound whether or not there is a column for it.
        let this = format!("{} AND ?2 IS NOT NULL", is_key.join(" AND "));
        let (id, lease) = (mapping.column(Role::Id)?, mapping.column(Role::LeaseUntil)?);
        let update = if conflicts::may_replace(conn, mapping.name())? { "UPDATE OR ABORT" } else { "UPDATE" };
        let places: Vec<String> = (1..=key.len()).map(|place| place.to_string()).collect();
        Ok(Self {
            // In this order, neighbours in the table share a batch, and so the pages that it writes.
            list: format!(
                "SELECT {} FROM {by_status} WHERE {condition} ORDER BY {}",
                key.join(", "),
                places.join(", ")
            ),
            ids: format!("SELECT {id}, {lease} FROM {by_status} WHERE {condition} ORDER BY 1"),
            row: Sql {
                update: format!("{update} {table} SET {changes} WHERE {this} AND {condition}"),
                look: format!("SELECT {condition}, {id}, {lease} FROM {table} WHERE {this}"),
            },
            width: key.len(),
        })
    }

    /// The keys of the tasks to put back, one behind the other.
    fn keys(&self, conn: &Connection, limit: i64) -> Result<Vec<Key>> {
        let mut statement = conn.prepare(&self.list)?;
        let mut rows = statement.query([limit])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            for place in 0..self.width {
                memory::push(&mut keys, Key::of(row.get_ref(place)?)?)?;
            }
        }
        Ok(keys)
    }

    fn all_blocked(&self, conn: &Connection, reason: &str) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut statement = conn.prepare(&self.ids)?;
        let mut rows = statement.query([0])?;
        while let Some(row) = rows.next()? {
            outcome.block(Blocked { task_id: cell(row, 0)?, lease: cell(row, 1)?, reason: reason.into() });
        }
        Ok(outcome)
    }
}

fn remember(conn: &Connection, mapping: &Mapping, found: &[Blocked], now: DateTime<Utc>) -> Result<()> {
    let scope = Scope::begin(conn)?;
    blocked::remember(conn, mapping, found, now)?;
    scope.map_or(Ok(()), Scope::keep)?;
    Ok(())
}

/// What stands in the way, and what to do about it.
fn explain(caller: &Caller, error: Error) -> Error {
    let error = error.context("cannot requeue");
    match error.primary_code() {
        ffi::SQLITE_BUSY => {}
        ffi::SQLITE_READONLY => return error.advice("open the database for writing"),
        _ => return error,
    }
    let Ok(standing) = caller.standing() else { return error };
    if standing.wal() && standing.transaction == Transaction::Read {
        return error.advice(
            "another connection has committed since this one began to read; finish its open statements or transaction and call \
             again",
        );
    }
    error.advice(
        standing
            .in_the_way()
            .unwrap_or_else(|| "another connection is writing; try again, or raise PRAGMA busy_timeout".into()),
    )
}
