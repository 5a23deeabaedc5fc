//! Returns free pages to the disk.
//!
//! # Promise
//!
//! - SQLite's own `VACUUM` of the caller's main database. A failure, an interrupt or a crash leaves its
//!   content unchanged.
//! - Disk space is checked first. A copy of the content goes to SQLite's directory for temporary files
//!   (unless the caller keeps those in memory), and as much again to the WAL, or all old pages to the
//!   rollback journal. Too little space is an error with both numbers, before anything is written.
//! - If the caller itself is in the way, it fails at once. Others are waited for as long as the caller's
//!   timeout, interruptibly.
//! - The result has the space gained, the tables whose rows may have new rowids (SQLite renumbers rows
//!   without an INTEGER PRIMARY KEY), and whether the WAL, which has grown as long as the database, could be
//!   truncated.
//! - In WAL mode others can read meanwhile; nobody can write.
//!
//! # How
//!
//! SQLite refuses `VACUUM` on the caller's connection inside a function, so a sidecar runs it. SQLite takes
//! the lock before it copies, and calls our busy handler while others hold it: waiting costs nothing, and
//! with a rollback journal it keeps new readers out while it waits for the present ones. Automatic
//! checkpoints are off, so the WAL is copied afterwards, by the rules of [`checkpoint`]. A VACUUM reports no
//! progress, so a listener is only asked whether to go on.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, ffi};
use serde::Serialize;

use crate::checkpoint::{self, Mode};
use crate::clock;
use crate::connection::{Caller, CallerState, Sidecar, read_pragma};
use crate::error::{Error, Result};
use crate::files;
use crate::host::{Transaction, auto_extensions};
use crate::phase::Phase;
use crate::progress::{Listener, Watch};
use crate::schema;

/// Bytes before each page in the WAL (<https://www.sqlite.org/fileformat2.html#walformat>); a rollback
/// journal has fewer.
const FRAME_HEADER: u64 = 24;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub size_before_bytes: i64,
    pub size_after_bytes: i64,
    pub reclaimed_bytes: i64,
    pub page_count_before: i64,
    pub page_count_after: i64,
    pub freelist_count_before: i64,
    pub freelist_count_after: i64,
    /// Of the WAL; `None` without one.
    pub checkpoint: Option<checkpoint::Outcome>,
    pub duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Fails with `SQLITE_BUSY` if the caller or others are in the way, and with `SQLITE_FULL` if there is too
