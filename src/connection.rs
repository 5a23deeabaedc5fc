//! The caller's connection and the sidecar beside it.
//!
//! # Promise
//!
//! - The **caller** is the connection whose statement called us. We never end or begin its transaction, and never
//!   wait for a lock that it holds itself.
//! - The **sidecar** is a second connection to the same file, through the same SQLite and the same VFS, for work
//!   that needs a transaction of its own. It sees the last commit, not the caller's uncommitted rows. It never
//!   writes the database behind its user's back: no checkpoint on close, no automatic checkpoint.
//!
//! # How
//!
//! A function runs inside the caller's `SELECT`. A sidecar that waits for the caller would wait for ever, since the
//! caller waits for us. So [`Standing`] looks at what the caller holds, and where the caller can be the reason for
//! `SQLITE_BUSY`, the answer is an immediate error that says which of its own states is in the way. Otherwise
//! `SQLITE_BUSY` comes from somebody else and is waited for, as long as the caller's own `busy_timeout` says, with
//! a loop of ours, because SQLite's busy handler cannot be interrupted.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use crate::error::{Error, Result};
use crate::files;
use crate::host::{self, Transaction};
use crate::progress::Watch;

/// How long to wait for others when the caller has set no `busy_timeout`.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(5);

/// The time between two attempts at a lock.
pub const RETRY: Duration = Duration::from_millis(10);

/// The connection that called.
pub struct Caller {
    conn: Connection,
}

impl Caller {
    /// Wraps a connection that belongs to somebody else: one made by `Connection::from_handle`.
    pub fn new(conn: Connection) -> Self {
        Self { conn }
    }

    /// The connection itself, for what belongs into the caller's own transaction.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// A caller of our own making: a connection to another database, with the same SQLite and VFS, and the same patience.
    ///
    /// # Errors
    ///
    /// `SQLITE_CANTOPEN` and its kin.
    pub fn beside(&self, file: &Path) -> Result<Self> {
        let sidecar = Sidecar::open_writer(self, file)?;
        sidecar.conn.busy_timeout(self.patience())?;
        Ok(Self::new(sidecar.conn))
    }

    /// The main database's file; `None` for in-memory and temporary databases.
    pub fn file(&self) -> Option<PathBuf> {
        // The names of memdb's databases look like paths and are none.
        let in_memory = host::vfs_name(&self.conn).is_some_and(|vfs| vfs.as_c_str() == c"memdb");
        if in_memory { None } else { host::database_file(&self.conn, host::MAIN) }
    }

    /// The files of all attached databases, the main one included.
    ///
    /// # Errors
    ///
    /// Whatever SQLite says to `PRAGMA database_list`, or a database whose file is not at its path any more: what lies there now is
    /// another file, and nobody could tell the caller's own from others.
    pub fn attached_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for name in self.schemas()? {
            let Some(file) = host::database_file(&self.conn, &name) else { continue };
            if host::has_moved(&self.conn, &name) {
                return Err(Error::new(
                    ffi::SQLITE_READONLY_DBMOVED,
                    format!(
                        "the file '{}' was moved, replaced or deleted since this connection opened it; close the connection \
                         and open the database where it is now",
                        file.display()
                    ),
                ));
            }
            files.push(file);
        }
        Ok(files)
    }

    fn schemas(&self) -> Result<Vec<std::ffi::CString>> {
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

    /// What the caller holds at this moment.
    ///
    /// # Errors
    ///
    /// Whatever SQLite says when it reads the schema: `SQLITE_BUSY`, `SQLITE_NOTADB`, and so on.
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
        match self.pragma::<i64>("busy_timeout") {
            Ok(milliseconds) if milliseconds > 0 => Duration::from_millis(milliseconds.unsigned_abs()),
            _ => DEFAULT_PATIENCE,
        }
    }

    /// Reads a pragma of the main database.
    ///
    /// # Errors
    ///
    /// Whatever SQLite says to it.
    pub fn pragma<T: rusqlite::types::FromSql>(&self, name: &str) -> Result<T> {
        read_pragma(&self.conn, name)
    }

    /// Whether the caller's statement was interrupted.
    ///
    /// # Errors
    ///
    /// `SQLITE_INTERRUPT` if so.
    pub fn check_interrupt(&self) -> Result<()> {
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

/// Reads a pragma of a connection's main database.
///
/// # Errors
///
/// Whatever SQLite says to it.
pub fn read_pragma<T: rusqlite::types::FromSql>(conn: &Connection, name: &str) -> Result<T> {
    let value = conn.query_row(&format!("PRAGMA main.{name}"), [], |row| row.get(0));
    value.map_err(|error| Error::from(error).explained().context("cannot read the database"))
}

/// What a caller holds on its main database.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The transaction that is open, an implicit one included.
    pub transaction: Transaction,
    /// False inside `BEGIN` or a savepoint.
    pub autocommit: bool,
    /// SQLite's name of the journal mode; empty as long as nobody has read the database, see [`Sidecar::begin_read`].
    pub journal: String,
    /// `locking_mode=EXCLUSIVE`.
    pub exclusive: bool,
    /// The connection takes no locks.
    pub unlocked: bool,
    /// The connection cannot write.
    pub readonly: bool,
}

