//! Handles, the binding, messages and memory.

use std::ffi::{CStr, c_char, c_int};
use std::path::{self, Path};
use std::ptr;

use rusqlite::{Connection, ffi};

use super::pointers::{self, QkQueue};
use super::registry::{self, Database, misuse};
use super::{boundary, forks, messages, texts};
use crate::calls::arguments::Arguments;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::host::{self, discovery, one_sqlite};

/// The version of the library, such as "0.1.0". A static string, never NULL, not to be freed. May be called at any time
/// and from any thread, before the library is bound to a SQLite, too.
#[unsafe(no_mangle)]
pub extern "C" fn qk_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

/// Says which SQLite to run on: the one that `api` is the API table of, the third argument of every extension's entry point.
/// Only needed where the library would not find it by itself (see "Which SQLite" above), and then before any other call.
///
/// It also vouches that no other SQLite in this process uses the files that will be opened; the library then stops
/// looking for signs of that.
///
/// Returns `SQLITE_OK`, also when the library runs on that SQLite already. `SQLITE_MISUSE`: `api` is NULL. `SQLITE_ERROR`: it
/// runs on another one, which cannot be changed any more; or this one is older than 3.37.0, or lacks a needed function.
///
/// # Safety
///
/// `api` is NULL or the API table of a SQLite that stays in the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_bind(api: *mut ffi::sqlite3_api_routines) -> c_int {
    boundary::enter("qk_bind", || {
        if api.is_null() {
            return Err(misuse("the API table is NULL"));
        }
        // SAFETY: as the caller vouches.
        unsafe { host::bind_as_told(api) }
    })
}

/// Opens a handle on the database at `path`, and writes it to `*queue`. The database must exist: none is made. `":memory:"`
/// opens an empty database in memory, from where backups can be verified, and restored to paths. URIs are not understood.
///
/// Each call opens a connection of its own and closes it again: between calls a handle holds no lock and no file. The
/// connection waits up to 5 seconds for locks that others hold, makes no checkpoint, and leaves the `-wal` and `-shm` files
/// in place. A file that was put in the place of another is what the next call works on.
///
/// Returns `SQLITE_OK`; `SQLITE_MISUSE`: `path` or `queue` is NULL; `SQLITE_CANTOPEN`: there is no such file, or it cannot be
/// opened; `SQLITE_ERROR`: no SQLite to run on was found, or another SQLite in this process may have the file open. After an
/// error `qk_errmsg(NULL)` has the message, and there is nothing to close. `SQLITE_MISUSE`, too, in a child that was forked while
/// a call was using that file, and in an auto-extension of the program's that runs because the first call looks for its SQLite.
///
/// # Safety
///
/// `path` is NULL or a C string, `queue` NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_open(path: *const c_char, queue: *mut *mut QkQueue) -> c_int {
    boundary::enter("qk_open", || {
        if path.is_null() || queue.is_null() {
            return Err(misuse("the path and the place for the handle must not be NULL"));
        }
        forks::watch();
        // SAFETY: as the caller vouches.
        let arguments = Arguments::new(vec![unsafe { pointers::text(path) }]);
        let number = open(arguments.text(0, "path")?.unwrap_or_default())?;
        // SAFETY: as the caller vouches.
        unsafe { pointers::give_handle(number, queue) };
        Ok(())
    })
}

fn open(path: &str) -> Result<usize> {
    if path.is_empty() {
        return Err(Error::usage("the path is empty; pass the path of a database, or :memory:"));
    }
    if path == ":memory:" {
        discovery::ensure(None)?;
        return registry::add(Database::Connection(Caller::open(Path::new(path))?));
    }
    // An absolute path is never a URI, whatever the host's SQLite has as its default.
    let path = path::absolute(path).map_err(|error| Error::io("find", Path::new(path), &error))?;
    discovery::ensure(Some(&path))?;
    let call = one_sqlite::call(&path)?;
    drop(Caller::open(&path)?);
    drop(call);
    registry::add(Database::File(path))
}

