//! The caller's connection.

use std::cell::Cell;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, ffi};

use super::sidecar::{DiskError, connect_writer};
use super::{CallerState, read_pragma};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles, Ownership};
use crate::host::{self, Transaction, disk_errors};
use crate::phase::{CurrentPhase, Phase};
use crate::progress::{Interruptible, RETRY};

/// The wait for locks if the caller has set no `busy_timeout`.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(5);

pub struct Caller {
    conn: Connection,
    clock: Cell<Clock>,
    /// Whether we wait for locks in place of SQLite, whose `busy_timeout` is 0 then.
    attended: Cell<bool>,
    /// Whether nobody else uses the connection or sets handlers on it.
    own: bool,
    /// The disk error of connections beside this one.
    disk: Arc<DiskError>,
    phase: CurrentPhase,
}

impl Caller {
    /// Wraps somebody else's connection, made by `Connection::from_handle`.
    pub fn new(conn: Connection) -> Self {
        Self {
            conn,
            clock: Cell::default(),
            attended: Cell::default(),
            own: false,
            disk: Arc::default(),
            phase: CurrentPhase::default(),
        }
    }

    /// Runs `work`. Errors get the database's path, and apparent damage that is due to a disk error becomes
    /// that error.
    pub fn serve<T>(&self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        self.phase.leave();
        disk_errors::forget(&self.conn);
        self.disk.forget();
        work(self).map_err(|error| self.located(self.blame_disk(error)))
    }

    /// Replaces apparent damage that is due to a disk error by that error.
    pub fn blame_disk(&self, error: Error) -> Error {
        disk_errors::told_of(disk_errors::disk_error(&self.conn).or_else(|| self.disk.last()), error)
    }

    /// Where connections beside this one report disk errors.
    pub(super) fn disk(&self) -> Arc<DiskError> {
        Arc::clone(&self.disk)
    }

    /// What the current work is at.
    pub fn phase(&self) -> &CurrentPhase {
        &self.phase
    }

