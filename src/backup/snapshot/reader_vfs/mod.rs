//! The reader VFS: wraps the caller's own VFS, and notes the locks that a sidecar takes through it.
//!
//! # Promise
//!
//! Every call goes to the caller's VFS, including locks and shared memory; of the database file and its WAL
//! more becomes known than SQLite reports, see [`mod@file`]. The VFS below opens other files itself, so
//! SQLite calls its methods directly. Only SQLite's own VFSes are wrapped: one that encrypts or checks pages
//! may treat each read as one page, and return garbage for a larger one. It is registered once for each VFS
//! below, never as the default. No callback unwinds.

#![allow(unsafe_code)]

mod below;
mod file;
mod layout;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, ffi};

pub use self::file::{Which, held_snapshot, read, same_snapshot, uses_reader_vfs};
use self::layout::ReaderFile;
use crate::host;
use crate::host::forks;
use crate::host::threads::lock;

/// Runs a callback; a panic becomes an I/O error.
fn guarded(body: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(ffi::SQLITE_IOERR)
}

/// The VFS below.
///
/// # Safety
///
/// `vfs` is one of ours.
unsafe fn base(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: set by `over`.
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
        // SAFETY: the memory at `file` is large enough for both objects; the VFS below gets the arguments
        // meant for it.
        unsafe {
            let base = base(vfs);
            let Some(open) = (*base).xOpen else { return ffi::SQLITE_CANTOPEN };
            if !watched {
                return open(base, name, file, flags, out_flags);
            }
            ReaderFile::open(file, |below| open(base, name, below, flags, out_flags))
        }
    })
}

/// Defines VFS methods that pass their call on; `$absent` is the result if the VFS below has none.
macro_rules! hand_on_vfs {
    ($($name:ident = $slot:ident($($argument:ident: $kind:ty),*) -> $result:ty, $absent:expr;)+) => {$(
        unsafe extern "C" fn $name(vfs: *mut ffi::sqlite3_vfs, $($argument: $kind),*) -> $result {
            // SAFETY: the VFS below lives as long as connections on it, and gets the arguments meant for it.
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

/// SQLite's own VFSes that pass bytes unchanged: <https://www.sqlite.org/vfs.html>, section 2.1, and the
/// sources.
const PLAIN: [&CStr; 12] = [
    c"unix",
    c"unix-afp",
    c"unix-dotfile",
    c"unix-excl",
    c"unix-flock",
    c"unix-namedsem",
    c"unix-nfs",
    c"unix-posix",
    c"win32",
    c"win32-longpath",
    c"win32-longpath-none",
    c"win32-none",
];

/// A VFS of ours and the one below it.
struct Known {
    base: usize,
    file_size: c_int,
    name: &'static CStr,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// All of them, locked. Forks wait for the lock.
fn known() -> MutexGuard<'static, Vec<Known>> {
    forks::add("reader_vfs", || Box::new(lock(&KNOWN)));
    lock(&KNOWN)
}

/// The name of the reader VFS over the VFS of `conn`, registered on the first call for the life of the
/// process. `None` if that VFS is not one of SQLite's own, or memory is short.
pub fn name_over(conn: &Connection) -> Option<&'static CStr> {
    let base_name = host::vfs_name(conn)?;
    if !PLAIN.contains(&base_name.as_c_str()) {
        return None;
    }
    // SAFETY: the name is a C string; the VFS of an open connection is alive.
    let base = unsafe { ffi::sqlite3_vfs_find(base_name.as_ptr()).as_mut()? };
    let mut known = known();
    let address = ptr::from_ref(base) as usize;
    if let Some(found) = known.iter().find(|known| known.base == address && known.file_size == base.szOsFile) {
        return Some(found.name);
    }
    let name = format!("queuekeeper-reader-{:x}-{}", file::address(), known.len());
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
    // SAFETY: the struct and its name are never freed, as a registered VFS requires.
    if unsafe { ffi::sqlite3_vfs_register(vfs, 0) } != ffi::SQLITE_OK {
        return None;
    }
    known.push(Known { base: address, file_size: base.szOsFile, name });
    Some(name)
}
