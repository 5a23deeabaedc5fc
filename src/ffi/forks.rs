//! Forks in programs that use the C ABI: holds all the library's locks during a fork, see
//! [`forks`](crate::host::forks).

#[cfg(unix)]
pub use self::posix::watch;

/// Nothing forks here.
#[cfg(not(unix))]
pub fn watch() {}

#[cfg(unix)]
mod posix {
    use std::cell::UnsafeCell;
    use std::sync::{MutexGuard, Once};

    use crate::ffi::{registry, texts};
    use crate::host::forks::Held;

    struct All {
        _handles: MutexGuard<'static, registry::Registry>,
        _texts: MutexGuard<'static, texts::Given>,
        host: Held,
    }

    /// Keeps the locks for the duration of a fork.
    struct Place(UnsafeCell<Option<All>>);

    // SAFETY: only the thread that holds the locks accesses it.
    unsafe impl Sync for Place {}

    static PLACE: Place = Place(UnsafeCell::new(None));

    /// Makes later forks take the locks first. Without the memory for a registration, forks stay as they are.
    pub fn watch() {
        static ONCE: Once = Once::new();
        // SAFETY: the functions stay valid: the library is never unloaded.
        ONCE.call_once(|| unsafe {
            libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child));
        });
    }

    unsafe extern "C" fn before() {
        let all = All { _handles: registry::registry(), _texts: texts::given(), host: Held::take() };
        // SAFETY: this thread holds the locks.
        unsafe { *PLACE.0.get() = Some(all) };
    }

    unsafe extern "C" fn after_in_parent() {
        // SAFETY: this thread holds the locks until after this.
        drop(unsafe { (*PLACE.0.get()).take() });
    }

    unsafe extern "C" fn after_in_child() {
        // SAFETY: as in the parent; the forking thread is the child's only one.
        let all = unsafe { (*PLACE.0.get()).take() };
        if let Some(mut all) = all {
            all.host.inherit();
        }
    }
}
