//! A VFS for databases without a name: SQLite gets their content from us instead of opening a file.
//!
//! # Promise
//!
//! - **No name is looked up.** A connection on a [`File`](std::fs::File) ([`connect`]) works on that very
//!   file, whatever its name is now. So the owner of the file's directory cannot make SQLite open another
//!   one: no link is followed, and no `-journal` or `-wal` is created, looked for or deleted.
//! - **Nothing is locked.** The file is this process's alone. A lock of ours on the file, which on Windows
//!   and SMB keeps everybody else from reading and writing, does not affect SQLite, which uses the descriptor
//!   that has the lock.
//! - A content has a name only while [`offer`] runs, and only for the first open: SQL cannot reach it. The
//!   VFS is registered once per process, never as the default. Its name contains an address in this library,
//!   as two copies of queuekeeper may be loaded. No callback lets a panic out.
//!
//! # Why no private directory
//!
//! The owner of a directory can rename everything in it, even a directory of mode 0700 that root has just
//! made, and put something else in its place. A path through it is never safe, however it is checked, nor is
//! `/proc/self/fd/N/NAME`: since 3.39, SQLite resolves all links of a path and opens the result. Comparing
//! inodes after opening is too late for what opening itself does, and SQLite does not tell which file it has
//! open. A descriptor cannot be swapped, needs no `/proc`, and works on every system.
//!
//! # How
//!
//! A rollback journal is accepted and discarded, so after a failed write the whole content is discarded.
//! Files that have no name for SQLite either (sorters, VACUUM's copy) go to SQLite's own VFS as usual.

mod file;
mod vfs;

use std::collections::BTreeMap;
use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, OpenFlags, ffi};

pub use self::file::{Access, connect, with_uri};
use super::auto_extensions;
use super::threads::lock;
use crate::error::Result;

/// A file's content for SQLite. Errors are SQLite's result codes.
pub trait Content: Send {
    /// Fills `target`, with zeros past the end; returns whether there was enough content.
    fn read(&mut self, offset: u64, target: &mut [u8]) -> std::result::Result<bool, c_int>;
    fn write(&mut self, offset: u64, bytes: &[u8]) -> std::result::Result<(), c_int>;
    fn set_length(&mut self, length: u64) -> std::result::Result<(), c_int>;
    fn length(&mut self) -> std::result::Result<u64, c_int>;
    /// The system's last error, or 0.
    fn errno(&self) -> c_int {
        0
    }
    /// Flags (`SQLITE_IOCAP_…`).
    fn characteristics(&self) -> c_int {
        0
    }
}

/// A content that SQLite uses, and perhaps we.
pub type Shared = Arc<Mutex<dyn Content>>;

pub(super) struct State {
    registered: bool,
    /// The contents that SQLite is to open next, by name.
    waiting: BTreeMap<String, Shared>,
}

static STATE: Mutex<State> = Mutex::new(State { registered: false, waiting: BTreeMap::new() });
static NEXT: AtomicU64 = AtomicU64::new(1);

pub(super) fn state() -> MutexGuard<'static, State> {
    lock(&STATE)
}

/// Runs `open` with the name of a VFS and of a file on it that leads to `content`, once.
pub fn offer<T>(content: &Shared, open: impl FnOnce(&CStr, &str) -> T) -> Result<T> {
    let vfs = vfs::registered()?;
    let name = format!("/queuekeeper-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    state().waiting.insert(name.clone(), Arc::clone(content));
    let opened = open(vfs, &name);
    state().waiting.remove(&name);
    Ok(opened)
}

/// Connects to `content`, which may be a stranger's, so no functions of others remain on the connection.
/// Fails if an auto-extension began a transaction.
pub fn connect_to(content: &Shared, access: OpenFlags) -> Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let conn = offer(content, |vfs, name| Connection::open_with_flags_and_vfs(name, flags, vfs))??;
    auto_extensions::refuse_begun(&conn)?;
    auto_extensions::disown(&conn)?;
    Ok(conn)
}

/// A journal that is never read.
struct Forgotten;

impl Content for Forgotten {
    fn read(&mut self, _: u64, target: &mut [u8]) -> std::result::Result<bool, c_int> {
        target.fill(0);
        Ok(false)
    }

    fn write(&mut self, _: u64, _: &[u8]) -> std::result::Result<(), c_int> {
        Ok(())
    }

    fn set_length(&mut self, _: u64) -> std::result::Result<(), c_int> {
        Ok(())
    }

    fn length(&mut self) -> std::result::Result<u64, c_int> {
        Ok(0)
    }
}

/// The content that SQLite wants to open under this name.
fn found(name: &CStr, flags: c_int) -> Option<Shared> {
    if flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0 {
        return Some(Arc::new(Mutex::new(Forgotten)));
    }
    let content = state().waiting.remove(name.to_str().ok()?);
    content.filter(|_| flags & ffi::SQLITE_OPEN_MAIN_DB != 0)
}
