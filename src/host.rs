//! Binding to the one SQLite of this process, and what of its API rusqlite does not wrap.
//!
//! # Promise
//!
//! queuekeeper contains no SQLite of its own: two copies in one process cancel each other's POSIX locks, since
//! closing any descriptor of a file drops all locks that the process holds on it
//! (<https://www.sqlite.org/howtocorrupt.html>, section 2.2). Everything runs on the API table that the host hands
//! over when it loads the extension. [`bind`] takes that table exactly once per process:
//!
//! - the same SQLite may load the library any number of times (it always passes the same table);
//! - a second, different SQLite is refused in words, before anything of the first is overwritten;
//! - a SQLite older than [`OLDEST`], or one built without a function that is needed, is refused in words.
//!
//! Before `bind` has succeeded, no other part of the crate may call SQLite. Callers that are no SQLite have one found for them
//! by [`discovery`], and [`sole`] watches that no file of theirs is open through another.
//!
//! # How
//!
//! rusqlite's `loadable_extension` feature keeps one function pointer per API function in a static;
//! `rusqlite_extension_init2` fills them and panics later on those that were NULL. So the slots that are needed are
//! looked at here, first. Slots that some hosts lack and that have a fallback (`progress_handler` on
//! better-sqlite3) are asked for with [`has_progress_handler`].

#![allow(unsafe_code)]

mod copies;
pub mod discovery;
mod libraries;
pub mod reading;
pub mod sole;
pub mod threads;

use std::ffi::{CStr, CString, c_int, c_void};
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, ffi};

use crate::error::{Error, Result};

/// The oldest SQLite that can be a host: 3.37.0 (2021-11-27), which Ubuntu 22.04 ships as 3.37.2.
pub const OLDEST: i32 = 3_037_000;

/// The schema name of the database that all functions work on.
pub const MAIN: &CStr = c"main";

struct Bound {
    /// Address of the API table, for comparison only.
    table: usize,
    /// Address of one of its functions: what tells it from other copies.
    anchor: usize,
    version: String,
    has_progress_handler: bool,
}

static BOUND: Mutex<Option<Bound>> = Mutex::new(None);

/// Whether the embedder itself has said which SQLite is the right one.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Binds the process to the SQLite that `table` belongs to, or says why not.
///
/// # Errors
///
/// A NULL table, a SQLite below [`OLDEST`], one that lacks a needed function, or one that is not the SQLite bound
/// before. A refusal leaves an earlier binding as it was.
///
/// # Safety
///
/// `table` is NULL or the API table that a SQLite passed to an extension's entry point.
pub unsafe fn bind(table: *mut ffi::sqlite3_api_routines) -> Result<()> {
    // SAFETY: the caller vouches for the pointer; a table, once handed out, lives as long as its SQLite.
    let Some(api) = (unsafe { table.as_ref() }) else {
        return Err(Error::usage("the host passed no SQLite API table"));
    };
    let version = check_version(api)?;
    let mut bound = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(first) = bound.as_ref() {
        return if first.table == table as usize { Ok(()) } else { Err(second_sqlite(&first.version, &version)) };
    }
    check_functions(api, &version)?;
    // SAFETY: the table is complete for this version, which is at least 3.37 and so has every slot that the
    // bindings (made for 3.34.1) read.
    unsafe { ffi::rusqlite_extension_init2(table) }
        .map_err(|refusal| Error::usage(format!("SQLite {version} cannot be used: {refusal}")))?;
    *bound = Some(Bound {
        table: table as usize,
        anchor: api.libversion.map_or(0, |function| function as usize),
        version,
        has_progress_handler: api.progress_handler.is_some(),
    });
    Ok(())
}

/// Binds as [`bind`] does, on the word of an embedder who knows which SQLite has the files open that it will name.
///
/// # Errors
///
/// As for [`bind`].
///
/// # Safety
///
/// As for [`bind`].
pub unsafe fn bind_as_told(table: *mut ffi::sqlite3_api_routines) -> Result<()> {
    // SAFETY: the caller vouches for the pointer.
    unsafe { bind(table) }?;
    TOLD.store(true, Ordering::SeqCst);
    Ok(())
}

fn is_told() -> bool {
    TOLD.load(Ordering::SeqCst)
}

