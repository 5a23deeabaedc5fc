//! Memory that may be lacking.
//!
//! # Promise
//!
//! Where a process may not have as much memory as a work needs, the work ends with `SQLITE_NOMEM`, and the process goes on.
//!
//! # How
//!
//! Rust ends the process when it is refused memory, unless it is asked in a way that can fail. SQLite can be refused at any
//! time, and says so. So the large pieces, buffers and lists that grow with the database, are asked for with [`zeros`] and
//! `try_reserve`, and before a library or a thread takes one of its own, [`require`] looks whether as much is left. Both leave a
//! [`MARGIN`] for the small pieces, which cannot be refused, and each call begins with a look whether that is there.
//!
//! What is left is known where the process has a limit (`ulimit -v`, on Linux); without one, a system promises more than it has, and
//! refuses nothing. Trying a large piece instead would take from other threads, for a moment, what they cannot do without.
//!
//! What remains is a host whose own threads use up the margin meanwhile; nothing can be done about that in here.

use std::io;

use rusqlite::ffi;

use crate::error::{Error, Result};

/// What all small pieces of a work together stay below. Without an arena of its own, each piece of a thread takes a page.
const MARGIN: usize = 2 << 20;

/// A buffer of this many zeros.
///
/// # Errors
///
/// `OutOfMemory`, which becomes `SQLITE_NOMEM`.
pub fn zeros(length: usize) -> io::Result<Vec<u8>> {
    look_for(length)?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(length)?;
    buffer.resize(length, 0);
    Ok(buffer)
}

/// Looks whether this many bytes are left.
///
/// # Errors
///
/// As for [`zeros`].
pub fn look_for(length: usize) -> io::Result<()> {
    match left() {
        Some(left) if left < length.saturating_add(MARGIN) => Err(io::ErrorKind::OutOfMemory.into()),
        _ => Ok(()),
    }
}

/// The same for who has no path to name.
///
/// # Errors
///
/// `SQLITE_NOMEM`.
pub fn require(length: usize) -> Result<()> {
    look_for(length).map_err(|_| {
        let needed = length.saturating_add(MARGIN);
        Error::new(
            ffi::SQLITE_NOMEM,
            format!(
                "out of memory: this process may not have the {needed} bytes more that are needed; raise its limit"
            ),
        )
    })
}

/// The bytes that the process may still have, if it has a limit and that is known.
#[cfg(target_os = "linux")]
fn left() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};
    let limit = getrlimit(Resource::As).current?;
    // The first number is all that counts, in pages.
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').next()?.parse().ok()?;
    let used = pages.saturating_mul(rustix::param::page_size() as u64);
    usize::try_from(limit.saturating_sub(used)).ok()
}

#[cfg(not(target_os = "linux"))]
fn left() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_an_error() {
        assert_eq!(zeros(3).unwrap(), [0; 3]);
        require(1 << 20).unwrap();
        for length in [usize::MAX, isize::MAX as usize, 1 << 60] {
            assert_eq!(zeros(length).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        }
    }
}
