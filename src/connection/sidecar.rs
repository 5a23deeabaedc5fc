//! The sidecar: a second connection of our own.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use super::{Caller, CallerState, encrypted, read_pragma};
use crate::error::{Error, Result};
use crate::files;
use crate::host::{self, auto_extensions, disk_errors, unnamed_files};
use crate::progress::{RETRY, Watch};

/// A transaction begins with the first read.
const BEGIN_READ: &str = "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1";

/// Configures a connection of our own to write nothing unasked.
pub(super) fn prepare(conn: &Connection, patience: Duration) -> Result<()> {
    auto_extensions::refuse_begun(conn)?;
    conn.busy_timeout(patience)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // With mmap, an I/O error would be a SIGBUS in the host.
    conn.execute_batch("PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0")?;
    Ok(())
}

/// Opens a connection for writing through the caller's VFS; see [`Sidecar::open_writer`].
pub(super) fn connect_writer(caller: &Caller, file: &Path) -> Result<Connection> {
    encrypted::refuse_second(caller, file)?;
    connect(caller, host::vfs_name(caller.connection()).as_deref(), file, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn connect(caller: &Caller, vfs: Option<&CStr>, file: &Path, access: OpenFlags) -> Result<Connection> {
    // URIs are for `vacuum_into`. A file's own name is absolute, so it is never a URI.
    let flags =
        access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let before = files::identity(file)?;
    let conn = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(file, flags, vfs),
        None => Connection::open_with_flags(file, flags),
    };
    let conn = conn.map_err(|error| {
        Error::from(error).context(format!("cannot open a second connection to '{}'", file.display()))
    })?;
    // SQLite opens by name and silently follows links.
    let opened = host::database_file(&conn, host::MAIN);
    let elsewhere = opened.is_some_and(|opened| !files::same_name(&opened, file)) && files::look(file)?.is_some();
    // A failed check counts as moved, so repeat it once the identity is known.
    let moved = host::has_moved(&conn, host::MAIN);
    if elsewhere || files::identity(file)? != before || (moved && host::has_moved(&conn, host::MAIN)) {
        return Err(files::swapped(file));
    }
    prepare(&conn, Duration::ZERO)?;
    // Trusts the schema as the caller's connection does.
    let trusting = caller.connection().db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, trusting)?;
    Ok(conn)
}

/// The disk error of a closed sidecar, kept for the error of its work.
#[derive(Default)]
pub(super) struct DiskError(AtomicI32);

impl DiskError {
    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Option<io::Error> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            code => Some(io::Error::from_raw_os_error(code)),
        }
    }
}

pub struct Sidecar {
    conn: Connection,
    disk: Arc<DiskError>,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if let Some(code) = disk_errors::disk_error(&self.conn).and_then(|error| error.raw_os_error()) {
            self.disk.0.store(code, Ordering::Relaxed);
        }
    }
}

impl Sidecar {
    /// Opens a sidecar for reading the caller's main database. Fails if that is in memory or encrypted.
    pub fn open_reader(caller: &Caller, caller_state: &CallerState) -> Result<Self> {
        Self::open_reader_on(caller, caller_state, host::vfs_name(caller.connection()).as_deref())
    }

    /// The same through a VFS that wraps the caller's.
    pub fn open_reader_on(caller: &Caller, caller_state: &CallerState, vfs: Option<&CStr>) -> Result<Self> {
        let Some(file) = caller.file() else {
            return Err(Error::usage(
                "an in-memory or temporary database has no file that a second connection could open",
            ));
        };
        encrypted::refuse(caller)?;
        // A reader needs write access to roll back a crashed writer's journal and to set up the WAL index.
        let access =
            if caller_state.readonly { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        let sidecar = Self { conn: connect(caller, vfs, &file, access)?, disk: caller.disk() };
        sidecar.conn.execute_batch("PRAGMA query_only=ON")?;
        Ok(sidecar)
    }

    /// Opens a connection for writing to `file` through the caller's VFS. Fails if it is the caller's
    /// database and encrypted. A file that is not a database fails only when it is read.
    pub fn open_writer(caller: &Caller, file: &Path) -> Result<Self> {
        Ok(Self { conn: connect_writer(caller, file)?, disk: caller.disk() })
    }

    /// Opens a connection to try whether `file` can be read.
    pub(super) fn open_probe(caller: &Caller, file: &Path) -> Result<Self> {
        let vfs = host::vfs_name(caller.connection());
        Ok(Self {
            conn: connect(caller, vfs.as_deref(), file, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
            disk: caller.disk(),
        })
    }

    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// Takes the write lock; fails with `SQLITE_BUSY` after `deadline`.
    pub fn begin_immediate(&self, deadline: Instant, watch: &mut Watch<'_>) -> Result<()> {
        loop {
            let Err(error) = self.conn.execute_batch("BEGIN IMMEDIATE").map_err(Error::from) else { return Ok(()) };
            if error.primary_code() != ffi::SQLITE_BUSY {
                return Err(disk_errors::told(&self.conn, error).context("cannot take the write lock"));
            }
            if Instant::now() >= deadline {
                return Err(error
                    .context("cannot take the write lock")
                    .advice("another connection holds it; try again later, or raise PRAGMA busy_timeout"));
            }
            watch.pause(RETRY)?;
        }
    }

    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Opens a read transaction unless somebody is in the way.
    pub fn try_begin_read(&self) -> bool {
        self.conn.execute_batch(BEGIN_READ).is_ok()
    }

    /// Opens a read transaction on one snapshot, and sets the journal mode in `caller_state`. Fails with
    /// `SQLITE_BUSY`, at once if the caller is in the way, after its timeout if others are.
    pub fn begin_read(&self, caller: &Caller, caller_state: &mut CallerState, watch: &mut Watch<'_>) -> Result<()> {
        let deadline = Instant::now() + caller.patience();
        loop {
            let attempt = self.conn.execute_batch(BEGIN_READ).map_err(Error::from);
            let Err(error) = attempt else {
                caller_state.journal = read_pragma(&self.conn, "journal_mode")?;
                return Ok(());
            };
            if !self.conn.is_autocommit() {
                self.conn.execute_batch("ROLLBACK")?;
            }
            if error.primary_code() != ffi::SQLITE_BUSY {
                return Err(self.unreadable(error));
            }
            if let Some(reason) = caller_state.in_the_way() {
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

    /// Writes a compact copy to `file`, which is empty; errors name `path`.
    pub fn vacuum_into(&self, caller: &Caller, file: File, path: &Path, watch: &mut Watch<'_>) -> Result<()> {
        // Others may have locked the database since the caller's check.
        self.conn.busy_timeout(caller.patience())?;
        auto_extensions::refuse_shadowed(&self.conn)?;
        let into = |uri: &str| watch.run(&self.conn, || self.conn.execute("VACUUM INTO ?1", [uri]));
        let done = unnamed_files::with_uri(file, into)??;
        done.map(|_| ()).map_err(|error| {
            let doing = format!("cannot write a compact copy (VACUUM INTO '{}')", path.display());
            disk_errors::told(&self.conn, error.into()).context(doing)
        })
    }

    fn unreadable(&self, error: Error) -> Error {
        let path = self.conn.path().unwrap_or_default();
        let doing = format!("cannot read '{path}' through a second connection");
        let error = disk_errors::told(&self.conn, error).context(doing);
        if error.primary_code() == ffi::SQLITE_NOTADB {
            return error
                .advice("it is not a SQLite database, or it is encrypted with a key that only the caller has");
        }
        error
    }
}
