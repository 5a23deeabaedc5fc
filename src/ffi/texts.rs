//! The texts handed to C and not freed yet.
//!
//! # Promise
//!
//! Freeing a text twice, a text of another copy of the library, or any other pointer is an error and frees
//! nothing. A text is freed with its original length, whatever was written into it.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::{Mutex, MutexGuard};

use super::registry::misuse;
use crate::error::Result;
use crate::host::threads::lock;

/// Length by complemented address. A leak checker would take the address itself for a pointer, and miss texts
/// that the program forgot to free.
pub type Given = BTreeMap<usize, usize>;

static GIVEN: Mutex<Given> = Mutex::new(BTreeMap::new());

/// Locks the table.
pub fn given() -> MutexGuard<'static, Given> {
    lock(&GIVEN)
}

/// Hands a text to C.
pub fn give(text: CString) -> *mut c_char {
    let text = text.into_bytes_with_nul().into_boxed_slice();
    let length = text.len();
    let place = Box::into_raw(text).cast::<c_char>();
    given().insert(!place.expose_provenance(), length);
    place
}

/// Frees the text at `address`, or fails with `SQLITE_MISUSE`.
pub fn take_back(address: usize) -> Result<()> {
    let length = given().remove(&!address).ok_or_else(|| {
        misuse("this is no text that this library gave, or it was freed already; nothing was freed")
    })?;
    let text = ptr::slice_from_raw_parts_mut(ptr::with_exposed_provenance_mut::<u8>(address), length);
    // SAFETY: handed out with that length, and not taken back before.
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
