//! A file of the reader VFS: the file of the VFS below, and an eye on what is read from it.
//!
//! # Promise
//!
//! What SQLite reads as page 1 is remembered ([`page_one`]). And while [`read_ahead`] is on, pages of the database file come out
//! of an [`Ahead`], so that a walk takes one system call for many pages. SQLite borrows them from there (`xFetch`) instead of
//! copying them; nothing is ever mapped, so an I/O error stays an error.
//!
//! # How
//!
//! The file object of the VFS below lies behind ours in the memory that SQLite provides.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ffi};

use super::super::ahead::Ahead;
use super::below::*;
use super::guarded;
use crate::host::MAIN;

const MAGIC: &[u8] = b"SQLite format 3\0";

/// What we know of an open file.
#[derive(Default)]
struct Eye {
    ahead: Ahead,
    is_database: bool,
    page_one: Vec<u8>,
    /// When page 1 was read, in no unit.
    read_at: u64,
}

/// An open file as SQLite sees it: its base class first; behind it, the file object of the VFS below.
#[repr(C)]
pub struct ReaderFile {
    base: ffi::sqlite3_file,
    /// A `Box`, given back in `x_close`.
    eye: *mut Eye,
}

/// # Safety
///
/// `file` is a `ReaderFile` that `x_open` has filled. SQLite uses a file from one thread at a time, and no callback calls another.
unsafe fn eye<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Eye {
    // SAFETY: between x_open and x_close the pointer is a live `Box`'s.
    unsafe { &mut *(*file.cast::<ReaderFile>()).eye }
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once, after x_open has filled it; the box was made there.
    unsafe {
        drop(Box::from_raw((*file.cast::<ReaderFile>()).eye));
        close_below(file)
    }
}

unsafe extern "C" fn x_write(
    file: *mut ffi::sqlite3_file,
    source: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite passes an open file; the rest is for the file below.
    unsafe {
        eye(file).ahead.forget();
        write_below(file, source, amount, offset)
    }
}

unsafe extern "C" fn x_truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: as above.
    unsafe {
        eye(file).ahead.forget();
        truncate_below(file, size)
    }
}

/// The pages at `offset` out of the piece that was read ahead, if they may come from there.
///
/// # Safety
///
/// `file` is open.
unsafe fn ahead<'a>(file: *mut ffi::sqlite3_file, amount: c_int, offset: i64) -> Option<&'a mut [u8]> {
    // SAFETY: the caller vouches for the file.
    let eye = unsafe { eye(file) };
    let (amount, offset) = (usize::try_from(amount).ok()?, u64::try_from(offset).ok()?);
    // Page 1 and its parts are read to learn whether others have written.
    if offset == 0 || amount < 512 || !offset.is_multiple_of(amount as u64) {
        return None;
    }
    eye.ahead.bytes(offset, amount, |piece, offset| {
        let mut size = 0;
        let offset = i64::try_from(offset).ok()?;
        let wanted = c_int::try_from(piece.len()).ok()?;
        // SAFETY: the file is open; `piece` has room for what is asked.
        let rc = unsafe {
            if x_file_size(file, &raw mut size) != ffi::SQLITE_OK {
                return None;
            }
            read_below(file, piece.as_mut_ptr().cast(), wanted, offset)
        };
        let available = usize::try_from(size.saturating_sub(offset)).unwrap_or(0);
        matches!(rc, ffi::SQLITE_OK | ffi::SQLITE_IOERR_SHORT_READ).then(|| available.min(piece.len()))
    })
}

unsafe extern "C" fn x_read(file: *mut ffi::sqlite3_file, target: *mut c_void, amount: c_int, offset: i64) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes an open file and a buffer of `amount` bytes.
        unsafe {
            if let Some(bytes) = ahead(file, amount, offset) {
                ptr::copy_nonoverlapping(bytes.as_ptr(), target.cast::<u8>(), bytes.len());
                return ffi::SQLITE_OK;
            }
            let rc = read_below(file, target, amount, offset);
            let length = usize::try_from(amount).unwrap_or_default();
            if rc == ffi::SQLITE_OK && length >= 512 && length.is_power_of_two() {
                look(eye(file), std::slice::from_raw_parts(target.cast::<u8>(), length), offset);
            }
            rc
        }
    })
}

/// Remembers page 1 as it comes by: from the database file, or from wherever it stands in the WAL.
fn look(eye: &mut Eye, page: &[u8], offset: i64) {
    static CLOCK: AtomicU64 = AtomicU64::new(1);
    if page.starts_with(MAGIC) && (offset == 0 || !eye.is_database) {
        eye.page_one.clear();
        eye.page_one.extend_from_slice(page);
        eye.read_at = CLOCK.fetch_add(1, Ordering::Relaxed);
    }
}

