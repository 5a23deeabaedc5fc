//! Error messages for C.
//!
//! A handle keeps the message of its last failure; a thread keeps that of a failure without a valid handle. C
//! gets a copy owned by the calling thread, so no other thread can free it while it is read.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
    static SHOWN: RefCell<CString> = RefCell::default();
}

/// Stores the message of a failure without a handle.
pub fn keep(message: CString) {
    // A thread that is ending no longer has the thread-local.
    let _ = LAST.try_with(|last| *last.borrow_mut() = message);
}

/// The message of this thread's last failure without a handle.
pub fn last() -> CString {
    LAST.try_with(|last| last.borrow().clone()).unwrap_or_default()
}

/// Returns a pointer that is valid until this thread's next call.
pub fn show(message: CString) -> *const c_char {
    const NOTHING: &CStr = c"";
    let shown = SHOWN.try_with(|shown| {
        *shown.borrow_mut() = message;
        shown.borrow().as_ptr()
    });
    shown.unwrap_or(NOTHING.as_ptr())
}