impl Standing {
    /// Whether the database is in WAL mode.
    pub fn wal(&self) -> bool {
        self.journal.eq_ignore_ascii_case("wal")
    }

    /// What somebody who reads the result of a backup should know about the caller's own transaction.
    pub fn note(&self) -> Option<&'static str> {
        (self.transaction == Transaction::Write)
            .then_some("taken at the last commit: the uncommitted changes of this connection are not in it")
    }

    /// Whether no second connection can use the database beside this one.
    pub fn alone(&self) -> bool {
        self.exclusive || self.unlocked
    }

    /// The sentence to say when a second connection finds the database locked and the caller itself is the likely
    /// reason; `None` when it can only be somebody else.
    pub fn in_the_way(&self) -> Option<String> {
        if self.exclusive {
            return Some(
                "this connection's own locking_mode=EXCLUSIVE keeps every other connection out, queuekeeper's too; COMMIT or \
                 ROLLBACK what is open, or set PRAGMA locking_mode=NORMAL and read any table once, and call again"
                    .into(),
            );
        }
        if self.unlocked {
            return Some(
                "this connection takes no locks (nolock=1, or a VFS without them), so no second one can be used beside it; COMMIT \
                 or ROLLBACK what is open, or open the database with locks"
                    .into(),
            );
        }
        match self.transaction {
            _ if self.wal() => None,
            Transaction::None => None,
            Transaction::Write => Some(format!(
                "this connection's own open write transaction has the database locked (journal mode {}); COMMIT or \
                 ROLLBACK it and call again",
                self.journal
            )),
            Transaction::Read => Some(format!(
                "another connection waits to commit until this connection's own open read ends (journal mode {}); \
                 finish its statements or transaction and call again",
                self.journal
            )),
        }
    }
}

/// The second connection.
pub struct Sidecar {
    conn: Connection,
}