/// little space.
pub fn vacuum<'a>(caller: &'a Caller, listener: Option<Listener<'a>>) -> Result<Outcome> {
    let started = Instant::now();
    let Some(file) = caller.file() else {
        return Err(Error::usage(
            "a database without a file cannot be vacuumed from inside a function; run the statement VACUUM on it",
        ));
    };
    caller.check_in_place()?;
    let mut caller_state = caller.state()?;
    caller.check_writable(&caller_state, "vacuum")?;
    refuse_own(&caller_state)?;
    let mut watch = Watch::new(caller, listener);
    let sidecar = Sidecar::open_writer(caller, &file)?;
    let conn = sidecar.connection();
    sidecar.begin_read(caller, &mut caller_state, &mut watch)?;
    let before = Size::of(conn)?;
    let renumbered = schema::tables_without_own_rowid(conn)?;
    auto_extensions::refuse_shadowed(conn)?;
    conn.execute_batch("COMMIT")?;
    refuse_own(&caller_state)?;
    let temporary = temporary_directory(caller, conn)?;
    before.require_space(files::parent_of(&file), temporary.as_deref(), caller_state.wal())?;
    let deadline = Instant::now() + caller.patience();
    watch.begin_uncounted(Phase::Compacting)?;
    let vacuumed = watch.run_with_lock(conn, deadline, || conn.execute_batch("VACUUM"));
    vacuumed
        .and_then(|done| done.map_err(|error| explain(error.into())))
        .map_err(|error| error.if_interrupted("the database is as it was, call again to start over"))?;
    // With a rollback journal the next writer may already be committing, and this connection has no timeout.
    let after = sidecar
        .begin_read(caller, &mut caller_state, &mut watch)
        .and_then(|()| Size::of(conn))
        .map_err(|error| error.context("the VACUUM is done, but its outcome cannot be read"))?;
    drop(sidecar);
    let mut notes = Vec::new();
    if !renumbered.is_empty() {
        notes.push(format!(
            "rows of tables without an INTEGER PRIMARY KEY may have got new rowids: {}; give such a table one where rowids matter",
            renumbered.join(", ")
        ));
    }
    let checkpoint = shrink(caller, &file, &caller_state, &mut notes, &mut watch);
    Ok(Outcome {
        size_before_bytes: before.bytes(),
        size_after_bytes: after.bytes(),
        reclaimed_bytes: before.bytes() - after.bytes(),
        page_count_before: before.pages,
        page_count_after: after.pages,
        freelist_count_before: before.free,
        freelist_count_after: after.free,
        checkpoint,
        duration_ms: clock::milliseconds(started.elapsed()),
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}

/// Fails if the sidecar would have to wait for the caller.
fn refuse_own(caller_state: &CallerState) -> Result<()> {
    if caller_state.excludes_others() {
        return Err(Error::busy(format!("cannot vacuum: {}", caller_state.in_the_way().unwrap_or_default())));
    }
    let what = match caller_state.transaction {
        Transaction::Write => "write transaction (INSERT … SELECT opens one, too)",
        Transaction::Read if !caller_state.journal.is_empty() && !caller_state.wal() => {
            "read (SELECT … FROM a table is one, too)"
        }
        _ => return Ok(()),
    };
    Err(Error::busy(format!(
        "cannot vacuum: this connection's own open {what} is in the way; COMMIT or ROLLBACK it, finish its statements, and call \
         again"
    )))
}

/// Copies the WAL into the database and truncates it, if there is one. The next checkpoint does what is not
/// possible now.
fn shrink(
    caller: &Caller,
    file: &Path,
    caller_state: &CallerState,
    notes: &mut Vec<String>,
    watch: &mut Watch<'_>,
) -> Option<checkpoint::Outcome> {
    if !caller_state.wal() {
        return None;
    }
    match checkpoint::afterwards(caller, file, Mode::Truncate, caller_state.transaction, watch) {
        Ok(outcome) => {
            if outcome.busy != 0 {
                notes.push(
                    "the database is compact, but its file shrinks only when the WAL can be copied: call \
                     queue_checkpoint('TRUNCATE') when nobody reads any more"
                        .into(),
                );
            }
            Some(outcome)
        }
        Err(error) => {
            let error = caller.blame_disk(error);
            notes.push(format!("the database is compact, but the WAL could not be copied into its file: {error}"));
            None
        }
    }
}

/// The directory of the copy, `None` for memory. Makes the sidecar use the caller's setting.
fn temporary_directory(caller: &Caller, conn: &Connection) -> Result<Option<PathBuf>> {
    let store: i64 = caller.pragma("temp_store")?;
    conn.execute_batch(&format!("PRAGMA temp_store={store}"))?;
    if in_memory(compiled_temp_store(conn)?, store) {
        return Ok(None);
    }
    // A host built without this pragma returns no row.
    let named: Option<String> = conn.query_row("PRAGMA temp_store_directory", [], |row| row.get(0)).optional()?;
    Ok(files::sqlite_directory(named.filter(|named| !named.is_empty()).map(PathBuf::from)))
}

/// `SQLITE_TEMP_STORE` of the host; 1 if unknown.
fn compiled_temp_store(conn: &Connection) -> Result<i64> {
    let mut options = conn.prepare("PRAGMA compile_options")?;
    let mut rows = options.query([])?;
    while let Some(row) = rows.next()? {
        let option: String = row.get(0)?;
        if let Some(store) = option.strip_prefix("TEMP_STORE=") {
            return Ok(store.parse().unwrap_or(1));
        }
    }
    Ok(1)
}

/// <https://www.sqlite.org/pragma.html#pragma_temp_store>, the table at its end.
fn in_memory(compiled: i64, store: i64) -> bool {
    match compiled {
        1 => store == 2,
        2 => store != 1,
        3 => true,
        _ => false,
    }
}

#[derive(Debug, Clone, Copy)]
struct Size {
    pages: i64,
    free: i64,
    page: i64,
}

impl Size {
    fn of(conn: &Connection) -> Result<Self> {
        Ok(Self {
            pages: read_pragma(conn, "page_count")?,
            free: read_pragma(conn, "freelist_count")?,
            page: read_pragma(conn, "page_size")?,
        })
    }

    fn bytes(self) -> i64 {
        self.pages * self.page
    }

    /// Bytes for the copy, and bytes beside the database.
    fn needs(self, wal: bool) -> (u64, u64) {
        let (all, page) = (self.pages.unsigned_abs(), self.page.unsigned_abs());
        let used = all.saturating_sub(self.free.unsigned_abs());
        let journalled = if wal { used } else { all };
        (used * page, journalled * (page + FRAME_HEADER))
    }

    fn require_space(self, home: &Path, temporary: Option<&Path>, wal: bool) -> Result<()> {
        let advice = "free some space there";
        let (copy, beside) = self.needs(wal);
        let Some(temporary) = temporary else {
            return files::require_space(home, beside, "vacuum", advice);
        };
        if files::may_share_space(home, temporary) {
            return files::require_space(home, copy + beside, "vacuum", advice);
        }
        files::require_space(home, beside, "vacuum", advice)?;
        let advice =
            "free some space there, or set SQLITE_TMPDIR to a directory that has it before the program starts";
        files::require_space(temporary, copy, "vacuum's temporary copy", advice)
    }
}

fn explain(error: Error) -> Error {
    let error = error.context("cannot vacuum");
    match error.primary_code() {
        ffi::SQLITE_FULL | ffi::SQLITE_IOERR => {
            error.advice("its content is as it was; see that the disk and SQLite's directory for temporary files have space")
        }
        ffi::SQLITE_ERROR => error.advice(
            "if a function or collation is missing that only this connection has, run the statement VACUUM on it instead",
        ),
        _ => error.explained(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_for_a_copy_and_for_the_journal() {
        let size = Size { pages: 1000, free: 400, page: 4096 };
        assert_eq!(size.needs(true), (600 * 4096, 600 * 4120));
        assert_eq!(size.needs(false), (600 * 4096, 1000 * 4120));
        assert_eq!(Size { pages: 0, free: 0, page: 4096 }.needs(true), (0, 0));
    }

    #[test]
    fn where_temporary_files_go_follows_the_host_and_the_pragma() {
        let table = [(0, [false, false, false]), (1, [false, false, true]), (2, [true, false, true]), (3, [true; 3])];
        for (compiled, expected) in table {
            for (store, in_ram) in expected.into_iter().enumerate() {
                assert_eq!(in_memory(compiled, store as i64), in_ram, "{compiled} {store}");
            }
        }
    }
}
