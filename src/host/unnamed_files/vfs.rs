//! The VFS of databases without a name: translates SQLite's calls into those of a [`Content`].

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::ffi;

use super::{Content, Shared, found, state};
use crate::error::{Error, Result};
use crate::host::threads::lock;

/// The VFS for files that have no name for SQLite.
static BELOW: AtomicUsize = AtomicUsize::new(0);

/// A file as SQLite sees it, with its base class first.
#[repr(C)]
struct UnnamedFile {
    base: ffi::sqlite3_file,
    /// A `Box`, dropped in `x_close`.
    content: *mut Shared,
}

/// Calls `work` with a file's content; an error or a panic becomes a result code.
///
/// # Safety
///
/// `file` is an `UnnamedFile` that `x_open` has initialized.
unsafe fn with(
    file: *mut ffi::sqlite3_file,
    work: impl FnOnce(&mut dyn Content) -> std::result::Result<c_int, c_int>,
) -> c_int {
    guarded(|| {
        // SAFETY: between a successful xOpen and xClose the pointer is a live `Box`'s.
        let content = unsafe { &*(*file.cast::<UnnamedFile>()).content };
        work(&mut *lock(content)).unwrap_or_else(|code| code)
    })
}

/// Runs a callback; a panic becomes an I/O error.
fn guarded(body: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(ffi::SQLITE_IOERR)
}

fn place(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    guarded(|| {
        // SAFETY: SQLite closes a file once, after x_open; the box was made there.
        unsafe { drop(Box::from_raw((*file.cast::<UnnamedFile>()).content)) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_read(file: *mut ffi::sqlite3_file, target: *mut c_void, amount: c_int, offset: i64) -> c_int {
    let length = usize::try_from(amount).unwrap_or_default();
    // SAFETY: SQLite passes an open file and a buffer of `amount` bytes.
    unsafe {
        let target = std::slice::from_raw_parts_mut(target.cast::<u8>(), length);
        with(file, |content| {
            let whole = content.read(place(offset), target)?;
            Ok(if whole { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ })
        })
    }
}

unsafe extern "C" fn x_write(
    file: *mut ffi::sqlite3_file,
    source: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    let length = usize::try_from(amount).unwrap_or_default();
    // SAFETY: SQLite passes an open file and a buffer of `amount` bytes.
    unsafe {
        let bytes = std::slice::from_raw_parts(source.cast::<u8>(), length);
        with(file, |content| content.write(place(offset), bytes).map(|()| ffi::SQLITE_OK))
    }
}

unsafe extern "C" fn x_truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe { with(file, |content| content.set_length(place(size)).map(|()| ffi::SQLITE_OK)) }
}

unsafe extern "C" fn x_file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: SQLite passes an open file and a pointer for the result.
    unsafe {
        with(file, |content| {
            *size = i64::try_from(content.length()?).unwrap_or(i64::MAX);
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn x_nothing(_file: *mut ffi::sqlite3_file, _argument: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_check_reserved_lock(_file: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a pointer for the result. Nobody else can open the content, so nobody holds a
    // lock.
    unsafe { *held = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_file_control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    if op != ffi::SQLITE_FCNTL_LAST_ERRNO {
        return ffi::SQLITE_NOTFOUND;
    }
    // SAFETY: SQLite passes an open file and, with this opcode, a pointer to an int.
    unsafe {
        with(file, |content| {
            *argument.cast::<c_int>() = content.errno();
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn x_sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    0
}

unsafe extern "C" fn x_device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe { with(file, |content| Ok(content.characteristics())) }
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
    xSectorSize: Some(x_sector_size),
    xDeviceCharacteristics: Some(x_device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

fn below() -> *mut ffi::sqlite3_vfs {
    ptr::with_exposed_provenance_mut(BELOW.load(Ordering::Relaxed))
}

unsafe extern "C" fn x_open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes szOsFile bytes for the file, enough for one of the VFS below, and a name that
        // is NULL or a C string.
        unsafe {
            // Without methods, SQLite does not close the file if opening fails.
            (*file).pMethods = ptr::null();
            if name.is_null() {
                let open = (*below()).xOpen;
                return open.map_or(ffi::SQLITE_CANTOPEN, |open| open(below(), name, file, flags, out_flags));
            }
            let Some(content) = found(CStr::from_ptr(name), flags) else { return ffi::SQLITE_CANTOPEN };
            (*file.cast::<UnnamedFile>()).content = Box::into_raw(Box::new(content));
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
    // SAFETY: SQLite passes a pointer for the result. A content never has a journal or WAL beside it.
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

/// A method that forwards to the VFS below.
macro_rules! hand_on {
    ($($name:ident = $slot:ident($($argument:ident: $kind:ty),*), $absent:expr;)+) => {$(
        unsafe extern "C" fn $name(_vfs: *mut ffi::sqlite3_vfs, $($argument: $kind),*) -> c_int {
            // SAFETY: SQLite's own VFS lives as long as SQLite, and gets the arguments meant for it.
            unsafe { (*below()).$slot.map_or($absent, |method| method(below(), $($argument),*)) }
        }
    )+};
}

hand_on! {
    x_randomness = xRandomness(size: c_int, out: *mut c_char), 0;
    x_sleep = xSleep(microseconds: c_int), 0;
    x_current_time = xCurrentTime(out: *mut f64), ffi::SQLITE_ERROR;
    x_current_time_int64 = xCurrentTimeInt64(out: *mut i64), ffi::SQLITE_ERROR;
}

/// Registers the VFS at the first call, for the life of the process.
pub(super) fn registered() -> Result<&'static CStr> {
    static NAME: OnceLock<CString> = OnceLock::new();
    let name = NAME.get_or_init(|| {
        let name = format!("queuekeeper-unnamed-{:x}", &raw const METHODS as usize);
        CString::new(name).unwrap_or_default()
    });
    let mut state = state();
    if state.registered {
        return Ok(name);
    }
    // SAFETY: the names are C strings. SQLite's own VFSes are never unregistered; a host's default might be.
    let base = unsafe {
        let usual = [c"unix".as_ptr(), c"win32".as_ptr(), ptr::null()].map(|name| ffi::sqlite3_vfs_find(name));
        usual.into_iter().find_map(|vfs| vfs.as_mut())
    };
    let base = base.ok_or_else(|| Error::internal("SQLite has no VFS"))?;
    let own = c_int::try_from(size_of::<UnnamedFile>()).unwrap_or(c_int::MAX);
    let vfs = Box::into_raw(Box::new(ffi::sqlite3_vfs {
        iVersion: base.iVersion.min(2),
        szOsFile: own.max(base.szOsFile),
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
        xCurrentTimeInt64: (base.iVersion >= 2).then_some(x_current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }));
    BELOW.store(ptr::from_mut(base).expose_provenance(), Ordering::Relaxed);
    // SAFETY: the struct and its name are leaked, so they live as long as a registered VFS must.
    let rc = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
    if rc != ffi::SQLITE_OK {
        // SAFETY: SQLite did not take it, so it is still ours.
        drop(unsafe { Box::from_raw(vfs) });
        return Err(Error::new(rc, "SQLite cannot register a VFS"));
    }
    state.registered = true;
    Ok(name)
}
