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
//! The file that SQLite has open remembers the last error of the system (`SQLITE_FCNTL_LAST_ERRNO`), the WAL's file its own. Only a read
//! past the file's end makes it [`forget`], so that is done before work on a connection that was used before; then, or with a connection
//! that is opened for one work, this is asked after it has failed. What was said of a rollback journal, or of VACUUM's copy, goes with that file.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

use rusqlite::{Connection, ffi};

use super::MAIN;
use crate::error::Error;

/// How SQLite calls damage (`sqlite3ErrStr`, `corruptSchema`).
const WORDS_OF_DAMAGE: [&str; 3] =
    ["database disk image is malformed", "malformed database schema", "file is not a database"];

/// The length of a database's header.
const HEADER: usize = 100;

/// The error of a connection of ours, with the code of an I/O error if the disk is why content seems damaged.
pub fn told(conn: &Connection, error: Error) -> Error {
    told_of(disk_error(conn), error)
}

/// The same, where it is known what the disk said.
pub fn told_of(cause: Option<io::Error>, error: Error) -> Error {
    let Some(cause) = cause.filter(|_| error.is_damage()) else { return error };
    let told = unreadable(&cause);
    let message = error.message();
    match WORDS_OF_DAMAGE.iter().find_map(|words| message.find(words)) {
        // What follows is advice for damage.
        Some(place) => Error::new(told.code(), format!("{}{told}", &message[..place])),
        None => told,
    }
}

/// The error of a file that the disk does not give.
pub fn unreadable(cause: &io::Error) -> Error {
    Error::new(ffi::SQLITE_IOERR_READ, format!("the file cannot be read: {cause}"))
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

/// Makes the files of this connection forget what the disk said before.
pub fn forget(conn: &Connection) {
    if cfg!(unix) {
        read_past_end(conn, ffi::SQLITE_FCNTL_FILE_POINTER);
        read_past_end(conn, ffi::SQLITE_FCNTL_JOURNAL_POINTER);
    }
}

/// The first bytes of the main database's file, as they lie there, though SQLite takes them for no database; empty if that cannot be had.
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
    // SAFETY: the handle is open; this opcode writes one int to the place given.
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
            // SAFETY: the file is open; this opcode writes one int to the place given.
            unsafe { control(file, ffi::SQLITE_FCNTL_LAST_ERRNO, (&raw mut code).cast::<c_void>()) };
        }
    });
    code
}

fn read_past_end(conn: &Connection, which: c_int) {
    on_file(conn, which, |file, methods| {
        let (Some(size), Some(read)) = (methods.xFileSize, methods.xRead) else { return };
        let (mut end, mut byte) = (0, 0_u8);
        // SAFETY: the file is open, and used by nobody else while the caller has the connection; the buffer has the one byte that is
        // asked for.
        unsafe {
            if size(file, &raw mut end) == ffi::SQLITE_OK {
                read(file, (&raw mut byte).cast::<c_void>(), 1, end);
            }
        }
    });
}

/// Calls `work` with the file that this opcode gives, and its methods, if that is open.
fn on_file(conn: &Connection, which: c_int, work: impl FnOnce(*mut ffi::sqlite3_file, &ffi::sqlite3_io_methods)) {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: the handle is open; these opcodes write one pointer, to a file that lives as long as the connection. A file that is
    // not open has no methods.
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
