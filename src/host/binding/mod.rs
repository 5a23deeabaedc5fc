//! Binds to the process's one SQLite.
//!
//! # Promise
//!
//! queuekeeper contains no SQLite of its own. Two copies in one process cancel each other's POSIX locks,
//! since closing any descriptor of a file drops all locks that the process holds on it
//! (<https://www.sqlite.org/howtocorrupt.html>, section 2.2). Everything runs on the API table that the host
//! passes when it loads the extension. [`bind`] takes that table once per process, for all copies of the
//! library ([`process`]):
//!
//! - the same SQLite may load the library any number of times (it always passes the same table);
//! - a second, different SQLite is refused before anything of the first is overwritten;
//! - a SQLite older than [`OLDEST`], or built without a needed function, is refused;
//! - from then on the library is never unloaded, as SQLite has pointers into it, such as a VFS's.
//!
//! Before `bind` has succeeded, no other part of the crate may call SQLite. For callers of the C ABI,
//! [`discovery`] finds a SQLite, [`one_sqlite`] checks that none of their files is open through another, and
//! [`forks`](super::forks) protects forked children.
//!
//! # How
//!
//! rusqlite's `loadable_extension` feature keeps a static function pointer per API function.
//! `rusqlite_extension_init2` sets them; using one that was NULL panics later. So the needed slots are
//! checked here first. For slots that some hosts lack and that have a fallback (`progress_handler` on
//! better-sqlite3) there is [`has_progress_handler`].

pub mod discovery;
mod images;
mod libraries;
pub mod one_sqlite;
pub(super) mod other_copies;
pub mod process;

use std::ffi::{CStr, CString};
use std::sync::Mutex;

use rusqlite::ffi;

#[cfg(all(any(test, feature = "fuzzing"), unix, not(target_vendor = "apple")))]
pub use self::images::find_in;
use crate::error::{Error, Result};
use crate::host::threads::lock;

/// 3.37.0 (2021-11-27); Ubuntu 22.04 has 3.37.2.
pub const OLDEST: i32 = 3_037_000;

pub(super) struct Bound {
    /// Address of the API table, for comparison only.
    table: usize,
    /// Address of one of its functions, which identifies the copy.
    anchor: usize,
    version: String,
    has_progress_handler: bool,
}

pub(super) static BOUND: Mutex<Option<Bound>> = Mutex::new(None);

/// Binds the process to the SQLite that `table` belongs to. Fails, without changing an earlier binding, if
/// the SQLite is too old, lacks a function, or is not the one that a copy of the library is bound to; or if a
/// copy is too old to tell.
///
/// # Safety
///
/// `table` is NULL or the API table that a SQLite passed to an extension's entry point.
pub unsafe fn bind(table: *mut ffi::sqlite3_api_routines) -> Result<()> {
    // SAFETY: the caller vouches for the pointer; an API table lives as long as its SQLite.
    let Some(api) = (unsafe { table.as_ref() }) else {
        return Err(Error::usage("the host passed no SQLite API table"));
    };
    let version = check_version(api)?;
    let mut bound = lock(&BOUND);
    if let Some(first) = bound.as_ref() {
        if first.table != table as usize {
            return Err(second_sqlite(&first.version, &version, None));
        }
        drop(bound);
        return process::elsewhere().map(drop);
    }
    check_functions(api, &version)?;
    let lasting = CString::new(version.as_str()).unwrap_or_default();
    process::claim(table as usize, &version)?;
    // SAFETY: the version is at least 3.37, so the table has every slot that the bindings (made for 3.34.1)
    // read.
    if let Err(refusal) = unsafe { ffi::rusqlite_extension_init2(table) } {
        process::withdraw();
        return Err(Error::usage(format!("SQLite {version} cannot be used: {refusal}")));
    }
    images::stay();
    process::settle(table as usize, Box::leak(lasting.into_boxed_c_str()));
    *bound = Some(Bound {
        table: table as usize,
        anchor: api.libversion.map_or(0, |function| function as usize),
        version,
        has_progress_handler: api.progress_handler.is_some(),
    });
    Ok(())
}

/// Binds as [`bind`] does, for an embedder who vouches that this SQLite has the files open that it will name.
///
/// # Safety
///
/// As for [`bind`].
pub unsafe fn bind_as_told(table: *mut ffi::sqlite3_api_routines) -> Result<()> {
    // SAFETY: the caller vouches for the pointer.
    unsafe { bind(table) }?;
    process::vouch();
    Ok(())
}

/// Binds to the SQLite of another copy of the library in this process; returns whether the process is bound.
pub fn adopt() -> Result<bool> {
    let elsewhere = process::elsewhere()?;
    if is_bound() {
        return Ok(true);
    }
    let Some(elsewhere) = elsewhere else { return Ok(false) };
    let table = std::ptr::with_exposed_provenance_mut(elsewhere.table);
    // SAFETY: the other copy runs on this table.
    unsafe { bind(table) }?;
    if elsewhere.told {
        process::vouch();
    }
    Ok(true)
}

pub fn is_bound() -> bool {
    lock(&BOUND).is_some()
}

fn anchor() -> usize {
    lock(&BOUND).as_ref().map_or(0, |host| host.anchor)
}

/// The version of the bound SQLite; "" before the binding.
pub fn sqlite_version() -> String {
    let bound = lock(&BOUND);
    bound.as_ref().map_or_else(String::new, |host| host.version.clone())
}

/// Whether the host has `sqlite3_progress_handler`; better-sqlite3 is built without.
pub fn has_progress_handler() -> bool {
    lock(&BOUND).as_ref().is_some_and(|host| host.has_progress_handler)
}

fn second_sqlite(first: &str, second: &str, through: Option<&str>) -> Error {
    let through = through.map_or_else(String::new, |path| format!(", by the library '{path}'"));
    Error::usage(format!(
        "this process already runs queuekeeper on another copy of SQLite (version {first}{through}); two SQLites that share \
         files destroy each other's locks, so this one (version {second}) is refused; use the first, or load the \
         library here in a process of its own"
    ))
}

fn check_version(api: &ffi::sqlite3_api_routines) -> Result<String> {
    let (Some(number), Some(text)) = (api.libversion_number, api.libversion) else {
        return Err(Error::usage("the host's SQLite does not tell its version"));
    };
    // SAFETY: both take no arguments, and the text is a static string of the host.
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
        db_status,
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
        limit,
        malloc,
        mprintf,
        mutex_alloc,
        mutex_free,
        next_stmt,
        open_v2,
        overload_function,
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
        sql,
        step,
        stmt_busy,
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
