//! The connection that called.

use std::cell::Cell;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, ffi};

use super::sidecar::{DiskError, connect_writer};
use super::{Standing, read_pragma};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::files::{self, Likeness, LiveFiles};
use crate::host::{self, Transaction, reading};
use crate::progress::{Interruptible, RETRY};

/// How long to wait for others when the caller has set no `busy_timeout`.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(5);

/// The connection that called.
pub struct Caller {
    conn: Connection,
    clock: Cell<Clock>,
    /// Somebody waits for locks in place of SQLite, which then knows of no `busy_timeout`.
    attended: Cell<bool>,
    /// Nobody else has the connection, or handlers on it.
    own: bool,
    /// What the disk said to connections beside this one.
    disk: Arc<DiskError>,
}

impl Caller {
    /// Wraps a connection that belongs to somebody else: one made by `Connection::from_handle`.
    pub fn new(conn: Connection) -> Self {
        Self { conn, clock: Cell::default(), attended: Cell::default(), own: false, disk: Arc::default() }
    }

    /// Does `work` for whoever called. Its error names the database's path, and is one of the disk if that is why content seems
    /// damaged.
    pub fn serve<T>(&self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        reading::forget(&self.conn);
        self.disk.forget();
        work(self).map_err(|error| self.located(self.told(error)))
    }

    /// An error of the work that is being done, as one of the disk if that is why content seems damaged.
    pub fn told(&self, error: Error) -> Error {
        reading::told_of(reading::disk_error(&self.conn).or_else(|| self.disk.last()), error)
    }

    /// Where connections beside this one leave what the disk said to them.
    pub(super) fn disk(&self) -> Arc<DiskError> {
        Arc::clone(&self.disk)
    }

    /// What time it is for the work that is being done.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.get().now()
    }

    /// Works by another clock than the system's.
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

    /// The connection itself, for what belongs into the caller's own transaction.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// A caller of our own making, on a database that exists, or on `:memory:`. It waits for others as long as the default says.
    ///
    /// # Errors
    ///
    /// `SQLITE_CANTOPEN` and its kin. Whether the file is a database shows only when it is read.
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

    /// A caller of our own making: a connection to another database, with the same SQLite and VFS, and the same patience.
    pub fn beside(&self, file: &Path) -> Result<Self> {
        let conn = connect_writer(self, file)?;
        conn.busy_timeout(self.patience())?;
        Ok(Self { clock: self.clock.clone(), own: true, ..Self::new(conn) })
    }

    /// The main database's file; `None` for in-memory and temporary databases.
    pub fn file(&self) -> Option<PathBuf> {
        // The names of memdb's databases look like paths and are none.
        let in_memory = host::vfs_name(&self.conn).is_some_and(|vfs| vfs.as_c_str() == c"memdb");
        if in_memory { None } else { host::database_file(&self.conn, host::MAIN) }
    }

    /// What files have in common with the main database that are made for it; `None` for one without a file.
    pub fn likeness(&self) -> Option<Likeness> {
        self.file().as_deref().and_then(Likeness::of)
    }

    /// All attached databases, the main one included, with the files that SQLite keeps beside each.
    pub fn live_files(&self) -> Result<LiveFiles> {
        let mut files = Vec::new();
        for name in self.schemas()? {
            let Some(file) = host::database_file(&self.conn, &name) else { continue };
            self.check_schema_in_place(&name, &file)?;
            files.push(file);
        }
        Ok(LiveFiles::among(files))
    }

    /// Refuses a main database whose file is not at its path any more: a second connection would open another one.
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

    /// Refuses a connection that may not write (`what` is a verb), be it by its own choice (`PRAGMA query_only`).
    ///
    /// # Errors
    ///
    /// `SQLITE_READONLY`, or what SQLite says to the pragma.
    pub fn check_writable(&self, standing: &Standing, what: &str) -> Result<()> {
        let query_only: i64 = self.pragma("query_only")?;
        if standing.readonly || query_only != 0 { Err(Standing::read_only(what)) } else { Ok(()) }
    }

    /// The names of all databases on the connection.
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

    /// The transaction that is open on the main database's file, also where it is attached a second time.
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

    /// The same error, with the database's path if it is about a file and names none: SQLite's own words never do.
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

    /// What the caller holds at this moment.
    pub fn standing(&self) -> Result<Standing> {
        let locking: String = self.pragma("locking_mode")?;
        let readonly = self.conn.is_readonly(host::MAIN)?;
        let exclusive = locking.eq_ignore_ascii_case("exclusive");
        let transaction = self.transaction_on_file()?;
        let unlocked = host::is_unlocked(&self.conn);
        // Asking for the journal mode may read the schema, and so wait, uninterruptibly, for a lock that others hold; but not
        // while this connection holds one itself.
        let knows = transaction != Transaction::None || exclusive || unlocked || self.file().is_none();
        let journal = if knows { self.pragma("journal_mode")? } else { String::new() };
        Ok(Standing { transaction, unlocked, autocommit: self.conn.is_autocommit(), journal, exclusive, readonly })
    }

    /// How long the caller is willing to wait for a lock that others hold.
    pub fn patience(&self) -> Duration {
        match self.busy_timeout() {
            Ok(milliseconds) if milliseconds > 0 => Duration::from_millis(milliseconds.unsigned_abs()),
            _ => DEFAULT_PATIENCE,
        }
    }

    /// For how many milliseconds the connection waits for a lock that others hold.
    pub fn busy_timeout(&self) -> Result<i64> {
        if self.attended.get() {
            return Ok(i64::try_from(DEFAULT_PATIENCE.as_millis()).unwrap_or(i64::MAX));
        }
        self.pragma("busy_timeout")
    }

    /// Runs `work` on a connection that [`Caller::open`] made, waiting for each lock as long as the default says, but no longer than
    /// until `stop` answers true: SQLite's own wait hears of no interrupt.
    pub fn attended<T>(&self, stop: &dyn Fn() -> bool, work: impl FnOnce() -> T) -> T {
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
            // Any other failure belongs to whoever uses the connection next for real work.
            _ => Ok(()),
        }
    }
}