    /// The time for the current work.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.get().now()
    }

    /// Runs `work` with another clock.
    pub fn by_clock<T>(&self, clock: Clock, work: impl FnOnce() -> T) -> T {
        struct Back<'a>(&'a Cell<Clock>, Clock);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _back = Back(&self.clock, self.clock.replace(clock));
        work()
    }

    /// For what belongs in the caller's own transaction.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Opens a connection of our own to an existing database or `:memory:`, with the default timeout. A file
    /// that is not a database fails only when it is read.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
        let conn = Connection::open_with_flags(path, flags).map_err(|error| {
            let error = Error::from(error).context(format!("cannot open the database '{}'", path.display()));
            if path.exists() { error } else { error.advice("there is no such file; a missing database is not made") }
        })?;
        super::sidecar::prepare(&conn, DEFAULT_PATIENCE)?;
        Ok(Self { own: true, ..Self::new(conn) })
    }

    /// Opens a connection of our own to another database, with the same SQLite, VFS and timeout.
    pub fn beside(&self, file: &Path) -> Result<Self> {
        let conn = connect_writer(self, file)?;
        conn.busy_timeout(self.patience())?;
        Ok(Self { clock: self.clock.clone(), own: true, phase: self.phase.clone(), ..Self::new(conn) })
    }

    /// The main database's file; `None` for in-memory and temporary databases.
    pub fn file(&self) -> Option<PathBuf> {
        // The names of memdb's databases look like paths.
        let in_memory = host::vfs_name(&self.conn).is_some_and(|vfs| vfs.as_c_str() == c"memdb");
        if in_memory { None } else { host::database_file(&self.conn, host::MAIN) }
    }

    /// Owner and permissions for files made for the main database.
    pub fn ownership(&self) -> Option<Ownership> {
        self.file().as_deref().and_then(Ownership::of)
    }

    /// All attached databases and their companion files.
    pub fn live_files(&self) -> Result<LiveFiles> {
        let mut files = Vec::new();
        for name in self.schemas()? {
            let Some(file) = host::database_file(&self.conn, &name) else { continue };
            self.check_schema_in_place(&name, &file)?;
            files.push(file);
        }
        Ok(LiveFiles::among(files))
    }

    /// Fails if the main database's file was moved: a second connection would open another one.
    pub fn check_in_place(&self) -> Result<()> {
        self.file().map_or(Ok(()), |file| self.check_schema_in_place(host::MAIN, &file))
    }

    fn check_schema_in_place(&self, schema: &CStr, file: &Path) -> Result<()> {
        if !host::has_moved(&self.conn, schema) {
            return Ok(());
        }
        Err(Error::new(
            ffi::SQLITE_READONLY_DBMOVED,
            format!(
                "the file '{}' was moved, replaced or deleted since this connection opened it; close the connection \
                 and open the database where it is now",
                file.display()
            ),
        ))
    }

    /// Fails with `SQLITE_READONLY` if the connection may not write (`what` is a verb), also by `PRAGMA
    /// query_only`.
    pub fn check_writable(&self, caller_state: &CallerState, what: &str) -> Result<()> {
        let query_only: i64 = self.pragma("query_only")?;
        if caller_state.readonly || query_only != 0 { Err(CallerState::read_only(what)) } else { Ok(()) }
    }

    pub fn schemas(&self) -> Result<Vec<std::ffi::CString>> {
        let mut list = self.conn.prepare("PRAGMA database_list")?;
        let mut rows = list.query([])?;
        let mut names = Vec::new();
        while let Some(row) = rows.next()? {
            let name = row.get_ref(1)?.as_bytes().unwrap_or_default();
            names.extend(std::ffi::CString::new(name).ok());
        }
        Ok(names)
    }

    /// The open transaction on the main database's file, which may be attached twice.
    fn transaction_on_file(&self) -> Result<Transaction> {
        let main = host::transaction(&self.conn);
        let Some(file) = self.file() else { return Ok(main) };
        let mut most = main;
        for name in self.schemas()? {
            let same = host::database_file(&self.conn, &name).is_some_and(|other| files::same_file(&file, &other));
            if same {
                most = most.max(host::transaction_on(&self.conn, &name));
            }
        }
        Ok(most)
    }

    /// Adds the database's path to an error about a file that names none, as SQLite's never do.
    fn located(&self, error: Error) -> Error {
        let about_a_file = matches!(
            error.primary_code(),
            ffi::SQLITE_IOERR
                | ffi::SQLITE_FULL
                | ffi::SQLITE_CANTOPEN
                | ffi::SQLITE_READONLY
                | ffi::SQLITE_CORRUPT
                | ffi::SQLITE_NOTADB
        );
        let names_one = error.message().split('\'').any(|quoted| Path::new(quoted).is_absolute());
        match self.file() {
            Some(file) if about_a_file && !names_one => error.advice(format!("the database is '{}'", file.display())),
            _ => error,
        }
    }

    /// The caller's locks and modes at this moment.
    pub fn state(&self) -> Result<CallerState> {
        let locking: String = self.pragma("locking_mode")?;
        let readonly = self.conn.is_readonly(host::MAIN)?;
        let exclusive = locking.eq_ignore_ascii_case("exclusive");
        let transaction = self.transaction_on_file()?;
        let unlocked = host::is_unlocked(&self.conn);
        // Reading the journal mode may read the schema, and so wait, uninterruptibly, for others' locks; not
        // if this connection holds a lock itself.
        let knows = transaction != Transaction::None || exclusive || unlocked || self.file().is_none();
        let journal = if knows { self.pragma("journal_mode")? } else { String::new() };
        Ok(CallerState { transaction, unlocked, autocommit: self.conn.is_autocommit(), journal, exclusive, readonly })
    }

    /// How long to wait for locks that others hold.
    pub fn patience(&self) -> Duration {
        match self.busy_timeout() {
            Ok(milliseconds) if milliseconds > 0 => Duration::from_millis(milliseconds.unsigned_abs()),
            _ => DEFAULT_PATIENCE,
        }
    }

    /// The caller's `busy_timeout` in milliseconds, 0 if it set none; the default during
    /// [`Caller::with_stoppable_waits`], which waits in SQLite's place.
    pub fn busy_timeout(&self) -> Result<i64> {
        if self.attended.get() {
            return Ok(i64::try_from(DEFAULT_PATIENCE.as_millis()).unwrap_or(i64::MAX));
        }
        self.pragma("busy_timeout")
    }

    /// Runs `work` on a connection from [`Caller::open`], with the default timeout for each lock, until
    /// `stop` returns true. SQLite's own wait does not notice an interrupt.
    pub fn with_stoppable_waits<T>(&self, stop: &dyn Fn() -> bool, work: impl FnOnce() -> T) -> T {
        let mut since = Instant::now();
        let mut again = |attempts| {
            if attempts == 0 {
                since = Instant::now();
            }
            thread::sleep(RETRY);
            !stop() && since.elapsed() < DEFAULT_PATIENCE
        };
        self.attended.set(true);
        host::while_busy(&self.conn, &mut again, work)
    }

    /// Reads a pragma of the main database.
    pub fn pragma<T: rusqlite::types::FromSql>(&self, name: &str) -> Result<T> {
        read_pragma(&self.conn, name)
    }
}

impl Interruptible for Caller {
    fn enter(&self, phase: Phase) {
        self.phase.enter(phase);
    }

    fn is_hosts(&self, conn: &Connection) -> bool {
        !self.own && host::is_same(&self.conn, conn)
    }

    fn check_interrupt(&self) -> Result<()> {
        match self.conn.query_row("SELECT 1", [], |_| Ok(())) {
            Err(rusqlite::Error::SqliteFailure(failure, _))
                if failure.code == ffi::ErrorCode::OperationInterrupted =>
            {
                Err(Error::interrupted())
            }
            // Any other failure shows in the next real use of the connection.
            _ => Ok(()),
        }
    }
}
