//! Libraries on macOS: dyld's list, and `dlsym` on each alone.
//!
//! # How
//!
//! An image that is in the process already is found by the name that dyld gave it, also if its file has gone. `RTLD_FIRST`
//! keeps `dlsym` from looking into what the image depends on. An image that is unloaded between its name and its handle is none.

use std::ffi::{CStr, CString, c_void};
use std::ptr;

/// A loaded library, or the program.
pub struct Image {
    handle: *mut c_void,
    name: CString,
}

/// Calls `visit` for each.
pub fn each(mut visit: impl FnMut(&Image)) {
    #[allow(deprecated)] // libc would have it from another crate
    // SAFETY: asks for a number.
    let count = unsafe { libc::_dyld_image_count() };
    for index in 0..count {
        #[allow(deprecated)]
        // SAFETY: an index that is out of range by now answers NULL.
        let name = unsafe { libc::_dyld_get_image_name(index) };
        if name.is_null() {
            continue;
        }
        // SAFETY: dyld keeps the name as long as the image, which another thread must not unload meanwhile, as for every caller.
        let name = unsafe { CStr::from_ptr(name) }.to_owned();
        // SAFETY: nothing is loaded by it.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_FIRST) };
        if !handle.is_null() {
            visit(&Image { handle, name });
        }
    }
}

/// Keeps the library loaded.
pub fn stay() {
    // SAFETY: any bytes are one.
    let mut own: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address lies in this library, which dyld knows by the name that it gives. Nothing is loaded by it.
    unsafe {
        if libc::dladdr(stay as *const c_void, &raw mut own) != 0 {
            libc::dlopen(own.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: gives back the count that `each` took.
        unsafe { libc::dlclose(self.handle) };
    }
}

impl Image {
    /// What dyld calls it.
    pub fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// Whether an address lies in it, as far as can be told: the only one that is asked for is what the symbol points to.
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

    /// The address of a symbol that the image exports.
    pub fn find(&self, name: &CStr) -> Option<usize> {
        // SAFETY: only the address is taken.
        let found = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        (!found.is_null()).then(|| found.expose_provenance())
    }
}
