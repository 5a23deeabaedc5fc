//! Libraries on macOS: dyld's list, and `dlsym` on each.
//!
//! # How
//!
//! A loaded image is found by dyld's name for it even after its file is gone. `RTLD_FIRST` keeps `dlsym` from
//! searching the image's dependencies. An image unloaded between its name and its handle is skipped.

use std::ffi::{CStr, CString, c_void};
use std::ptr;

/// A loaded library, or the program.
pub struct Image {
    handle: *mut c_void,
    name: CString,
}

pub fn each(mut visit: impl FnMut(&Image)) {
    #[allow(deprecated)] // libc would have it from another crate
    // SAFETY: only reads a number.
    let count = unsafe { libc::_dyld_image_count() };
    for index in 0..count {
        #[allow(deprecated)]
        // SAFETY: returns NULL for an index that is no longer valid.
        let name = unsafe { libc::_dyld_get_image_name(index) };
        if name.is_null() {
            continue;
        }
        // SAFETY: dyld keeps the name as long as the image, which other threads must not unload meanwhile, as
        // for every caller.
        let name = unsafe { CStr::from_ptr(name) }.to_owned();
        // SAFETY: loads nothing.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_FIRST) };
        if !handle.is_null() {
            visit(&Image { handle, name });
        }
    }
}

pub fn stay() {
    // SAFETY: any bytes are valid.
    let mut own: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address is in this library, which dyld knows by the returned name. Loads nothing.
    unsafe {
        if libc::dladdr(stay as *const c_void, &raw mut own) != 0 {
            libc::dlopen(own.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: releases the reference that `each` took.
        unsafe { libc::dlclose(self.handle) };
    }
}

impl Image {
    /// dyld's name for it.
    pub fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// Whether an address is in it. Only known for the one that `queuekeeper_binding` points to.
    pub fn holds(&self, address: usize) -> bool {
        self.find(c"queuekeeper_binding").and_then(|place| self.pointer_at(place)) == Some(address)
    }

    /// The word at an address of the image.
    pub fn word_at(&self, address: usize) -> Option<usize> {
        // SAFETY: the address came from a symbol of the image, which stays loaded while the handle is held.
        Some(unsafe { ptr::with_exposed_provenance::<usize>(address).read() })
    }

    /// The pointer at an address of the image.
    pub fn pointer_at(&self, address: usize) -> Option<usize> {
        self.word_at(address).filter(|target| *target != 0)
    }

    /// The address of an exported symbol.
    pub fn find(&self, name: &CStr) -> Option<usize> {
        // SAFETY: only the address is taken.
        let found = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        (!found.is_null()).then(|| found.expose_provenance())
    }
}
