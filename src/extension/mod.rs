//! The first door: a loadable SQLite extension.
//!
//! # Promise
//!
//! `sqlite3_queuekeeper_init` is the name that SQLite derives from the file name `libqueuekeeper`, so that
//! `.load ./libqueuekeeper` needs no entry point. It binds the process to the SQLite that loads it (see
//! [`host`](crate::host)), defines the functions and tables on the connection, and asks to stay loaded for the life of
//! the process: with a registered VFS, unloading would leave SQLite with pointers into nothing.
//!
//! This door only converts: arguments into what the core takes, results and errors into what SQLite takes.

#![allow(unsafe_code)]

mod functions;
mod tables;

use std::ffi::{CString, c_char, c_int};

use rusqlite::{Connection, ffi};
use sqlite_loadable::entrypoints::register_entrypoint;
use sqlite_loadable::ext;

use crate::calls::guard;
use crate::error::{Error, Result};
use crate::host;

/// The extension's entry point. SQLite calls it when the library is loaded; an application that links the library can
/// pass it to `sqlite3_auto_extension()`.
///
/// Returns `SQLITE_OK_LOAD_PERMANENTLY`, or an error code with a message in `*error_message` that is to be freed with
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
    let outcome = guard::guarded("queuekeeper", || unsafe { initialize(db, error_message, api) });
    match outcome {
        Ok(()) => ffi::SQLITE_OK_LOAD_PERMANENTLY,
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
) -> Result<()> {
    // SAFETY: as the caller vouches. This comes first: what follows keeps pointers of the table it is given.
    unsafe { host::bind(api) }?;
    // SAFETY: SQLite is bound, and the connection is open.
    let conn = unsafe { Connection::from_handle(db) }?;
    tables::define(&conn).map_err(|error| Error::from(error).context("cannot define the tables"))?;
    let code = register_entrypoint(
        db.cast::<ext::sqlite3>(),
        error_message,
        api.cast::<ext::sqlite3_api_routines>(),
        functions::define,
    );
    match code {
        0 => Ok(()),
        _ => Err(Error::usage("cannot define the functions; is one of their names in use by a running statement?")),
    }
}

/// Hands out a message in memory of the SQLite that is to free it, which may not be the one we are bound to.
///
/// # Safety
///
/// As for the entry point.
unsafe fn tell(error: &Error, error_message: *mut *mut c_char, api: *mut ffi::sqlite3_api_routines) {
    // SAFETY: as the caller vouches; mprintf has been in the table from its beginning, and `%s` takes the text as it is.
    unsafe {
        let print = api.as_ref().and_then(|api| api.mprintf);
        let text = CString::new(guard::reported_message(error));
        if let (false, Some(print), Ok(text)) = (error_message.is_null(), print, text) {
            *error_message = print(c"%s".as_ptr(), text.as_ptr());
        }
    }
}
