//! Whether SQLite may be called from several threads.

use rusqlite::ffi;

/// True unless the host has built SQLite for a single thread, or configured it so: then it has no mutexes to give.
pub fn allowed() -> bool {
    // SAFETY: neither has preconditions once the API table is bound; a mutex that was given is freed once.
    unsafe {
        if ffi::sqlite3_threadsafe() == 0 {
            return false;
        }
        let mutex = ffi::sqlite3_mutex_alloc(ffi::SQLITE_MUTEX_FAST);
        ffi::sqlite3_mutex_free(mutex);
        !mutex.is_null()
    }
}
