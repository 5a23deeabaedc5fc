//! Distinguishes disk errors from damaged content.
//!
//! # Promise
//!
//! On Unix, SQLite takes a read that fails with `EIO` for a damaged file system and returns `SQLITE_CORRUPT`,
//! as for a damaged database (<https://www.sqlite.org/rescode.html#ioerr_corruptfs>). A disk error may be
//! over in a moment, and must not be treated like damage. [`disk_error`] tells them apart.
//!
//! # How
//!
//! SQLite's open file remembers the system's last error (`SQLITE_FCNTL_LAST_ERRNO`), separately for the WAL.
//! Only a read past the end of the file resets it ([`forget`]), so that is done before work on a connection
//! that was used before. A connection opened for one operation needs no reset. The error is queried after the
//! work has failed. Errors of a rollback journal or of VACUUM's copy are lost with that file.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

use rusqlite::{Connection, ffi};

use super::MAIN;
use crate::error::Error;

/// SQLite's messages for damage (`sqlite3ErrStr`, `corruptSchema`).
const WORDS_OF_DAMAGE: [&str; 3] =
    ["database disk image is malformed", "malformed database schema", "file is not a database"];

/// The length of a database's header.
const HEADER: usize = 100;

/// Turns apparent damage into an I/O error, if a disk error is the reason. For connections of ours.
pub fn told(conn: &Connection, error: Error) -> Error {
    told_of(disk_error(conn), error)
}

/// The same with a known disk error.
pub fn told_of(cause: Option<io::Error>, error: Error) -> Error {
    let Some(cause) = cause.filter(|_| error.is_damage()) else { return error };
    let told = unreadable(&cause);
    let message = error.message();
    match WORDS_OF_DAMAGE.iter().find_map(|words| message.find(words)) {
        // The rest of the message is advice for damage.
        Some(place) => Error::new(told.code(), format!("{}{told}", &message[..place])),
        None => told,
    }
}

/// The error of a file that the disk cannot read.
pub fn unreadable(cause: &io::Error) -> Error {
    Error::new(ffi::SQLITE_IOERR_READ, format!("the file cannot be read: {cause}"))
}

/// The disk error that this connection met on its main database or WAL, and took for damage.
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
    // Other systems' SQLite returns SQLITE_IOERR.
    false
}

/// Resets the last error of this connection's files.
pub fn forget(conn: &Connection) {
    if cfg!(unix) {
        read_past_end(conn, ffi::SQLITE_FCNTL_FILE_POINTER);
        read_past_end(conn, ffi::SQLITE_FCNTL_JOURNAL_POINTER);
    }
}

/// The first bytes of the main database's file, even if it is not a database; empty on failure.
pub fn beginning(conn: &Connection) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    let mut code = ffi::SQLITE_IOERR;
    on_file(conn, ffi::SQLITE_FCNTL_FILE_POINTER, |file, methods| {
        if let Some(read) = methods.xRead {
            // SAFETY: the file is open, and the buffer has that many bytes.
            code = unsafe { read(file, bytes.as_mut_ptr().cast::<c_void>(), HEADER as c_int, 0) };
        }
    });
    if code == ffi::SQLITE_OK { bytes } else { Vec::new() }
}

fn main_errno(conn: &Connection) -> c_int {
    let mut code: c_int = 0;
    // SAFETY: the handle is open; this opcode writes one int.
    unsafe {
        let place = (&raw mut code).cast::<c_void>();
        ffi::sqlite3_file_control(conn.handle(), MAIN.as_ptr(), ffi::SQLITE_FCNTL_LAST_ERRNO, place);
    }
    code
}

fn journal_errno(conn: &Connection) -> c_int {
    let mut code: c_int = 0;
    on_file(conn, ffi::SQLITE_FCNTL_JOURNAL_POINTER, |file, methods| {
        if let Some(control) = methods.xFileControl {
            // SAFETY: the file is open; this opcode writes one int.
            unsafe { control(file, ffi::SQLITE_FCNTL_LAST_ERRNO, (&raw mut code).cast::<c_void>()) };
        }
    });
    code
}

fn read_past_end(conn: &Connection, which: c_int) {
    on_file(conn, which, |file, methods| {
        let (Some(size), Some(read)) = (methods.xFileSize, methods.xRead) else { return };
        let (mut end, mut byte) = (0, 0_u8);
        // SAFETY: the file is open, and nobody else uses it while the caller has the connection; the buffer
        // has one byte.
        unsafe {
            if size(file, &raw mut end) == ffi::SQLITE_OK {
                read(file, (&raw mut byte).cast::<c_void>(), 1, end);
            }
        }
    });
}

/// Calls `work` with the file that this opcode returns, and its methods, if it is open.
fn on_file(conn: &Connection, which: c_int, work: impl FnOnce(*mut ffi::sqlite3_file, &ffi::sqlite3_io_methods)) {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: the handle is open; these opcodes write one pointer, to a file that lives as long as the
    // connection. A file that is not open has no methods.
    unsafe {
        let place = (&raw mut file).cast::<c_void>();
        ffi::sqlite3_file_control(conn.handle(), MAIN.as_ptr(), which, place);
        if let Some(methods) = file.as_ref().and_then(|file| file.pMethods.as_ref()) {
            work(file, methods);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_stays_and_advice_for_damage_goes() {
        let damage =
            || Error::corrupt("requeued 3 tasks, then stopped: database disk image is malformed; look for damage");
        let cause = || Some(io::Error::other("the cable is out"));
        let told = told_of(cause(), damage());
        assert_eq!(told.message(), "requeued 3 tasks, then stopped: the file cannot be read: the cable is out");
        assert_eq!(told.code(), ffi::SQLITE_IOERR_READ);
        assert_eq!(told_of(None, damage()), damage());
        assert_eq!(told_of(cause(), Error::busy("held")), Error::busy("held"));
        assert_eq!(told_of(cause(), Error::corrupt("odd")).message(), "the file cannot be read: the cable is out");
    }
}
