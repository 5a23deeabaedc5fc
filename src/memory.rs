//! Allocations that may fail.
//!
//! # Promise
//!
//! If the process is refused the memory that an operation needs, the operation fails with `SQLITE_NOMEM`, and
//! the process goes on.
//!
//! # How
//!
//! SQLite reports a failed allocation; Rust aborts the process, unless the allocation is fallible. So large
//! buffers, and lists that grow with the database, come from [`zeros`], [`filled`], [`grow`], [`push`],
//! [`collected`] and [`copied`]. Before a library or a thread allocates its own, [`require`] checks that as
//! much is left. All of them leave a [`MARGIN`] for small allocations. The amount left is known where the
//! process has a limit (`ulimit -v` and `-d`, on Linux).
//!
//! Small allocations that fail all the same are served from a reserve ([`allocator`]), and [`check`] then
//! ends the operation. It is called wherever interrupts are checked, files or the schema are read, and before
//! each large allocation, so that the reserve lasts until then.
//!
//! What remains: Rust's standard library allocates 48 bytes per thread past every allocator, and aborts if
//! they are refused; [`look_for`] tries an allocation first. Its backtrace of a panic (`RUST_BACKTRACE`) can
//! exceed the reserve. A catalog or history of more than a megabyte grows in pieces larger than the
//! reserve's; for a catalog, [`require`] checks first. And a system that overcommits kills processes by
//! itself.

use std::io;

use rusqlite::ffi;

use crate::error::{Error, Result};
use crate::host::allocator;

/// Left for all small allocations of an operation. Without an arena of its own, each allocation of a thread
/// takes a page.
const MARGIN: usize = 2 << 20;

/// Allocated on trial before each larger step.
const TRIAL: usize = 16 << 10;

/// Begins a call with the whole reserve, whatever earlier calls used of it.
pub fn begin() -> Result<()> {
    allocator::forget();
    require(0)?;
    // Allocates the thread's handle now, while there is memory.
    let _ = std::thread::current();
    Ok(())
}

/// Fails if an allocation was refused since [`begin`] and came from the reserve.
pub fn check() -> Result<()> {
    if allocator::was_refused() { Err(out_of_memory()) } else { Ok(()) }
}

fn out_of_memory() -> Error {
    Error::new(
        ffi::SQLITE_NOMEM,
        "out of memory: the system refuses this process more; raise its limit, or free some",
    )
}

pub fn zeros(length: usize) -> io::Result<Vec<u8>> {
    filled(length, 0)
}

pub fn filled<T: Clone>(length: usize, element: T) -> io::Result<Vec<T>> {
    look_for(length.saturating_mul(size_of::<T>()))?;
    let mut list = Vec::new();
    list.try_reserve_exact(length)?;
    // The reserve is for allocations that cannot fail.
    if allocator::was_refused() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    list.resize(length, element);
    Ok(list)
}

/// Reserves room for more elements.
pub fn grow<T>(list: &mut Vec<T>, more: usize) -> Result<()> {
    if list.capacity() - list.len() >= more {
        return Ok(());
    }
    // A growing list doubles.
    require(list.len().saturating_add(more).saturating_mul(2 * size_of::<T>()))?;
    list.try_reserve(more).map_err(|_| out_of_memory())
}

/// Pushes to a list whose length others decide.
pub fn push<T>(list: &mut Vec<T>, element: T) -> Result<()> {
    check()?;
    grow(list, 1)?;
    list.push(element);
    Ok(())
}

/// Collects a list whose length others decide.
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

/// Copies bytes whose number others decide.
pub fn copied(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    grow(&mut copy, bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// Fails if fewer bytes are left.
pub fn look_for(length: usize) -> io::Result<()> {
    // Rust's standard library allocates per thread past every allocator, so some memory should be free.
    Vec::<u8>::new().try_reserve_exact(TRIAL)?;
    if allocator::was_refused() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    match left() {
        Some(left) if left < length.saturating_add(MARGIN) => Err(io::ErrorKind::OutOfMemory.into()),
        _ => Ok(()),
    }
}

/// The same with an error that names no path.
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

/// The bytes left under the process's limit of address space or data, if it has one.
#[cfg(target_os = "linux")]
fn left() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};
    let limits = [getrlimit(Resource::As).current, getrlimit(Resource::Data).current];
    if limits == [None, None] {
        return None;
    }
    // In pages: the first number is the address space, the sixth data and stack (proc_pid_statm(5)).
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
