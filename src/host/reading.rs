//! Whether the disk, and not the content, is at fault.
//!
//! # Promise
//!
//! On Unix, SQLite takes a read that fails with `EIO` for a damaged file system, and answers `SQLITE_CORRUPT`, as it does for a
//! damaged database (<https://www.sqlite.org/rescode.html#ioerr_corruptfs>). The one may be over in a moment, the other is not, and
//! what is done about a damaged database must not be done about one that could not be read. [`disk_error`] tells them apart.
//!
//! # How
//!
//! The file that SQLite has open remembers the last error of the system (`SQLITE_FCNTL_LAST_ERRNO`), the WAL's file its own. It is
//! never forgotten, so this is to be asked of connections that are opened for one work, and after that has failed.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

use rusqlite::{Connection, ffi};

use super::MAIN;
use crate::error::Error;

/// The error of a connection of ours, with the code of an I/O error if the disk is why content seems damaged.
pub fn told(conn: &Connection, error: Error) -> Error {
    match (error.primary_code(), disk_error(conn)) {
        (ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB, Some(cause)) => {
            Error::new(ffi::SQLITE_IOERR_READ, format!("the file cannot be read: {cause}"))
        }
        _ => error,
    }
}

/// What the disk said to SQLite when it read the main database of this connection or its WAL, if that is what it calls damage.
pub fn disk_error(conn: &Connection) -> Option<io::Error> {
    let codes = [main_errno(conn), journal_errno(conn)];
    codes.into_iter().map(io::Error::from_raw_os_error).find(is_of_the_disk)
}

#[cfg(unix)]
fn is_of_the_disk(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::IO, Errno::NXIO, Errno::RANGE].iter().any(|errno| code == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn is_of_the_disk(_error: &io::Error) -> bool {
    // Elsewhere SQLite answers SQLITE_IOERR.
    false
}

fn main_errno(conn: &Connection) -> c_int {
    let mut code: c_int = 0;
    // SAFETY: the handle is open; this opcode writes one int to the place given.
    unsafe {
        let place = (&raw mut code).cast::<c_void>();
        ffi::sqlite3_file_control(conn.handle(), MAIN.as_ptr(), ffi::SQLITE_FCNTL_LAST_ERRNO, place);
    }
    code
}

fn journal_errno(conn: &Connection) -> c_int {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    let mut code: c_int = 0;
    // SAFETY: the handle is open; this opcode writes one pointer, to a file that lives as long as the connection. A file that is
    // not open has no methods.
    unsafe {
        let place = (&raw mut file).cast::<c_void>();
        ffi::sqlite3_file_control(conn.handle(), MAIN.as_ptr(), ffi::SQLITE_FCNTL_JOURNAL_POINTER, place);
        let methods = file.as_ref().and_then(|file| file.pMethods.as_ref());
        if let Some(control) = methods.and_then(|methods| methods.xFileControl) {
            control(file, ffi::SQLITE_FCNTL_LAST_ERRNO, (&raw mut code).cast::<c_void>());
        }
    }
    code
}
