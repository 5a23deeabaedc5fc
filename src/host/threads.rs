//! Threads: SQLite's threading mode, connection mutexes, cancellation.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ffi};

/// Locks a mutex, even if it is poisoned.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// False if SQLite was built or configured for a single thread: then it has no mutexes.
pub fn allowed() -> bool {
    // SAFETY: no preconditions once the API table is bound; an allocated mutex is freed once.
    unsafe {
        if ffi::sqlite3_threadsafe() == 0 {
            return false;
        }
        let mutex = ffi::sqlite3_mutex_alloc(ffi::SQLITE_MUTEX_FAST);
        ffi::sqlite3_mutex_free(mutex);
        !mutex.is_null()
    }
}

/// A connection's mutex, held by this thread. SQLite takes it for each step of a statement, including
/// functions and callbacks. It is recursive.
pub struct ConnectionMutex(*mut ffi::sqlite3_mutex);

impl ConnectionMutex {
    /// `None` if another thread holds it. If the connection has no mutex, or SQLite cannot try one on this
    /// system, nothing is held.
    pub fn attempt(conn: &Connection) -> Option<Self> {
        // SAFETY: the connection is open, and its mutex, if any, lives as long; SQLite ignores NULL.
        unsafe {
            let mutex = if can_try() { ffi::sqlite3_db_mutex(conn.handle()) } else { std::ptr::null_mut() };
            (ffi::sqlite3_mutex_try(mutex) == ffi::SQLITE_OK).then(|| Self(mutex))
        }
    }
}

impl Drop for ConnectionMutex {
    fn drop(&mut self) {
        // SAFETY: held since `attempt` by this thread, as a pointer is not `Send`.
        unsafe { ffi::sqlite3_mutex_leave(self.0) };
    }
}

/// Whether trying a free mutex succeeds: some builds for Windows always say no.
fn can_try() -> bool {
    // SAFETY: as for `allowed`; NULL counts as held at once.
    unsafe {
        if ffi::sqlite3_threadsafe() == 0 {
            return false;
        }
        let mutex = ffi::sqlite3_mutex_alloc(ffi::SQLITE_MUTEX_FAST);
        let held = ffi::sqlite3_mutex_try(mutex) == ffi::SQLITE_OK;
        if held {
            ffi::sqlite3_mutex_leave(mutex);
        }
        ffi::sqlite3_mutex_free(mutex);
        held
    }
}

/// Defers cancellation of this thread (`pthread_cancel`) until dropped: it would unwind the thread's frames,
/// which Rust's do not allow, and abort the process. The thread is cancelled later, where it next waits. The
/// type stays deferred, as an asynchronous one would cancel in the frame that restores it, which is ours.
pub struct CancellationDeferred(#[cfg(unix)] std::ffi::c_int);

impl CancellationDeferred {
    pub fn begin() -> Self {
        #[cfg(unix)]
        return Self(posix::defer_cancelling());
        #[cfg(not(unix))]
        return Self();
    }
}

impl Drop for CancellationDeferred {
    fn drop(&mut self) {
        #[cfg(unix)]
        posix::set_cancel_state(self.0);
    }
}

#[cfg(unix)]
mod posix {
    use std::ffi::c_int;

    const DISABLE: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };
    const DEFERRED: c_int = if cfg!(target_vendor = "apple") { 2 } else { 0 };

    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
        fn pthread_setcanceltype(kind: c_int, before: *mut c_int) -> c_int;
    }

    /// Disables cancellation; returns the previous state.
    pub fn defer_cancelling() -> c_int {
        let before = set_cancel_state(DISABLE);
        let mut kind = DEFERRED;
        // SAFETY: a valid type and a valid pointer.
        unsafe { pthread_setcanceltype(DEFERRED, &raw mut kind) };
        before
    }

    /// Returns the previous state.
    pub fn set_cancel_state(state: c_int) -> c_int {
        let mut before = state;
        // SAFETY: a valid state and a valid pointer.
        unsafe { pthread_setcancelstate(state, &raw mut before) };
        before
    }
}
