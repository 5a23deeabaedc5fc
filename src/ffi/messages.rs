//! Error messages on their way to C.
//!
//! A handle keeps the message of its last failure; a thread that of a failure without a handle (it could not be opened, or is
//! none). What C gets is a copy that belongs to the asking thread, so that no other thread can take it away while it is read.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
    static SHOWN: RefCell<CString> = RefCell::default();
}

/// Keeps the message of a failure without a handle.
pub fn keep(message: CString) {
    // A thread that is ending has no place for it any more.
    let _ = LAST.try_with(|last| *last.borrow_mut() = message);
}

/// The message of this thread's last failure without a handle.
pub fn last() -> CString {
    LAST.try_with(|last| last.borrow().clone()).unwrap_or_default()
}

/// Shows a message to C until this thread shows the next.
pub fn show(message: CString) -> *const c_char {
    const NOTHING: &CStr = c"";
    let shown = SHOWN.try_with(|shown| {
        *shown.borrow_mut() = message;
        shown.borrow().as_ptr()
    });
    shown.unwrap_or(NOTHING.as_ptr())
}