/// Whether this process is bound.
pub fn is_bound() -> bool {
    BOUND.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

fn anchor() -> usize {
    let bound = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    bound.as_ref().map_or(0, |host| host.anchor)
}

/// The version of the SQLite that this process is bound to, or an empty text before that.
pub fn sqlite_version() -> String {
    let bound = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    bound.as_ref().map_or_else(String::new, |host| host.version.clone())
}

/// Whether the host has `sqlite3_progress_handler`; better-sqlite3 is built without.
pub fn has_progress_handler() -> bool {
    let bound = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    bound.as_ref().is_some_and(|host| host.has_progress_handler)
}

fn second_sqlite(first: &str, second: &str) -> Error {
    Error::usage(format!(
        "this process already runs queuekeeper on another copy of SQLite (version {first}); two SQLites that share \
         files destroy each other's locks, so this one (version {second}) is refused; use the first, or load the \
         library here in a process of its own"
    ))
}

fn check_version(api: &ffi::sqlite3_api_routines) -> Result<String> {
    let (Some(number), Some(text)) = (api.libversion_number, api.libversion) else {
        return Err(Error::usage("the host's SQLite does not tell its version"));
    };
    // SAFETY: both take nothing, and the text is a static string of the host.
    let (number, text) = unsafe { (number(), CStr::from_ptr(text())) };
    let version = text.to_string_lossy().into_owned();
    if number < OLDEST {
        return Err(Error::usage(format!(
            "SQLite {version} is too old for queuekeeper, which needs {}.{}.{} or newer",
            OLDEST / 1_000_000,
            OLDEST / 1000 % 1000,
            OLDEST % 1000
        )));
    }
    Ok(version)
}

macro_rules! absent {
    ($api:expr, $($slot:ident),+ $(,)?) => {{
        let mut names: Vec<&str> = Vec::new();
        $(if $api.$slot.is_none() { names.push(stringify!($slot)); })+
        names
    }};
}

fn check_functions(api: &ffi::sqlite3_api_routines, version: &str) -> Result<()> {
    let absent = absent!(
        api,
        backup_finish,
        backup_init,
        backup_pagecount,
        backup_remaining,
        backup_step,
        bind_blob,
        bind_double,
        bind_int64,
        bind_null,
        bind_parameter_count,
        bind_text,
        busy_handler,
        busy_timeout,
        changes,
        close,
        column_blob,
        column_bytes,
        column_count,
        column_double,
        column_int64,
        column_name,
        column_text,
        column_type,
        context_db_handle,
        create_function_v2,
        create_module_v2,
        db_config,
        db_filename,
        db_readonly,
        declare_vtab,
        errcode,
        errmsg,
        extended_errcode,
        extended_result_codes,
        file_control,
        finalize,
        free,
        get_autocommit,
        interruptx,
        malloc,
        mprintf,
        mutex_alloc,
        mutex_free,
        open_v2,
        prepare_v2,
        prepare_v3,
        reset,
        result_blob,
        result_double,
        result_error,
        result_error_code,
        result_int64,
        result_null,
        result_subtype,
        result_text,
        step,
        stmt_readonly,
        txn_state,
        uri_boolean,
        user_data,
        value_blob,
        value_bytes,
        value_double,
        value_int64,
        value_text,
        value_type,
        vfs_find,
        vfs_register,
        vtab_config,
        xthreadsafe,
    );
    if absent.is_empty() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "SQLite {version} of this host was built without sqlite3_{}, which queuekeeper needs",
        absent.join(", sqlite3_")
    )))
}

/// What a connection has open on its main database (`sqlite3_txn_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transaction {
    /// No transaction.
    None,
    /// A read transaction: a snapshot (WAL) or a SHARED lock (rollback journal).
    Read,
    /// A write transaction.
    Write,
}

/// The state of the main database's transaction on this connection.
pub fn transaction(conn: &Connection) -> Transaction {
    transaction_on(conn, MAIN)
}

/// The state of an attached database's transaction on this connection.
pub fn transaction_on(conn: &Connection, schema: &CStr) -> Transaction {
    // SAFETY: the handle is open as long as `conn` is, and the schema name is a C string.
    match unsafe { ffi::sqlite3_txn_state(conn.handle(), schema.as_ptr()) } {
        ffi::SQLITE_TXN_NONE => Transaction::None,
        ffi::SQLITE_TXN_READ => Transaction::Read,
        _ => Transaction::Write,
    }
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

/// Whether the connection takes no locks on its database (`nolock=1`, or a VFS without locks). Then a second connection would take
/// its journal for that of a crashed writer.
pub fn is_unlocked(conn: &Connection) -> bool {
    let without_locks = [c"unix-none", c"win32-none"];
    // SAFETY: the handle is open; the file name of a database is one that sqlite3_uri_boolean may be asked about.
    let asked = unsafe {
        let name = ffi::sqlite3_db_filename(conn.handle(), MAIN.as_ptr());
        !name.is_null() && ffi::sqlite3_uri_boolean(name, c"nolock".as_ptr(), 0) != 0
    };
    asked || vfs_name(conn).is_some_and(|vfs| without_locks.contains(&vfs.as_c_str()))
}

/// Whether the file of an attached database was renamed, replaced or deleted since it was opened. VFSes that cannot tell say no.
pub fn has_moved(conn: &Connection, schema: &CStr) -> bool {
    let mut moved: c_int = 0;
    // SAFETY: this opcode writes one int to the place given.
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

/// A number that changes whenever another connection has committed to the main database, as of when this connection last looked
/// (`SQLITE_FCNTL_DATA_VERSION`). Unlike the pragma of that name it may be asked for in the middle of a backup into it.
pub fn data_version(conn: &Connection) -> Option<u32> {
    let mut version: u32 = 0;
    // SAFETY: this opcode writes one unsigned int to the place given.
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

/// A second owner of a connection's handle, which lives no longer than the first and does not close it: rusqlite's backup
/// borrows its target for good, and [`data_version`] has to be asked of that very connection.
pub struct Alias<'a> {
    conn: Connection,
    first: std::marker::PhantomData<&'a Connection>,
}

/// See [`Alias`].
///
/// # Errors
///
/// None that is known.
pub fn alias(conn: &Connection) -> Result<Alias<'_>> {
    // SAFETY: the lifetime keeps the alias within that of the connection; neither is shared between threads.
    let conn = unsafe { Connection::from_handle(conn.handle()) }?;
    Ok(Alias { conn, first: std::marker::PhantomData })
}

impl Alias<'_> {
    /// The connection.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.conn
    }
}

