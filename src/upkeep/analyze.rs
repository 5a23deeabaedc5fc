//! Statistics for the query planner.
//!
//! # Promise
//!
//! - `ANALYZE` of all tables of the main database, or of one table or index. The name is an identifier, never
//!   SQL; an error for an unknown name lists those that exist.
//! - **Open connections use the new statistics** from their next statement on. After a plain `ANALYZE` they
//!   would use the old ones until they reconnect, as SQLite reads them only with the schema
//!   (<https://www.sqlite.org/lang_analyze.html>).
//! - Writers wait while it reads, as for any `ANALYZE`; `blocked_writers_ms` is the duration (a second for
//!   1.5 million tasks in the page cache). The caller's `PRAGMA analysis_limit` applies: SQLite then reads so
//!   many rows of each index, which is six times as fast there, but estimates every value as about as rare as
//!   the limit. By default all rows are read.
//! - An error or an interrupt leaves the old statistics.
//!
//! # How
//!
//! For a caller without a transaction, a sidecar waits for the write lock, interruptibly. In one transaction
//! it writes the statistics and increments the schema version, as any change of the schema does, so that all
//! others read the schema again. Tables that need a function or collation that neither the sidecar nor the
//! caller has are left out, with a note. `ANALYZE` runs on the caller's connection, in its transaction, if
//! that is open, the database is in memory, the caller excludes others, or only the caller can read the
//! database or its indexes (a key, a collation of its own).
//!
//! No checkpoint follows: only a few pages are written.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, ffi};
use serde::Serialize;

use crate::clock;
use crate::connection::{Caller, CallerState, Sidecar, encrypted, read_pragma};
use crate::error::{Error, Result};
use crate::host::Transaction;
use crate::memory;
use crate::phase::Phase;
use crate::progress::{Listener, Watch};
use crate::schema::{quoted, text};

/// How many names an error lists.
const MOST_NAMES: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// All tables, or the one table or index named by the caller.
    pub analyzed: Vec<String>,
    /// How long writers may have waited.
    pub blocked_writers_ms: u64,
    pub duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The state after an interrupt.
const AS_BEFORE: &str = "the statistics are as they were";

const ON_THE_CALLER: &str = "written through this connection, as part of its transaction if one is open; other connections use \
                             the new statistics when they read the schema anew";

/// Gathers statistics of the table or index `name`, or of all tables. Fails with `SQLITE_BUSY` if others
/// write for longer than the caller's timeout.
pub fn analyze<'a>(caller: &'a Caller, name: Option<&str>, listener: Option<Listener<'a>>) -> Result<Outcome> {
    let started = Instant::now();
    caller.check_in_place()?;
    let caller_state = caller.state()?;
    caller.check_writable(&caller_state, "analyze")?;
    let mut watch = Watch::new(caller, listener);
    watch.begin_uncounted(Phase::Analyzing)?;
    let free = is_free(caller, &caller_state)?;
    let mut beside_it =
        |partly| beside(caller, name, partly, &mut watch).map_err(|error| error.if_interrupted(AS_BEFORE));
    let done = if free { beside_it(false)? } else { None };
    let (analyzed, blocked, note) = match done {
        Some(done) => done,
        None => match on_the_caller(caller, name) {
            // The caller lacks it, too.
            Err(error) if free && name.is_none() && error.missing().is_some() => beside_it(true)?.ok_or(error)?,
            done => done?,
        },
    };
    Ok(Outcome {
        analyzed,
        blocked_writers_ms: clock::milliseconds(blocked),
        duration_ms: clock::milliseconds(started.elapsed()),
        note,
    })
}

/// Whether a second connection can do it without waiting for the caller.
fn is_free(caller: &Caller, caller_state: &CallerState) -> Result<bool> {
    let apart =
        caller_state.transaction == Transaction::None && caller_state.autocommit && !caller_state.excludes_others();
    Ok(caller.file().is_some() && apart && !encrypted::is_encrypted(caller)?)
}

/// The tables, how long writers may have waited, and a note.
type Done = (Vec<String>, Duration, Option<String>);

/// Uses a sidecar. If that lacks what only the caller's connection has, returns `None`, or leaves such tables
/// out if `partly`.
fn beside(caller: &Caller, name: Option<&str>, partly: bool, watch: &mut Watch<'_>) -> Result<Option<Done>> {
    let Some(file) = caller.file() else { return Ok(None) };
    let sidecar = Sidecar::open_writer(caller, &file)?;
    let conn = sidecar.connection();
    let limit: i64 = caller.pragma("analysis_limit")?;
    conn.execute_batch(&format!("PRAGMA analysis_limit={limit}"))?;
    let deadline = Instant::now() + caller.patience();
    sidecar.begin_immediate(deadline, watch)?;
    let locked = Instant::now();
    let mut target = Target::find(conn, name)?;
    let mut left_out = Vec::new();
    let done = if partly {
        watch.run(conn, || target.each(conn, &mut left_out))?
    } else {
        watch.run(conn, || conn.execute_batch(&target.sql()))?.map_err(Error::from)
    };
    match done {
        // No such collation or function.
        Err(error) if error.primary_code() == ffi::SQLITE_ERROR => return Ok(None),
        done => done.map_err(failed)?,
    }
    let version: i32 = read_pragma(conn, "schema_version")?;
    conn.execute_batch(&format!("PRAGMA main.schema_version={}", version.wrapping_add(1)))?;
    watch
        .run_with_lock(conn, deadline.max(locked + caller.patience()), || conn.execute_batch("COMMIT"))?
        .map_err(|error| failed(Error::from(error).explained()))?;
    let note = (!left_out.is_empty()).then(|| {
        format!(
            "not analyzed: {}, which only the application's connection has; call queue_analyze() there",
            left_out.join(", ")
        )
    });
    Ok(Some((target.names, locked.elapsed(), note)))
}

