//! The reader VFS: the caller's own VFS, which also notes the locks that a sidecar takes through it.
//!
//! # Promise
//!
//! Every call goes to the VFS of the caller, locks and shared memory included; of the database file and its WAL more becomes known
//! than SQLite tells, see [`file`]. Other files are opened by the VFS below in our place: SQLite sees its methods and never comes here
//! again. Only over SQLite's own VFSes: one that encrypts or checks pages may take each read for one page, and would hand out
//! rubbish for a larger one. The VFS is registered once for each VFS below it, never as the default. No callback lets a panic out.

#![allow(unsafe_code)]

mod below;
mod file;
mod layout;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, ffi};

pub use self::file::{Which, held, is_watched, read, same_snapshot};
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
            ReaderFile::open(file, |below| open(base, name, below, flags, out_flags))
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

/// SQLite's own VFSes, which read bytes as they are: <https://www.sqlite.org/vfs.html>, section 2.1, and the sources.
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

/// All of them, for as long as the guard lives. Forks wait for it.
fn known() -> MutexGuard<'static, Vec<Known>> {
    forks::add("reader_vfs", || Box::new(lock(&KNOWN)));
    lock(&KNOWN)
}

/// The name of the reader VFS over the one that serves `conn`, registered at the first call for the life of the process, as the
/// library itself is. `None` when that VFS is none of SQLite's own, or SQLite has no memory: then there is nothing to be had but the VFS itself.
pub fn over(conn: &Connection) -> Option<&'static CStr> {
    let base_name = host::vfs_name(conn)?;
    if !PLAIN.contains(&base_name.as_c_str()) {
        return None;
    }
    // SAFETY: the name is a C string; a VFS that serves an open connection is alive.
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
    // SAFETY: the struct and its name live for ever, as a registered VFS must.
    if unsafe { ffi::sqlite3_vfs_register(vfs, 0) } != ffi::SQLITE_OK {
        return None;
    }
    known.push(Known { base: address, file_size: base.szOsFile, name });
    Some(name)
}