/// The name of the VFS that serves the connection's main database.
pub fn vfs_name(conn: &Connection) -> Option<CString> {
    let mut vfs: *mut ffi::sqlite3_vfs = ptr::null_mut();
    // SAFETY: this opcode writes one pointer to the place given; a registered VFS outlives the connections on it.
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

/// Runs `body`, asking `stop` every few thousand SQLite instructions on `conn`; when it answers true, the statement
/// in progress ends with `SQLITE_INTERRUPT`. On a host without progress handlers `body` runs undisturbed.
pub fn interruptible<T>(conn: &Connection, stop: &mut dyn FnMut() -> bool, body: impl FnOnce() -> T) -> T {
    const INSTRUCTIONS: c_int = 20_000;

    struct Handler<'a>(&'a Connection);
    impl Drop for Handler<'_> {
        fn drop(&mut self) {
            // SAFETY: the handle is open; this takes the handler away, also when `body` panics.
            unsafe { ffi::sqlite3_progress_handler(self.0.handle(), 0, None, ptr::null_mut()) };
        }
    }
    unsafe extern "C" fn ask(context: *mut c_void) -> c_int {
        // SAFETY: `context` is the `stop` reference below, which outlives the handler.
        let stop = unsafe { &mut *context.cast::<&mut dyn FnMut() -> bool>() };
        // A panic must not cross C; it ends the statement, and the next check outside says why.
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(stop));
        c_int::from(answer.unwrap_or(true))
    }

    if !has_progress_handler() {
        return body();
    }
    let mut stop = stop;
    let context = (&raw mut stop).cast::<c_void>();
    // SAFETY: `context` stays in place until `handler` is dropped at the end of this function.
    unsafe { ffi::sqlite3_progress_handler(conn.handle(), INSTRUCTIONS, Some(ask), context) };
    let handler = Handler(conn);
    let result = body();
    drop(handler);
    result
}

/// Runs `body`, asking `again` whenever `conn` finds a lock taken; as long as it answers true, SQLite tries again at once, so
/// the pause is the answerer's to make. It is told how often it was asked about this lock before. Afterwards `conn` waits for no lock.
///
/// While SQLite itself repeats an attempt it may keep what it has got of the lock, so that nobody new gets in; between attempts
/// of ours it would not.
pub fn while_busy<T>(conn: &Connection, again: &mut dyn FnMut(i32) -> bool, body: impl FnOnce() -> T) -> T {
    struct Handler<'a>(&'a Connection);
    impl Drop for Handler<'_> {
        fn drop(&mut self) {
            // SAFETY: the handle is open; this takes the handler away, also when `body` panics.
            unsafe { ffi::sqlite3_busy_handler(self.0.handle(), None, ptr::null_mut()) };
        }
    }
    unsafe extern "C" fn ask(context: *mut c_void, attempts: c_int) -> c_int {
        // SAFETY: `context` is the `again` reference below, which outlives the handler.
        let again = unsafe { &mut *context.cast::<&mut dyn FnMut(i32) -> bool>() };
        // A panic must not cross C; it ends the wait.
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| again(attempts)));
        c_int::from(answer.unwrap_or(false))
    }

    let mut again = again;
    let context = (&raw mut again).cast::<c_void>();
    // SAFETY: `context` stays in place until `handler` is dropped at the end of this function.
    unsafe { ffi::sqlite3_busy_handler(conn.handle(), Some(ask), context) };
    let handler = Handler(conn);
    let result = body();
    drop(handler);
    result
}