fn on_the_caller(caller: &Caller, name: Option<&str>) -> Result<Done> {
    let conn = caller.connection();
    let target = Target::find(conn, name)?;
    let begun = Instant::now();
    let inside = !conn.is_autocommit();
    conn.execute_batch(&target.sql()).map_err(|error| {
        let over = inside && conn.is_autocommit();
        let left = if over { "SQLite has rolled back the transaction that was open" } else { AS_BEFORE };
        explain(caller, failed(error.into())).if_interrupted(left)
    })?;
    let note = caller.file().map(|_| ON_THE_CALLER.to_owned());
    Ok((target.names, begun.elapsed(), note))
}

fn failed(error: Error) -> Error {
    error.context("cannot analyze")
}

fn explain(caller: &Caller, error: Error) -> Error {
    if error.primary_code() != ffi::SQLITE_BUSY {
        return error;
    }
    match caller.state() {
        Ok(caller_state) if caller_state.wal() && caller_state.transaction == Transaction::Read => error.advice(
            "another connection is writing, or has committed since this one began to read; finish its open statements or \
             transaction and call again",
        ),
        _ => error.explained(),
    }
}

struct Target {
    names: Vec<String>,
    one: bool,
}

impl Target {
    fn find(conn: &Connection, name: Option<&str>) -> Result<Self> {
        let read = |error: Error| error.explained().context("cannot read the schema");
        let tables = || -> Result<Vec<String>> {
            // Virtual tables have no root page.
            let mut names = conn.prepare(
                "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
                 ORDER BY name",
            )?;
            memory::collected(names.query_and_then([], |row| text(row, 0))?)
        };
        let Some(name) = name else {
            return Ok(Self { names: tables().map_err(read)?, one: false });
        };
        let sql = "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'index') AND rootpage > 0
                   AND name NOT LIKE 'sqlite~_stat%' ESCAPE '~' AND name = ?1 COLLATE NOCASE";
        let found: Option<String> =
            conn.query_row(sql, [name], |row| row.get(0)).optional().map_err(|error| read(error.into()))?;
        match found {
            Some(found) => Ok(Self { names: vec![found], one: true }),
            None => Err(unknown(name, &tables().map_err(read)?)),
        }
    }

    /// Analyzes table by table. Tables that need something missing are left out, and listed with what that
    /// is.
    fn each(&mut self, conn: &Connection, left_out: &mut Vec<String>) -> Result<()> {
        let mut done = Vec::new();
        for name in self.names.drain(..) {
            match conn.execute_batch(&format!("ANALYZE main.{}", quoted(&name))).map_err(Error::from) {
                Ok(()) => memory::push(&mut done, name)?,
                Err(error) => match error.missing() {
                    Some(missing) => memory::push(left_out, format!("{name} needs {missing}"))?,
                    None => return Err(error),
                },
            }
        }
        self.names = done;
        Ok(())
    }

    fn sql(&self) -> String {
        match self.names.first() {
            Some(name) if self.one => format!("ANALYZE main.{}", quoted(name)),
            _ => "ANALYZE main".into(),
        }
    }
}

fn unknown(name: &str, tables: &[String]) -> Error {
    let listed = tables.iter().take(MOST_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    let there = match tables.len() {
        0 => "it has no tables".to_owned(),
        count if count > MOST_NAMES => format!("it has {count} tables, among them {listed}"),
        _ => format!("its tables are {listed}"),
    };
    Error::usage(format!("the database has no table or index '{}'; {there}", name.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_those_that_there_are() {
        let names: Vec<String> = (0..25).map(|number| format!("t{number}")).collect();
        assert!(unknown("x", &[]).message().ends_with("no table or index 'x'; it has no tables"));
        assert!(unknown("x", &names[..2]).message().ends_with("its tables are t0, t1"));
        let error = unknown("x\n", &names);
        assert!(error.message().contains("'x\\n'; it has 25 tables, among them t0, "), "{error}");
        assert!(!error.message().contains("t20"));
    }

    #[test]
    fn names_are_identifiers() {
        let target = Target { names: vec!["a\"; DROP TABLE b".into()], one: true };
        assert_eq!(target.sql(), "ANALYZE main.\"a\"\"; DROP TABLE b\"");
    }
}