unsafe extern "C" fn x_file_control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    // The file below never hears that it should be mapped.
    if op == ffi::SQLITE_FCNTL_MMAP_SIZE {
        return ffi::SQLITE_OK;
    }
    // SAFETY: the file is open; the argument is for the file below.
    unsafe { control_below(file, op, argument) }
}

unsafe extern "C" fn x_fetch(
    file: *mut ffi::sqlite3_file,
    offset: i64,
    amount: c_int,
    out: *mut *mut c_void,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes an open file and a place for the answer. NULL sends it to xRead. What is lent stays in place
        // until it is given back.
        unsafe {
            *out = ptr::null_mut();
            if let Some(bytes) = ahead(file, amount, offset) {
                *out = bytes.as_mut_ptr().cast();
                eye(file).ahead.lend();
            }
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_unfetch(file: *mut ffi::sqlite3_file, _offset: i64, page: *mut c_void) -> c_int {
    // SAFETY: SQLite passes an open file.
    let ahead = unsafe { &mut eye(file).ahead };
    if page.is_null() {
        ahead.forget();
    } else {
        ahead.take_back();
    }
    ffi::SQLITE_OK
}

const PLAIN: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(x_close),
    xRead: Some(x_read),
    xWrite: Some(x_write),
    xTruncate: Some(x_truncate),
    xSync: Some(x_sync),
    xFileSize: Some(x_file_size),
    xLock: Some(x_lock),
    xUnlock: Some(x_unlock),
    xCheckReservedLock: Some(x_check_reserved_lock),
    xFileControl: Some(x_file_control),
    xSectorSize: Some(x_sector_size),
    xDeviceCharacteristics: Some(x_device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: Some(x_fetch),
    xUnfetch: Some(x_unfetch),
};

/// For files that cannot be in WAL mode.
static WITHOUT_SHM: ffi::sqlite3_io_methods = PLAIN;
static WITH_SHM: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    xShmMap: Some(x_shm_map),
    xShmLock: Some(x_shm_lock),
    xShmBarrier: Some(x_shm_barrier),
    xShmUnmap: Some(x_shm_unmap),
    ..PLAIN
};

/// An address that no other copy of this library has.
pub fn address() -> usize {
    &raw const WITH_SHM as usize
}

impl ReaderFile {
    /// Fills `file` with what `open` makes of the file below; the answer of `open`.
    ///
    /// # Safety
    ///
    /// `file` has room for a `ReaderFile` and a file of the VFS below, and `open` is that VFS's `xOpen`.
    pub unsafe fn open(
        file: *mut ffi::sqlite3_file,
        is_database: bool,
        open: impl FnOnce(*mut ffi::sqlite3_file) -> c_int,
    ) -> c_int {
        // SAFETY: the caller vouches for the room.
        unsafe {
            let below = below(file);
            (*file).pMethods = ptr::null();
            (*below).pMethods = ptr::null();
            let rc = open(below);
            // SQLite closes what has methods, also after a failure.
            let Some(methods) = (*below).pMethods.as_ref() else { return rc };
            (*file.cast::<Self>()).eye = Box::into_raw(Box::new(Eye { is_database, ..Eye::default() }));
            let shm = methods.iVersion >= 2 && methods.xShmMap.is_some();
            (*file).pMethods = if shm { &raw const WITH_SHM } else { &raw const WITHOUT_SHM };
            rc
        }
    }
}

/// Looks at a file of the connection's main database, if it is one of ours.
fn with_file<T>(conn: &Connection, op: c_int, look: impl FnOnce(&mut Eye) -> T) -> Option<T> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: these opcodes write one pointer to the place given. A file with our methods is a `ReaderFile`, and lives as long
    // as the connection; nobody calls SQLite on it while it is looked at.
    unsafe {
        let rc = ffi::sqlite3_file_control(conn.handle(), MAIN.as_ptr(), op, (&raw mut file).cast());
        if rc != ffi::SQLITE_OK || file.is_null() {
            return None;
        }
        let methods = (*file).pMethods;
        let ours = ptr::eq(methods, &raw const WITH_SHM) || ptr::eq(methods, &raw const WITHOUT_SHM);
        ours.then(|| look(eye(file)))
    }
}

/// Switches reading ahead on or off; false when the connection does not use a reader VFS.
pub fn read_ahead(conn: &Connection, on: bool) -> bool {
    with_file(conn, ffi::SQLITE_FCNTL_FILE_POINTER, |eye| eye.ahead.switch(on)).is_some()
}

/// Page 1 as the connection has last read it.
pub fn page_one(conn: &Connection) -> Option<Vec<u8>> {
    let files = [ffi::SQLITE_FCNTL_FILE_POINTER, ffi::SQLITE_FCNTL_JOURNAL_POINTER];
    let seen = files.map(|file| with_file(conn, file, |eye| (eye.read_at, eye.page_one.clone())));
    let (_, page) = seen.into_iter().flatten().max_by_key(|(read_at, _)| *read_at)?;
    (!page.is_empty()).then_some(page)
}
