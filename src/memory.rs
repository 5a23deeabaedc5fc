//! Memory that may be lacking.
//!
//! # Promise
//!
//! Where a process may not have as much memory as a work needs, the work ends with `SQLITE_NOMEM`, and the process goes on.
//!
//! # How
//!
//! Rust ends the process when it is refused memory, unless it is asked in a way that can fail. SQLite can be refused at any
//! time, and says so. So the large pieces, buffers and lists that grow with the database, are asked for with [`zeros`], [`filled`],
//! [`grow`], [`push`], [`collected`] and [`copied`], and before a library or a thread takes one of its own, [`require`] looks whether as much is left. All leave a
//! [`MARGIN`] for the small pieces. What is left is known where the process has a limit (`ulimit -v` and `-d`, on Linux).
//!
//! Small pieces that are refused all the same come from a reserve ([`allocator`]), and [`check`] then ends the work. It is asked
//! where interrupts are, wherever a file or the schema is looked at, and before each large piece, so that the reserve lasts until then.
//!
//! What remains: Rust's own library takes 48 bytes for each thread past every allocator, and ends the process if just those are
//! refused; [`look_for`] tries before whether there is some memory. Its trace of a panic (`RUST_BACKTRACE`) can take more than the
//! reserve. A catalog or a history of more than a megabyte grows in pieces that are larger than the reserve's; for a
//! catalog, [`require`] looks first. And a system that promises more than it has ends processes by itself.

use std::io;

use rusqlite::ffi;

use crate::error::{Error, Result};
use crate::host::allocator;

/// What all small pieces of a work together stay below. Without an arena of its own, each piece of a thread takes a page.
const MARGIN: usize = 2 << 20;

/// What is tried before each larger piece of work.
const TRIAL: usize = 16 << 10;

/// Begins a call with the whole reserve, whatever the call before it was refused.
pub fn begin() -> Result<()> {
    allocator::forget();
    require(0)?;
    // Made now, it need not be when there is no memory.
    let _ = std::thread::current();
    Ok(())
}

/// Ends a work that has been refused memory. Until here it has lived on the reserve.
pub fn check() -> Result<()> {
    if allocator::was_refused() { Err(out_of_memory()) } else { Ok(()) }
}

fn out_of_memory() -> Error {
    Error::new(
        ffi::SQLITE_NOMEM,
        "out of memory: the system refuses this process more; raise its limit, or free some",
    )
}

/// A buffer of this many zeros.
pub fn zeros(length: usize) -> io::Result<Vec<u8>> {
    filled(length, 0)
}

/// A list of this many elements.
pub fn filled<T: Clone>(length: usize, element: T) -> io::Result<Vec<T>> {
    look_for(length.saturating_mul(size_of::<T>()))?;
    let mut list = Vec::new();
    list.try_reserve_exact(length)?;
    // The reserve is for what cannot be asked for in this way.
    if allocator::was_refused() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    list.resize(length, element);
    Ok(list)
}

/// Makes room for more elements of a list.
pub fn grow<T>(list: &mut Vec<T>, more: usize) -> Result<()> {
    if list.capacity() - list.len() >= more {
        return Ok(());
    }
    // It becomes twice as long.
    require(list.len().saturating_add(more).saturating_mul(2 * size_of::<T>()))?;
    list.try_reserve(more).map_err(|_| out_of_memory())
}

/// Adds an element to a list whose length others decide.
pub fn push<T>(list: &mut Vec<T>, element: T) -> Result<()> {
    check()?;
    grow(list, 1)?;
    list.push(element);
    Ok(())
}

/// A list of as many elements as others have made.
pub fn collected<T, E>(elements: impl IntoIterator<Item = std::result::Result<T, E>>) -> Result<Vec<T>>
where
    Error: From<E>,
{
    let mut list = Vec::new();
    for element in elements {
        push(&mut list, element?)?;
    }
    Ok(list)
}

/// A copy of bytes whose number others decide.
pub fn copied(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    grow(&mut copy, bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// Looks whether this many bytes are left.
pub fn look_for(length: usize) -> io::Result<()> {
    // What Rust's own library takes for a thread goes past every allocator, so some should be there.
    Vec::<u8>::new().try_reserve_exact(TRIAL)?;
    if allocator::was_refused() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    match left() {
        Some(left) if left < length.saturating_add(MARGIN) => Err(io::ErrorKind::OutOfMemory.into()),
        _ => Ok(()),
    }
}

/// The same for who has no path to name.
pub fn require(length: usize) -> Result<()> {
    check()?;
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

/// The bytes that the process may still have, if it has a limit and that is known: of addresses, or of what it may write.
#[cfg(target_os = "linux")]
fn left() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};
    let limits = [getrlimit(Resource::As).current, getrlimit(Resource::Data).current];
    if limits == [None, None] {
        return None;
    }
    // In pages: first all addresses, sixth those of data and stack (proc_pid_statm(5)).
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split(' ').map(|word| word.trim().parse::<u64>().ok());
    let used = [pages.next()??, pages.nth(4)??];
    let left = limits.into_iter().zip(used).filter_map(|(limit, used)| {
        let used = used.saturating_mul(rustix::param::page_size() as u64);
        limit.map(|limit| limit.saturating_sub(used))
    });
    usize::try_from(left.min()?).ok()
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
