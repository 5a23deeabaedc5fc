//! A file of the reader VFS: wraps the file of the VFS below, and notes the locks on it.
//!
//! # Promise
//!
//! All calls go to the file below. While a read transaction of a WAL database is open, [`held_snapshot`] returns the
//! snapshot's header of the WAL index, and [`read`] reads from the file that SQLite has open, without
//! affecting its locks. Nothing is memory-mapped, so an I/O error stays an error.
//!
//! # How
//!
//! SQLite begins to read by copying the header from the WAL index, taking a shared lock on a read mark, and
//! comparing the header in the index with its copy: if it differs, there was another commit, so SQLite
//! releases the lock and starts over (`walTryBeginRead` in the sources). The header changes with every commit
//! and never returns to an earlier value. So the header in the index right after the lock was taken is that
//! of the snapshot, if the lock is kept.
//!
//! The file object of the VFS below follows ours in the memory that SQLite provides.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;

use rusqlite::{Connection, ffi};

use super::below::*;
use super::layout::{Held, ReaderFile, WalState, below};
use crate::backup::snapshot::wal_frames::HEADER;
use crate::host::MAIN;

/// The first lock of a read mark: <https://www.sqlite.org/walformat.html>, section 2.3.
const FIRST_READ_LOCK: c_int = 3;

/// # Safety
///
/// `file` is a `ReaderFile` that `x_open` has initialized. SQLite uses a file from one thread at a time, and
/// no callback calls another.
unsafe fn wal<'a>(file: *mut ffi::sqlite3_file) -> &'a mut WalState {
    // SAFETY: the pointer is that of a live `Box` from x_open to x_close.
    unsafe { &mut *(*file.cast::<ReaderFile>()).wal }
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once, after x_open has initialized it and made the box.
    unsafe {
        drop(Box::from_raw((*file.cast::<ReaderFile>()).wal));
        close_below(file)
    }
}

unsafe extern "C" fn x_file_control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    // Keeps the file below from using mmap.
    if op == ffi::SQLITE_FCNTL_MMAP_SIZE {
        return ffi::SQLITE_OK;
    }
    // SAFETY: the file is open; the argument is for the file below.
    unsafe { control_below(file, op, argument) }
}

unsafe extern "C" fn x_shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the file is open; `out` points to a pointer, which the file below always sets.
    unsafe {
        let rc = shm_map_below(file, region, size, extend, out);
        if region == 0 {
            let wal = wal(file);
            // The pointer to an unusable region is NULL; SQLite then builds its own index.
            let fits = usize::try_from(size).is_ok_and(|size| size >= HEADER);
            let reliable = matches!(rc, ffi::SQLITE_OK | ffi::SQLITE_READONLY) && fits;
            (wal.index, wal.held) = (if reliable { (*out).cast() } else { ptr::null() }, None);
        }
        rc
    }
}

unsafe extern "C" fn x_shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: the file is open.
    unsafe {
        let wal = wal(file);
        (wal.index, wal.held) = (ptr::null(), None);
        shm_unmap_below(file, delete)
    }
}

unsafe extern "C" fn x_shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: the file is open. The index stays mapped until `x_shm_unmap`.
    unsafe {
        let rc = shm_lock_below(file, offset, count, flags);
        if offset >= FIRST_READ_LOCK && flags & ffi::SQLITE_SHM_SHARED != 0 {
            let wal = wal(file);
            let locked = flags & ffi::SQLITE_SHM_LOCK != 0 && rc == ffi::SQLITE_OK && !wal.index.is_null();
            wal.held = locked.then(|| Held { without_wal: offset == FIRST_READ_LOCK, header: header(wal.index) });
        }
        rc
    }
}

/// The header in the index. If it is being written, SQLite notices the difference and starts over.
///
/// # Safety
///
/// `index` is the beginning of a mapped region of the WAL index.
unsafe fn header(index: *const u8) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    for (place, byte) in header.iter_mut().enumerate() {
        // SAFETY: the region is longer than the header; other processes may write it, so each byte is read
        // once, volatile.
        *byte = unsafe { index.add(place).read_volatile() };
    }
    header
}

const PLAIN: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
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
    xFetch: None,
    xUnfetch: None,
};

