//! Facts about a connection that rusqlite does not expose. None of them blocks, reads a file or takes a lock.

use std::ffi::{CStr, CString, c_int, c_void};
use std::path::PathBuf;
use std::ptr;

use rusqlite::{Connection, ffi};

use super::MAIN;
use crate::error::Result;

/// The transaction state of a database (`sqlite3_txn_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transaction {
    None,
    /// A snapshot (WAL) or a SHARED lock (rollback journal).
    Read,
    Write,
}

pub fn transaction(conn: &Connection) -> Transaction {
    transaction_on(conn, MAIN)
}

pub fn transaction_on(conn: &Connection, schema: &CStr) -> Transaction {
    // SAFETY: the handle is open as long as `conn` is, and the schema name is a C string.
    match unsafe { ffi::sqlite3_txn_state(conn.handle(), schema.as_ptr()) } {
        ffi::SQLITE_TXN_NONE => Transaction::None,
        ffi::SQLITE_TXN_READ => Transaction::Read,
        _ => Transaction::Write,
    }
}

/// Whether foreign keys are violated now, deferred ones included, so that a COMMIT would fail.
pub fn has_violations(conn: &Connection) -> bool {
    let (mut now, mut highest): (c_int, c_int) = (0, 0);
    // SAFETY: the handle is open, and SQLite writes one int to each pointer.
    let rc = unsafe {
        ffi::sqlite3_db_status(conn.handle(), ffi::SQLITE_DBSTATUS_DEFERRED_FKS, &raw mut now, &raw mut highest, 0)
    };
    rc == ffi::SQLITE_OK && now != 0
}

/// The file of an attached database, byte for byte; `None` for in-memory and temporary ones.
pub fn database_file(conn: &Connection, schema: &CStr) -> Option<PathBuf> {
    // SAFETY: as above; the returned text belongs to the connection and is copied at once.
    let bytes = unsafe {
        let name = ffi::sqlite3_db_filename(conn.handle(), schema.as_ptr());
        if name.is_null() {
            return None;
        }
        CStr::from_ptr(name).to_bytes()
    };
    (!bytes.is_empty()).then(|| path_from_bytes(bytes))
}

#[cfg(unix)]
fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(not(unix))]
fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// Whether the connection takes no locks on its database (`nolock=1`, or a VFS without locks). A second
/// connection would then take its journal for a crashed writer's.
pub fn is_unlocked(conn: &Connection) -> bool {
    let without_locks = [c"unix-none", c"win32-none"];
    is_asked(conn, c"nolock") || vfs_name(conn).is_some_and(|vfs| without_locks.contains(&vfs.as_c_str()))
}

/// Whether any lock of the connection excludes everybody, even readers: SQLite's VFSes with a single lock.
pub fn locks_alone(conn: &Connection) -> bool {
    let with_one_lock = [c"unix-dotfile", c"unix-flock", c"unix-namedsem"];
    vfs_name(conn).is_some_and(|vfs| with_one_lock.contains(&vfs.as_c_str()))
}

/// Whether the connection ignores journal and WAL, as nobody changes the database (`immutable=1`).
pub fn is_immutable(conn: &Connection) -> bool {
    is_asked(conn, c"immutable")
}

/// Whether the URI of the main database sets this parameter.
fn is_asked(conn: &Connection, what: &CStr) -> bool {
    // SAFETY: the handle is open; a database's file name is valid for sqlite3_uri_boolean.
    unsafe {
        let name = ffi::sqlite3_db_filename(conn.handle(), MAIN.as_ptr());
        !name.is_null() && ffi::sqlite3_uri_boolean(name, what.as_ptr(), 0) != 0
    }
}

/// The length limit of texts and BLOBs (`SQLITE_LIMIT_LENGTH`).
pub fn longest_value(conn: &Connection) -> c_int {
    // SAFETY: the handle is open; a negative limit only reads.
    unsafe { ffi::sqlite3_limit(conn.handle(), ffi::SQLITE_LIMIT_LENGTH, -1) }
}

/// Whether a database's file was renamed, replaced or deleted since it was opened. VFSes that cannot tell say
/// no.
pub fn has_moved(conn: &Connection, schema: &CStr) -> bool {
    let mut moved: c_int = 0;
    // SAFETY: this opcode writes one int.
    let rc = unsafe {
        ffi::sqlite3_file_control(
            conn.handle(),
            schema.as_ptr(),
            ffi::SQLITE_FCNTL_HAS_MOVED,
            (&raw mut moved).cast::<c_void>(),
        )
    };
    rc == ffi::SQLITE_OK && moved != 0
}

/// Changes with every commit to the main database by another connection, as of this connection's last read
/// (`SQLITE_FCNTL_DATA_VERSION`). Unlike the pragma of that name it is usable during a backup into the
/// database.
pub fn data_version(conn: &Connection) -> Option<u32> {
    let mut version: u32 = 0;
    // SAFETY: this opcode writes one unsigned int.
    let rc = unsafe {
        ffi::sqlite3_file_control(
            conn.handle(),
            MAIN.as_ptr(),
            ffi::SQLITE_FCNTL_DATA_VERSION,
            (&raw mut version).cast::<c_void>(),
        )
    };
    (rc == ffi::SQLITE_OK).then_some(version)
}

/// A second, non-closing owner of a connection's handle: rusqlite's backup borrows its target for its
/// lifetime, while [`data_version`] needs that very connection.
pub struct Alias<'a> {
    conn: Connection,
    first: std::marker::PhantomData<&'a Connection>,
}

/// See [`Alias`].
pub fn alias(conn: &Connection) -> Result<Alias<'_>> {
    // SAFETY: the alias cannot outlive the connection; neither is shared between threads.
    let conn = unsafe { Connection::from_handle(conn.handle()) }?;
    Ok(Alias { conn, first: std::marker::PhantomData })
}

impl Alias<'_> {
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.conn
    }
}

pub fn is_same(one: &Connection, other: &Connection) -> bool {
    // SAFETY: the handles are only compared.
    unsafe { std::ptr::eq(one.handle(), other.handle()) }
}

/// The VFS of the connection's main database.
pub fn vfs_name(conn: &Connection) -> Option<CString> {
    let mut vfs: *mut ffi::sqlite3_vfs = ptr::null_mut();
    // SAFETY: this opcode writes one pointer; a registered VFS outlives its connections.
    unsafe {
        let rc = ffi::sqlite3_file_control(
            conn.handle(),
            MAIN.as_ptr(),
            ffi::SQLITE_FCNTL_VFS_POINTER,
            (&raw mut vfs).cast::<c_void>(),
        );
        if rc != ffi::SQLITE_OK || vfs.is_null() || (*vfs).zName.is_null() {
            return None;
        }
        Some(CStr::from_ptr((*vfs).zName).to_owned())
    }
}