/// Opens a handle on a connection that the program has, and writes it to `*queue`. `qk_close` does not close that
/// connection; close the handle first, the connection after it.
///
/// A call on the handle then works as a SQL function does on that connection: it sees its transaction, takes part in it,
/// and is ended by `sqlite3_interrupt(db)`. While a call runs, no other thread may use the connection, unless SQLite is
/// in serialized mode (its default); there, other threads' statements wait until the call is done, and the call until theirs are.
///
/// Returns `SQLITE_OK`; `SQLITE_MISUSE`: `db` or `queue` is NULL, or the library does not know the connection's SQLite yet:
/// load it into the connection as an extension first, or call `qk_bind`.
///
/// # Safety
///
/// `db` is NULL or an open connection of the SQLite that the library runs on, which cannot be checked; `queue` is NULL
/// or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qk_wrap(db: *mut ffi::sqlite3, queue: *mut *mut QkQueue) -> c_int {
    boundary::enter("qk_wrap", || {
        if db.is_null() || queue.is_null() {
            return Err(misuse("the connection and the place for the handle must not be NULL"));
        }
        forks::watch();
        if !host::adopt()? {
            return Err(misuse(
                "the connection's SQLite is not known yet; load queuekeeper into the connection as an extension, or call \
                 qk_bind() with the API table of its SQLite",
            ));
        }
        // SAFETY: as the caller vouches.
        let conn = unsafe { Connection::from_handle(db) }?;
        let number = registry::add(Database::Connection(Caller::new(conn)))?;
        // SAFETY: as the caller vouches.
        unsafe { pointers::give_handle(number, queue) };
        Ok(())
    })
}

/// Closes a handle. Waits for a call that is running on it in another thread; `qk_interrupt` makes that shorter. Nobody can
/// use the handle from then on.
///
/// Returns `SQLITE_OK`, also for NULL. `SQLITE_MISUSE`: the handle is closed already or was none, or the call comes from a
/// progress callback of this handle. `SQLITE_BUSY`: it comes from a callback of another, while a third call uses this one.
///
/// In a child that was forked since the handle was opened, it only forgets the handle.
#[unsafe(no_mangle)]
pub extern "C" fn qk_close(queue: *mut QkQueue) -> c_int {
    if queue.is_null() {
        return ffi::SQLITE_OK;
    }
    boundary::enter("qk_close", || registry::close(queue.addr()))
}

/// Asks the call that is running on this handle in another thread to end soon, with `SQLITE_INTERRUPT`. It undoes what it has
/// begun. When none is running, nothing happens; the next one is not affected.
///
/// Returns `SQLITE_OK`, or `SQLITE_MISUSE` for what is no open handle. May be called from any thread, and from a progress
/// callback, but not from a signal handler.
#[unsafe(no_mangle)]
pub extern "C" fn qk_interrupt(queue: *mut QkQueue) -> c_int {
    boundary::enter("qk_interrupt", || {
        registry::find(queue.addr())?.interrupt();
        Ok(())
    })
}

/// What the call that is running on this handle is doing: `"copying"`, `"compressing"`, `"syncing"`, `"reading"`, `"rebuilding"`,
/// `"comparing"`, `"checking"`, `"saving"` (the present database, before a restore), `"writing"`, `"compacting"`, `"analyzing"`;
/// further ones may come. NULL when no call is running, before its first phase, and for what is no open handle.
///
/// A static string, not to be freed. May be called from any thread, and from a progress callback: it is called as each phase
/// begins, and its numbers are of that phase.
#[unsafe(no_mangle)]
pub extern "C" fn qk_phase(queue: *mut QkQueue) -> *const c_char {
    let phase = registry::find(queue.addr()).ok().and_then(|handle| handle.phase());
    phase.map_or(ptr::null(), |phase| phase.word().as_ptr())
}

/// The message of the last call on this handle that failed: what failed, on which path, and what to do. For NULL, and for
/// what is no open handle, that of the last call of this thread that failed: so it tells why a handle could not be opened.
/// Empty if none has failed.
///
/// Never NULL, not to be freed, UTF-8. It stays as it is until this thread calls `qk_errmsg` again or ends, whatever other
/// threads do.
#[unsafe(no_mangle)]
pub extern "C" fn qk_errmsg(queue: *mut QkQueue) -> *const c_char {
    let of_handle = (!queue.is_null()).then(|| registry::find(queue.addr()).ok()).flatten();
    messages::show(of_handle.map_or_else(messages::last, |handle| handle.message()))
}

/// Frees a text that a function of this library wrote to an out-parameter. NULL does nothing, and so does anything else that is no
/// such text or was freed already; `qk_errmsg(NULL)` then says so.
#[unsafe(no_mangle)]
pub extern "C" fn qk_free(text: *mut c_char) {
    if !text.is_null()
        && let Err(error) = texts::take_back(text.addr())
    {
        // Not through the guard, which would refuse to free anything when memory is low.
        messages::keep(boundary::words(&error.context("qk_free")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_crates() {
        // SAFETY: the function returns a static C string.
        assert_eq!(unsafe { CStr::from_ptr(qk_version()) }.to_str(), Ok(crate::VERSION));
    }
}