/// For files that cannot be in WAL mode.
static WITHOUT_SHM: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods { iVersion: 1, ..PLAIN };
static WITH_SHM: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    xShmMap: Some(x_shm_map),
    xShmLock: Some(x_shm_lock),
    xShmBarrier: Some(x_shm_barrier),
    xShmUnmap: Some(x_shm_unmap),
    ..PLAIN
};

/// An address that identifies this copy of the library.
pub fn address() -> usize {
    &raw const WITH_SHM as usize
}

impl ReaderFile {
    /// Initializes `file` and opens the file below with `open`; returns its result.
    ///
    /// # Safety
    ///
    /// `file` has room for a `ReaderFile` and a file of the VFS below, and `open` is that VFS's `xOpen`.
    pub unsafe fn open(file: *mut ffi::sqlite3_file, open: impl FnOnce(*mut ffi::sqlite3_file) -> c_int) -> c_int {
        // SAFETY: the caller vouches for the size.
        unsafe {
            let below = below(file);
            (*file).pMethods = ptr::null();
            (*below).pMethods = ptr::null();
            let rc = open(below);
            // SQLite closes a file that has methods, even after a failure.
            let Some(methods) = (*below).pMethods.as_ref() else { return rc };
            (*file.cast::<Self>()).wal = Box::into_raw(Box::new(WalState { index: ptr::null(), held: None }));
            let shm = methods.iVersion >= 2 && methods.xShmMap.is_some();
            (*file).pMethods = if shm { &raw const WITH_SHM } else { &raw const WITHOUT_SHM };
            rc
        }
    }
}

/// One of a connection's files.
#[derive(Clone, Copy)]
pub enum Which {
    Database,
    Wal,
}

/// Calls `look` with a file of the connection's main database, if it is one of ours.
fn with_file<T>(conn: &Connection, which: Which, look: impl FnOnce(*mut ffi::sqlite3_file) -> T) -> Option<T> {
    let op = match which {
        Which::Database => ffi::SQLITE_FCNTL_FILE_POINTER,
        Which::Wal => ffi::SQLITE_FCNTL_JOURNAL_POINTER,
    };
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: these opcodes write one pointer to the given address. A file with our methods is a
    // `ReaderFile`, and lives as long as the connection; no one calls SQLite on it during `look`.
    unsafe {
        let rc = ffi::sqlite3_file_control(conn.handle(), MAIN.as_ptr(), op, (&raw mut file).cast());
        if rc != ffi::SQLITE_OK || file.is_null() {
            return None;
        }
        let methods = (*file).pMethods;
        let ours = ptr::eq(methods, &raw const WITH_SHM) || ptr::eq(methods, &raw const WITHOUT_SHM);
        ours.then(|| look(file))
    }
}

pub fn uses_reader_vfs(conn: &Connection) -> bool {
    with_file(conn, Which::Database, |_| ()).is_some()
}

/// What the connection's read transaction holds in WAL mode, if known.
pub fn held_snapshot(conn: &Connection) -> Option<Held> {
    // SAFETY: the file is open.
    with_file(conn, Which::Database, |file| unsafe { wal(file).held })?
}

/// Whether both connections hold the same snapshot of a WAL database.
pub fn same_snapshot(one: &Connection, other: &Connection) -> bool {
    match (held_snapshot(one), held_snapshot(other)) {
        (Some(one), Some(other)) => one.header == other.header,
        _ => false,
    }
}

/// Fills `buffer` from `offset` in the file, with zeros after its end, as SQLite does. Returns the VFS's
/// code; `SQLITE_MISUSE` if the connection does not use a reader VFS.
pub fn read(conn: &Connection, which: Which, buffer: &mut [u8], offset: u64) -> c_int {
    let place = (c_int::try_from(buffer.len()), i64::try_from(offset));
    let (Ok(amount), Ok(offset)) = place else { return ffi::SQLITE_TOOBIG };
    // SAFETY: the file is open; the buffer is large enough.
    let rc = with_file(conn, which, |file| unsafe { x_read(file, buffer.as_mut_ptr().cast(), amount, offset) });
    match rc {
        Some(ffi::SQLITE_IOERR_SHORT_READ) => ffi::SQLITE_OK,
        rc => rc.unwrap_or(ffi::SQLITE_MISUSE),
    }
}
