//! The methods that a file of the reader VFS passes on unchanged to the file of the VFS below.
//!
//! SQLite calls all of them, or our own code in its place, with an open file and the arguments of the method
//! of that name.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use rusqlite::ffi;

use super::layout::below;

/// Defines methods that pass their call on.
macro_rules! hand_on {
    ($($name:ident = $slot:ident($($argument:ident: $kind:ty),*);)+) => {$(
        pub unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($argument: $kind),*) -> c_int {
            // SAFETY: the file below is open as long as ours, and gets the arguments meant for it.
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
    x_read = xRead(target: *mut c_void, amount: c_int, offset: i64);
    x_write = xWrite(source: *const c_void, amount: c_int, offset: i64);
    x_truncate = xTruncate(size: i64);
    shm_map_below = xShmMap(region: c_int, size: c_int, extend: c_int, out: *mut *mut c_void);
    shm_lock_below = xShmLock(offset: c_int, count: c_int, flags: c_int);
    shm_unmap_below = xShmUnmap(delete: c_int);
    close_below = xClose();
    control_below = xFileControl(op: c_int, argument: *mut c_void);
}

pub unsafe extern "C" fn x_shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: as in `hand_on`.
    unsafe {
        let below = below(file);
        if let Some(method) = (*(*below).pMethods).xShmBarrier {
            method(below);
        }
    }
}
