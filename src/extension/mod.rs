//! The first door: a loadable SQLite extension.
//!
//! # Promise
//!
//! - SQLite derives `sqlite3_queuekeeper_init` from the file name `libqueuekeeper`, so `.load
//!   ./libqueuekeeper` needs no entry point. It binds the process to the SQLite that loads it (see
//!   [`host`]), which also keeps the library loaded, and defines the functions and tables on the
//!   connection.
//! - It returns `SQLITE_OK`, not `SQLITE_OK_LOAD_PERMANENTLY`. The latter is a success to
//!   `sqlite3_load_extension` alone; to `sqlite3_auto_extension` it is an error, which fails the opening of
//!   the connection and skips later extensions.
//! - `sqlite3_queuekeeperreadonly_init` is for hosts that run strangers' SQL, such as Datasette. It defines
//!   only functions that read the queue itself: they change nothing, read no other files and are quick. The
//!   choice applies per connection.
//!
//! This door only converts arguments, results and errors between SQLite and the core.

#![allow(unsafe_code)]

mod functions;
mod operations;
mod tables;

use std::ffi::{CString, c_char, c_int};
use std::sync::Once;

use rusqlite::{Connection, ffi};
use sqlite_loadable::entrypoints::register_entrypoint;
use sqlite_loadable::ext;

use crate::calls::guard;
use crate::calls::operations::{READONLY as READONLY_TABLES, TABLES};
use crate::calls::table::Spec;
use crate::error::{Error, Result};
use crate::host;

/// The extension's entry point. SQLite calls it when the library is loaded; an application that links the library can
/// pass it to `sqlite3_auto_extension()`.
///
/// Returns `SQLITE_OK`, or an error code with a message in `*error_message` that is to be freed with
/// `sqlite3_free()`: the SQLite is older than 3.37.0, lacks a needed function, or is not the first SQLite in this process
/// that loads the library. A refusal changes nothing.
///
/// # Safety
///
/// `db` is an open connection, `error_message` is NULL or a place for a pointer, and `api` is the API table of the
/// SQLite that `db` belongs to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_queuekeeper_init(
    db: *mut ffi::sqlite3,
    error_message: *mut *mut c_char,
    api: *mut ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { enter(db, error_message, api, &ALL) }
}

/// The entry point for connections that run SQL of strangers: it defines `queue_depth`, `queue_stale`, `queue_stats` and
/// `queue_version`, and nothing else. `load_extension(path, 'sqlite3_queuekeeperreadonly_init')` names it.
///
/// Returns what `sqlite3_queuekeeper_init` returns.
///
/// # Safety
///
/// As for `sqlite3_queuekeeper_init`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_queuekeeperreadonly_init(
    db: *mut ffi::sqlite3,
    error_message: *mut *mut c_char,
    api: *mut ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { enter(db, error_message, api, &READONLY) }
}

struct Offer {
    tables: &'static [&'static Spec],
    functions: fn(*mut ext::sqlite3) -> sqlite_loadable::Result<()>,
}

static ALL: Offer = Offer { tables: TABLES, functions: operations::define };
static READONLY: Offer = Offer { tables: READONLY_TABLES, functions: operations::define_readonly };

/// sqlite-loadable keeps the API table in a static without a lock, which other threads' calls read. The table
/// is the same at each load, so it is set once.
static TOLD: Once = Once::new();

/// # Safety
///
/// As for the entry point.
unsafe fn enter(
    db: *mut ffi::sqlite3,
    error_message: *mut *mut c_char,
    api: *mut ffi::sqlite3_api_routines,
    offer: &Offer,
) -> c_int {
    // SAFETY: as the caller vouches.
    let outcome = guard::guarded("queuekeeper", || unsafe { initialize(db, error_message, api, offer) });
    match outcome {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) => {
            // SAFETY: as the caller vouches.
            unsafe { tell(&error, error_message, api) };
            guard::reported_code(&error)
        }
    }
}

/// # Safety
///
/// As for the entry point.
unsafe fn initialize(
    db: *mut ffi::sqlite3,
    error_message: *mut *mut c_char,
    api: *mut ffi::sqlite3_api_routines,
    offer: &Offer,
) -> Result<()> {
    // SAFETY: as the caller vouches. Comes first, as what follows keeps pointers into the API table.
    unsafe { host::bind(api) }?;
    // SAFETY: SQLite is bound, and the connection is open.
    let conn = unsafe { Connection::from_handle(db) }?;
    tables::define(&conn, offer.tables).map_err(|error| Error::from(error).context("cannot define the tables"))?;
    let (db, api) = (db.cast::<ext::sqlite3>(), api.cast::<ext::sqlite3_api_routines>());
    TOLD.call_once(|| {
        register_entrypoint(db, error_message, api, |_| Ok(()));
    });
    (offer.functions)(db).map_err(|_| {
        Error::usage("cannot define the functions; is one of their names in use by a running statement?")
    })
}

/// Sets the error message, allocated by the loading SQLite, which frees it and may not be the one we are
/// bound to.
///
/// # Safety
///
/// As for the entry point.
unsafe fn tell(error: &Error, error_message: *mut *mut c_char, api: *mut ffi::sqlite3_api_routines) {
    // SAFETY: as the caller vouches. Every version of the table has mprintf, and `%s` copies the text
    // verbatim.
    unsafe {
        let print = api.as_ref().and_then(|api| api.mprintf);
        let text = CString::new(guard::reported_message(error));
        if let (false, Some(print), Ok(text)) = (error_message.is_null(), print, text) {
            *error_message = print(c"%s".as_ptr(), text.as_ptr());
        }
    }
}
