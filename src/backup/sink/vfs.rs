//! The VFS of the sink: what SQLite calls, turned into calls of a [`Flow`].
//!
//! # Promise
//!
//! The VFS is registered once per process, never as the default, under a name that contains the address of this very
//! library, because two copies of queuekeeper may be loaded. A sink's file name is known to it only while [`offer`]
//! runs, and is taken off the list by the first open: nobody can reach a sink through SQL. No callback lets a panic
//! out.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rusqlite::ffi;

use super::{Flow, Shared, lock};
use crate::error::{Error, Result};

static WAITING: Mutex<Option<HashMap<String, Shared>>> = Mutex::new(None);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Runs `open` with a file name that leads to `flow`, once.
pub fn offer<T>(flow: &Shared, open: impl FnOnce(&str) -> T) -> T {
    let name = format!("/queuekeeper-sink-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    lock(&WAITING).get_or_insert_default().insert(name.clone(), Arc::clone(flow));
    let opened = open(&name);
    lock(&WAITING).get_or_insert_default().remove(&name);
    opened
}

/// The file of a sink as SQLite sees it: its base class first.
#[repr(C)]
struct SinkFile {
    base: ffi::sqlite3_file,
    /// One count of the flow's `Arc`, given back in `x_close`.
    flow: *const Mutex<Flow>,
}

/// Runs a callback; a panic becomes an I/O error.
fn guarded(body: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(ffi::SQLITE_IOERR)
}

/// # Safety
///
/// `file` is a `SinkFile` that `x_open` has filled.
unsafe fn flow_of<'a>(file: *mut ffi::sqlite3_file) -> std::sync::MutexGuard<'a, Flow> {
    // SAFETY: between a successful xOpen and xClose the pointer is a live `Arc`'s.
    lock(unsafe { &*(*file.cast::<SinkFile>()).flow })
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    guarded(|| {
        // SAFETY: SQLite closes a file once, after x_open has filled it; this gives back the count taken there.
        unsafe { drop(Arc::from_raw((*file.cast::<SinkFile>()).flow)) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_read(file: *mut ffi::sqlite3_file, target: *mut c_void, amount: c_int, offset: i64) -> c_int {
    guarded(|| {
        let length = usize::try_from(amount).unwrap_or_default();
        // SAFETY: SQLite passes an open file and a buffer of `amount` bytes.
        let (flow, target) = unsafe { (flow_of(file), std::slice::from_raw_parts_mut(target.cast::<u8>(), length)) };
        if flow.read(u64::try_from(offset).unwrap_or(u64::MAX), target) {
            ffi::SQLITE_OK
        } else {
            ffi::SQLITE_IOERR_SHORT_READ
        }
    })
}

unsafe extern "C" fn x_write(
    file: *mut ffi::sqlite3_file,
    source: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    guarded(|| {
        let length = usize::try_from(amount).unwrap_or_default();
        // SAFETY: SQLite passes an open file and a buffer of `amount` bytes.
        let (mut flow, content) = unsafe { (flow_of(file), std::slice::from_raw_parts(source.cast::<u8>(), length)) };
        match flow.write(u64::try_from(offset).unwrap_or(u64::MAX), content) {
            Ok(()) => ffi::SQLITE_OK,
            Err(error) => {
                let code =
                    if error.primary_code() == ffi::SQLITE_FULL { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR_WRITE };
                flow.error.get_or_insert(error);
                code
            }
        }
    })
}

unsafe extern "C" fn x_truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes an open file.
        unsafe { flow_of(file) }.length = u64::try_from(size).unwrap_or_default();
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes an open file and a place for the answer.
        unsafe { *size = i64::try_from(flow_of(file).length).unwrap_or(i64::MAX) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_nothing(_file: *mut ffi::sqlite3_file, _argument: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_check_reserved_lock(_file: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a place for the answer. Nobody else can open a sink, so nobody holds a lock.
    unsafe { *held = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_file_control(_file: *mut ffi::sqlite3_file, _op: c_int, _arg: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn x_zero(_file: *mut ffi::sqlite3_file) -> c_int {
    0
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(x_close),
    xRead: Some(x_read),
    xWrite: Some(x_write),
    xTruncate: Some(x_truncate),
    xSync: Some(x_nothing),
    xFileSize: Some(x_file_size),
    xLock: Some(x_nothing),
    xUnlock: Some(x_nothing),
    xCheckReservedLock: Some(x_check_reserved_lock),
    xFileControl: Some(x_file_control),
    xSectorSize: Some(x_zero),
    xDeviceCharacteristics: Some(x_zero),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn x_open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes szOsFile bytes for the file, and a name that is NULL or a C string.
        unsafe {
            // No methods: SQLite then won't close what was not opened.
            (*file).pMethods = ptr::null();
            if name.is_null() || flags & ffi::SQLITE_OPEN_MAIN_DB == 0 {
                return ffi::SQLITE_CANTOPEN;
            }
            let name = CStr::from_ptr(name).to_string_lossy();
            let Some(flow) = lock(&WAITING).get_or_insert_default().remove(name.as_ref()) else {
                return ffi::SQLITE_CANTOPEN;
            };
            (*file.cast::<SinkFile>()).flow = Arc::into_raw(flow);
            (*file).pMethods = &raw const METHODS;
            if !out_flags.is_null() {
                *out_flags = flags;
            }
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_delete(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char, _sync: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_access(
    _vfs: *mut ffi::sqlite3_vfs,
    _name: *const c_char,
    _flags: c_int,
    exists: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a place for the answer. There is never a journal or WAL beside a sink.
    unsafe { *exists = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a C string and a buffer of `size` bytes.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > usize::try_from(size).unwrap_or_default() {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(bytes.as_ptr().cast::<c_char>(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_randomness(_vfs: *mut ffi::sqlite3_vfs, size: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite passes a buffer of `size` bytes. Only the default VFS seeds SQLite's generator; a sink needs none.
    unsafe { ptr::write_bytes(out, 0, usize::try_from(size).unwrap_or_default()) };
    size
}

unsafe extern "C" fn x_sleep(_vfs: *mut ffi::sqlite3_vfs, _microseconds: c_int) -> c_int {
    0
}

unsafe extern "C" fn x_current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite passes a place for the answer. No SQL that asks for the time runs on a sink.
    unsafe { *out = 0.0 };
    ffi::SQLITE_OK
}

/// The sink VFS, registered (never as the default) at the first call. It stays for the life of the process, as the
/// library itself does.
///
/// # Errors
///
/// When SQLite has no memory left.
pub fn registered() -> Result<&'static CStr> {
    static NAME: OnceLock<CString> = OnceLock::new();
    static ONCE: Mutex<bool> = Mutex::new(false);
    let name = NAME.get_or_init(|| {
        let name = format!("queuekeeper-sink-{:x}", &raw const METHODS as usize);
        CString::new(name).unwrap_or_default()
    });
    let mut done = lock(&ONCE);
    if *done {
        return Ok(name);
    }
    let vfs = Box::into_raw(Box::new(ffi::sqlite3_vfs {
        iVersion: 1,
        szOsFile: c_int::try_from(size_of::<SinkFile>()).unwrap_or(c_int::MAX),
        mxPathname: 128,
        pNext: ptr::null_mut(),
        zName: name.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(x_open),
        xDelete: Some(x_delete),
        xAccess: Some(x_access),
        xFullPathname: Some(x_full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(x_randomness),
        xSleep: Some(x_sleep),
        xCurrentTime: Some(x_current_time),
        xGetLastError: None,
        xCurrentTimeInt64: None,
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }));
    // SAFETY: the struct and its name live for ever, as a registered VFS must.
    let rc = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
    if rc != ffi::SQLITE_OK {
        // SAFETY: SQLite did not take it, so it is still ours alone.
        drop(unsafe { Box::from_raw(vfs) });
        return Err(Error::new(rc, "SQLite cannot register the VFS of the page walk"));
    }
    *done = true;
    Ok(name)
}
