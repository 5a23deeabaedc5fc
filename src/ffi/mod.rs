//! The C ABI: what `include/queuekeeper.h` declares besides the extension's entry point.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

/// The version of the library, such as "0.1.0". A static string, never NULL, not to be freed. May be called at any time
/// and from any thread, before the library is bound to a SQLite, too.
#[unsafe(no_mangle)]
pub extern "C" fn qk_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_crates() {
        // SAFETY: the function returns a static C string.
        assert_eq!(unsafe { CStr::from_ptr(qk_version()) }.to_str(), Ok(crate::VERSION));
    }

    #[test]
    fn the_checked_in_header_is_the_generated_one() {
        let generated = include_str!(concat!(env!("OUT_DIR"), "/queuekeeper.h"));
        let checked_in = include_str!("../../include/queuekeeper.h");
        assert!(generated == checked_in, "include/queuekeeper.h is stale; run scripts/header and commit the result");
    }
}
