//! Threads: whether SQLite may be called from several, what must not happen to the host's, and locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

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

/// Keeps the host from cancelling this thread (`pthread_cancel`) as long as it lives: that unwinds the thread's frames, which Rust's
/// do not take, and the process would end. The thread is cancelled afterwards.
pub struct Uncancelled(#[cfg(unix)] std::ffi::c_int);

impl Uncancelled {
    /// From now on.
    pub fn begin() -> Self {
        #[cfg(unix)]
        return Self(posix::set_cancel_state(posix::DISABLE));
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
    pub const DISABLE: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }

    /// What it was before.
    pub fn set_cancel_state(state: c_int) -> c_int {
        let mut before = state;
        // SAFETY: the state is a valid one, and the place is there.
        unsafe { pthread_setcancelstate(state, &raw mut before) };
        before
    }
}
