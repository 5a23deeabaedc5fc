//! The texts that C was given and has not freed yet.
//!
//! # Promise
//!
//! What a program frees is looked up first: a text that was freed already, one of another copy of the library, and a pointer to
//! anything else are left alone. A text is freed as it was given, whatever was written into it.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::{Mutex, MutexGuard};

use super::registry::misuse;
use crate::error::Result;
use crate::host::threads::lock;

/// The length of each, by its address. By the complement of that: what a program forgot to free is to be found by a leak
/// checker, which takes the address itself for a pointer.
pub type Given = BTreeMap<usize, usize>;

static GIVEN: Mutex<Given> = Mutex::new(BTreeMap::new());

/// All of them, for as long as the guard lives.
pub fn given() -> MutexGuard<'static, Given> {
    lock(&GIVEN)
}

/// Gives a text away.
pub fn give(text: CString) -> *mut c_char {
    let text = text.into_bytes_with_nul().into_boxed_slice();
    let length = text.len();
    let place = Box::into_raw(text).cast::<c_char>();
    given().insert(!place.expose_provenance(), length);
    place
}

/// Takes back the text that was given at that address.
///
/// # Errors
///
/// `SQLITE_MISUSE`.
pub fn take_back(address: usize) -> Result<()> {
    let length = given().remove(&!address).ok_or_else(|| {
        misuse("this is no text that this library gave, or it was freed already; nothing was freed")
    })?;
    let text = ptr::slice_from_raw_parts_mut(ptr::with_exposed_provenance_mut::<u8>(address), length);
    // SAFETY: given away with that length, and nobody has taken it back before.
    drop(unsafe { Box::from_raw(text) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_back_once() {
        let place = give(c"text".to_owned());
        // SAFETY: five bytes were given; C may write into them.
        unsafe { place.write(0) };
        assert!(take_back(place.addr() + 1).is_err());
        assert!(take_back(place.addr()).is_ok());
        assert!(take_back(place.addr()).is_err());
    }
}
