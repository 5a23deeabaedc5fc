//! The reader VFS: the caller's own VFS, with an eye on what a sidecar reads through it.
//!
//! # Promise
//!
//! Every call goes to the VFS of the caller, locks and shared memory included, with two exceptions for the database file and
//! its WAL. What SQLite reads as page 1 is remembered ([`page_one`]). And while [`read_ahead`] is on, pages of the database
//! file come out of an [`Ahead`], so that a walk takes one system call for many pages. SQLite borrows them from there
//! (`xFetch`) instead of copying them; nothing is ever mapped, so an I/O error stays an error.
//!
//! The VFS is registered once for each VFS below it, never as the default. No callback lets a panic out.
//!
//! # How
//!
//! The file object of the VFS below lies behind ours in the memory that SQLite provides. Files other than the two are opened
//! by the VFS below in our place: SQLite sees its methods and never comes here again.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, ffi};

use super::ahead::Ahead;
use crate::host::{self, MAIN};

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
struct ReaderFile {
    base: ffi::sqlite3_file,
    /// A `Box`, given back in `x_close`.
    eye: *mut Eye,
}

/// Runs a callback; a panic becomes an I/O error.
fn guarded(body: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(ffi::SQLITE_IOERR)
}

/// The file object of the VFS below.
///
/// # Safety
///
/// `file` has the size that our VFS asked for.
unsafe fn below(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the memory of a file is that of ours and of the file below, one behind the other.
    unsafe { file.cast::<ReaderFile>().add(1).cast() }
}

/// # Safety
///
/// `file` is a `ReaderFile` that `x_open` has filled. SQLite uses a file from one thread at a time, and no callback calls another.
unsafe fn eye<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Eye {
    // SAFETY: between x_open and x_close the pointer is a live `Box`'s.
    unsafe { &mut *(*file.cast::<ReaderFile>()).eye }
}

/// A method that only hands on.
macro_rules! hand_on {
    ($($name:ident = $slot:ident($($argument:ident: $kind:ty),*);)+) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($argument: $kind),*) -> c_int {
            // SAFETY: the file below is open as long as ours is, and gets the arguments that were meant for it.
            unsafe {
                let below = below(file);
                (*(*below).pMethods).$slot.map_or(ffi::SQLITE_IOERR, |method| method(below, $($argument),*))
            }
        }
    )+};
}

hand_on! {
    x_sync = xSync(flags: c_int);
    x_file_size = xFileSize(size: *mut i64);
    x_lock = xLock(level: c_int);
    x_unlock = xUnlock(level: c_int);
    x_check_reserved_lock = xCheckReservedLock(held: *mut c_int);
    x_sector_size = xSectorSize();
    x_device_characteristics = xDeviceCharacteristics();
    x_shm_map = xShmMap(region: c_int, size: c_int, extend: c_int, out: *mut *mut c_void);
    x_shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int);
    x_shm_unmap = xShmUnmap(delete: c_int);
    write_below = xWrite(source: *const c_void, amount: c_int, offset: i64);
    truncate_below = xTruncate(size: i64);
    read_below = xRead(target: *mut c_void, amount: c_int, offset: i64);
    close_below = xClose();
    control_below = xFileControl(op: c_int, argument: *mut c_void);
}

unsafe extern "C" fn x_shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: as in `hand_on`.
    unsafe {
        let below = below(file);
        if let Some(method) = (*(*below).pMethods).xShmBarrier {
            method(below);
        }
    }
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once, after x_open has filled it; the box was made there.
    unsafe {
        drop(Box::from_raw((*file.cast::<ReaderFile>()).eye));
        close_below(file)
    }
}

unsafe extern "C" fn x_write(file: *mut ffi::sqlite3_file, source: *const c_void, amount: c_int, offset: i64) -> c_int {
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
        let available = usize::try_from(size.checked_sub(offset)?).ok()?;
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

unsafe extern "C" fn x_fetch(file: *mut ffi::sqlite3_file, offset: i64, amount: c_int, out: *mut *mut c_void) -> c_int {
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

/// The VFS below.
///
/// # Safety
///
/// `vfs` is one of ours.
unsafe fn base(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: `over` has put it there.
    unsafe { (*vfs).pAppData.cast() }
}

unsafe extern "C" fn x_open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let watched = flags & (ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL) != 0;
    guarded(|| {
        // SAFETY: the memory behind `file` is large enough for both objects; the VFS below gets what was meant for it.
        unsafe {
            let base = base(vfs);
            let Some(open) = (*base).xOpen else { return ffi::SQLITE_CANTOPEN };
            if !watched {
                return open(base, name, file, flags, out_flags);
            }
            let below = below(file);
            (*file).pMethods = ptr::null();
            (*below).pMethods = ptr::null();
            let rc = open(base, name, below, flags, out_flags);
            let Some(methods) = (*below).pMethods.as_ref() else { return rc };
            // SQLite closes what has methods, also after a failure.
            let is_database = flags & ffi::SQLITE_OPEN_MAIN_DB != 0;
            (*file.cast::<ReaderFile>()).eye = Box::into_raw(Box::new(Eye { is_database, ..Eye::default() }));
            let shm = methods.iVersion >= 2 && methods.xShmMap.is_some();
            (*file).pMethods = if shm { &raw const WITH_SHM } else { &raw const WITHOUT_SHM };
            rc
        }
    })
}

/// A method of the VFS that only hands on; `$absent` where the VFS below has none.
macro_rules! hand_on_vfs {
    ($($name:ident = $slot:ident($($argument:ident: $kind:ty),*) -> $result:ty, $absent:expr;)+) => {$(
        unsafe extern "C" fn $name(vfs: *mut ffi::sqlite3_vfs, $($argument: $kind),*) -> $result {
            // SAFETY: the VFS below lives as long as connections on it do, and gets what was meant for it.
            unsafe {
                let base = base(vfs);
                (*base).$slot.map_or($absent, |method| method(base, $($argument),*))
            }
        }
    )+};
}

type Symbol = Option<unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char)>;