impl Sidecar {
    /// Opens a sidecar for reading beside the caller's main database.
    ///
    /// # Errors
    ///
    /// `SQLITE_CANTOPEN` and its kin, or an in-memory database, which no second connection can see.
    pub fn open_reader(caller: &Caller, standing: &Standing) -> Result<Self> {
        let Some(file) = caller.file() else {
            return Err(Error::usage(
                "an in-memory or temporary database has no file that a second connection could open",
            ));
        };
        // A reader needs write access to roll back a crashed writer's journal and to set up the WAL index.
        let access =
            if standing.readonly { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        let sidecar = Self::open(caller, &file, access)?;
        sidecar.conn.execute_batch("PRAGMA query_only=ON")?;
        Ok(sidecar)
    }

    /// Opens a connection for writing to a database file, through the VFS of the caller.
    ///
    /// # Errors
    ///
    /// `SQLITE_CANTOPEN` and its kin. Whether the file is a database shows only when it is read.
    pub fn open_writer(caller: &Caller, file: &Path) -> Result<Self> {
        Self::open(caller, file, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn open(caller: &Caller, file: &Path, access: OpenFlags) -> Result<Self> {
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
        let conn = match host::vfs_name(caller.connection()) {
            Some(vfs) => Connection::open_with_flags_and_vfs(file, flags, vfs.as_c_str()),
            None => Connection::open_with_flags(file, flags),
        };
        let conn = conn.map_err(|error| {
            Error::from(error).context(format!("cannot open a second connection to '{}'", file.display()))
        })?;
        conn.busy_timeout(Duration::ZERO)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // A mapped database would turn an I/O error into a SIGBUS of the host.
        conn.execute_batch("PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0")?;
        Ok(Self { conn })
    }

    /// The connection itself, to be written to.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// Takes the write lock, waiting for others until `deadline`.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` when the wait was in vain.
    pub fn begin_immediate(&self, deadline: Instant, watch: &mut Watch<'_>) -> Result<()> {
        loop {
            let Err(error) = self.conn.execute_batch("BEGIN IMMEDIATE").map_err(Error::from) else { return Ok(()) };
            if error.primary_code() != ffi::SQLITE_BUSY {
                return Err(error.context("cannot take the write lock"));
            }
            if Instant::now() >= deadline {
                return Err(error
                    .context("cannot take the write lock")
                    .advice("another connection holds it; try again later, or raise PRAGMA busy_timeout"));
            }
            watch.pause(RETRY)?;
        }
    }

    /// The connection itself.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Opens a read transaction: from here on the sidecar sees one snapshot, and `standing` knows the journal mode.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` at once when the caller itself is in the way, after the caller's patience when others are.
    pub fn begin_read(&self, caller: &Caller, standing: &mut Standing, watch: &mut Watch<'_>) -> Result<()> {
        let deadline = Instant::now() + caller.patience();
        loop {
            let attempt = self.conn.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1").map_err(Error::from);
            let Err(error) = attempt else {
                standing.journal = read_pragma(&self.conn, "journal_mode")?;
                return Ok(());
            };
            if !self.conn.is_autocommit() {
                self.conn.execute_batch("ROLLBACK")?;
            }
            if error.primary_code() != ffi::SQLITE_BUSY {
                return Err(self.unreadable(error));
            }
            if let Some(reason) = standing.in_the_way() {
                return Err(Error::new(error.code(), format!("the database is locked: {reason}")));
            }
            if Instant::now() >= deadline {
                return Err(error
                    .context("cannot read the database")
                    .advice("another connection holds it; try again later, or raise PRAGMA busy_timeout"));
            }
            watch.pause(RETRY)?;
        }
    }

    /// Writes a compact copy of the database to `path`, an empty file.
    ///
    /// # Errors
    ///
    /// What SQLite says, or `SQLITE_INTERRUPT`.
    pub fn vacuum_into(&self, caller: &Caller, path: &Path, watch: &mut Watch<'_>) -> Result<()> {
        // Somebody else may begin to hold the database between the caller's check and this.
        self.conn.busy_timeout(caller.patience())?;
        let target = path.to_str().ok_or_else(|| {
            Error::usage(format!(
                "'{}' is not UTF-8, which VACUUM INTO needs; choose another directory",
                path.display()
            ))
        })?;
        let mut interrupted = None;
        let mut stop = || {
            interrupted = watch.check().err();
            interrupted.is_some()
        };
        let done = host::interruptible(&self.conn, &mut stop, || self.conn.execute("VACUUM INTO ?1", [target]));
        match (done, interrupted) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(Error::from(error).context("cannot write a compact copy (VACUUM INTO)")),
            (Ok(_), None) => Ok(()),
        }
    }

    fn unreadable(&self, error: Error) -> Error {
        let path = self.conn.path().unwrap_or_default();
        let error = error.context(format!("cannot read '{path}' through a second connection"));
        if error.primary_code() == ffi::SQLITE_NOTADB {
            return error
                .advice("it is not a SQLite database, or it is encrypted with a key that only the caller has");
        }
        error
    }
}
