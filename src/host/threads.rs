//! Threads: whether SQLite may be called from several, what must not happen to the host's, and locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ffi};

/// A lock that a panic of somebody else does not make unusable.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

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

/// A connection's mutex, held by this thread. SQLite takes it for each step of a statement, functions and callbacks included; a
/// thread may hold it any number of times.
pub struct Entered(*mut ffi::sqlite3_mutex);

impl Entered {
    /// `None` while another thread holds it. A connection that SQLite made without one has nothing to hold, and on a system where
    /// SQLite cannot try, nothing is held.
    pub fn attempt(conn: &Connection) -> Option<Self> {
        // SAFETY: the connection is open, and its mutex, if it has one, is there until it is closed; SQLite does nothing with NULL.
        unsafe {
            let mutex = if can_try() { ffi::sqlite3_db_mutex(conn.handle()) } else { std::ptr::null_mut() };
            (ffi::sqlite3_mutex_try(mutex) == ffi::SQLITE_OK).then(|| Self(mutex))
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // SAFETY: held since `attempt`, by this thread, since a pointer does not go to another.
        unsafe { ffi::sqlite3_mutex_leave(self.0) };
    }
}

/// Whether trying a mutex that nobody holds has success: some builds for Windows always answer no.
fn can_try() -> bool {
    // SAFETY: as for `allowed`; NULL is held at once.
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

/// Keeps the host from cancelling this thread (`pthread_cancel`) as long as it lives: that unwinds the thread's frames, which Rust's
/// do not take, and the process would end. The thread is cancelled afterwards, where it next waits: the type stays deferred, since one that
/// is asynchronous would have it cancelled in the frame that restores it, which is one of ours.
pub struct Uncancelled(#[cfg(unix)] std::ffi::c_int);

impl Uncancelled {
    /// From now on.
    pub fn begin() -> Self {
        #[cfg(unix)]
        return Self(posix::defer_cancelling());
        #[cfg(not(unix))]
        return Self();
    }
}

impl Drop for Uncancelled {
    fn drop(&mut self) {
        #[cfg(unix)]
        posix::set_cancel_state(self.0);
    }
}

#[cfg(unix)]
mod posix {
    use std::ffi::c_int;

    /// `PTHREAD_CANCEL_DISABLE`.
    const DISABLE: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };
    /// `PTHREAD_CANCEL_DEFERRED`.
    const DEFERRED: c_int = if cfg!(target_vendor = "apple") { 2 } else { 0 };

    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
        fn pthread_setcanceltype(kind: c_int, before: *mut c_int) -> c_int;
    }

    /// Disables it; what the state was before.
    pub fn defer_cancelling() -> c_int {
        let before = set_cancel_state(DISABLE);
        let mut kind = DEFERRED;
        // SAFETY: the type is a valid one, and the place is there.
        unsafe { pthread_setcanceltype(DEFERRED, &raw mut kind) };
        before
    }

    /// What it was before.
    pub fn set_cancel_state(state: c_int) -> c_int {
        let mut before = state;
        // SAFETY: the state is a valid one, and the place is there.
        unsafe { pthread_setcancelstate(state, &raw mut before) };
        before
    }
}