hand_on_vfs! {
    x_delete = xDelete(name: *const c_char, sync: c_int) -> c_int, ffi::SQLITE_IOERR_DELETE;
    x_access = xAccess(name: *const c_char, flags: c_int, out: *mut c_int) -> c_int, ffi::SQLITE_IOERR_ACCESS;
    x_full_pathname = xFullPathname(name: *const c_char, size: c_int, out: *mut c_char) -> c_int, ffi::SQLITE_CANTOPEN;
    x_dl_open = xDlOpen(name: *const c_char) -> *mut c_void, ptr::null_mut();
    x_dl_error = xDlError(size: c_int, out: *mut c_char) -> (), ();
    x_dl_sym = xDlSym(library: *mut c_void, name: *const c_char) -> Symbol, None;
    x_dl_close = xDlClose(library: *mut c_void) -> (), ();
    x_randomness = xRandomness(size: c_int, out: *mut c_char) -> c_int, 0;
    x_sleep = xSleep(microseconds: c_int) -> c_int, 0;
    x_current_time = xCurrentTime(out: *mut f64) -> c_int, ffi::SQLITE_ERROR;
    x_get_last_error = xGetLastError(size: c_int, out: *mut c_char) -> c_int, 0;
    x_current_time_int64 = xCurrentTimeInt64(out: *mut i64) -> c_int, ffi::SQLITE_ERROR;
}

/// A VFS of ours and the one below it.
struct Known {
    base: usize,
    file_size: c_int,
    name: &'static CStr,
}

/// The name of the reader VFS over the one that serves `conn`, registered at the first call for the life of the process, as the
/// library itself is. `None` when that VFS has no name or SQLite no memory: then there is nothing to be had but the VFS itself.
pub fn over(conn: &Connection) -> Option<&'static CStr> {
    static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    let base_name = host::vfs_name(conn)?;
    // SAFETY: the name is a C string; a VFS that serves an open connection is alive.
    let base = unsafe { ffi::sqlite3_vfs_find(base_name.as_ptr()).as_mut()? };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let address = ptr::from_ref(base) as usize;
    if let Some(found) = known.iter().find(|known| known.base == address && known.file_size == base.szOsFile) {
        return Some(found.name);
    }
    let name = format!("queuekeeper-reader-{:x}-{}", &raw const WITH_SHM as usize, known.len());
    let name: &'static CStr = Box::leak(CString::new(name).ok()?.into_boxed_c_str());
    let own = c_int::try_from(size_of::<ReaderFile>()).ok()?;
    let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
        iVersion: base.iVersion.min(2),
        szOsFile: own.checked_add(base.szOsFile)?,
        mxPathname: base.mxPathname,
        pNext: ptr::null_mut(),
        zName: name.as_ptr(),
        pAppData: ptr::from_mut(base).cast(),
        xOpen: Some(x_open),
        xDelete: Some(x_delete),
        xAccess: Some(x_access),
        xFullPathname: Some(x_full_pathname),
        xDlOpen: Some(x_dl_open),
        xDlError: Some(x_dl_error),
        xDlSym: Some(x_dl_sym),
        xDlClose: Some(x_dl_close),
        xRandomness: Some(x_randomness),
        xSleep: Some(x_sleep),
        xCurrentTime: Some(x_current_time),
        xGetLastError: Some(x_get_last_error),
        xCurrentTimeInt64: (base.iVersion >= 2).then_some(x_current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }));
    // SAFETY: the struct and its name live for ever, as a registered VFS must.
    if unsafe { ffi::sqlite3_vfs_register(vfs, 0) } != ffi::SQLITE_OK {
        return None;
    }
    known.push(Known { base: address, file_size: base.szOsFile, name });
    Some(name)
}

/// A file of the connection's main database, if it is one of ours.
fn file_of(conn: &Connection, op: c_int) -> Option<&mut Eye> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: these opcodes write one pointer to the place given. A file with our methods is a `ReaderFile`, and lives as long
    // as the connection; nobody calls SQLite on it while the answer is used.
    unsafe {
        let rc = ffi::sqlite3_file_control(conn.handle(), MAIN.as_ptr(), op, (&raw mut file).cast());
        if rc != ffi::SQLITE_OK || file.is_null() {
            return None;
        }
        let methods = (*file).pMethods;
        (ptr::eq(methods, &raw const WITH_SHM) || ptr::eq(methods, &raw const WITHOUT_SHM)).then(|| eye(file))
    }
}

/// Switches reading ahead on or off; false when the connection does not use a reader VFS.
pub fn read_ahead(conn: &Connection, on: bool) -> bool {
    let file = file_of(conn, ffi::SQLITE_FCNTL_FILE_POINTER);
    file.map(|eye| eye.ahead.switch(on)).is_some()
}

/// Page 1 as the connection has last read it.
pub fn page_one(conn: &Connection) -> Option<Vec<u8>> {
    let database = file_of(conn, ffi::SQLITE_FCNTL_FILE_POINTER).map(|eye| (eye.read_at, eye.page_one.clone()));
    let wal = file_of(conn, ffi::SQLITE_FCNTL_JOURNAL_POINTER).map(|eye| (eye.read_at, eye.page_one.clone()));
    let (_, page) = database.into_iter().chain(wal).max_by_key(|(read_at, _)| *read_at)?;
    (!page.is_empty()).then_some(page)
}
