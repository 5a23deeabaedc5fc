//! Databases without a name: SQLite gets their content from us where it would open a file.
//!
//! # Promise
//!
//! - **No name is looked up.** A connection on a [`File`](std::fs::File) ([`connect`]) works on that very file, whatever became of its
//!   name. So whoever owns the directory of a file cannot have SQLite open another one: no symbolic link is followed, no `-journal` or
//!   `-wal` is made, looked for or deleted beside it.
//! - **Nothing is locked.** The file is this process's alone. A lock that it holds on the file itself, which on Windows and on SMB keeps
//!   everybody else from reading and writing, does not keep SQLite out, since that works through the descriptor that has the lock.
//! - A content is known by its name only while [`offer`] runs, and is taken off the list by the first open: nobody can reach it through
//!   SQL. The VFS is registered once per process, never as the default, under a name that contains the address of this very library,
//!   because two copies of queuekeeper may be loaded. No callback lets a panic out.
//!
//! # Why no private directory
//!
//! Whoever owns a directory can rename everything in it, a directory of mode 0700 that root has just made in it as well, and put
//! something else in its place. A path through it is never safe, however it is checked before, nor is `/proc/self/fd/N/NAME`:
//! since 3.39, SQLite resolves all links of a path and opens what comes out. Comparing inodes after opening comes too late for
//! what opening does by itself, and SQLite does not say which file it has open. A descriptor cannot be swapped, needs no `/proc`, and
//! is the same on every system.
//!
//! # How
//!
//! A rollback journal is taken and forgotten, so a content that SQLite writes to is given up if that fails. What has no name for SQLite
//! either (sorters, the copy that VACUUM makes) lies where it always does: SQLite's own VFS makes it.

mod file;
mod vfs;

use std::collections::BTreeMap;
use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, OpenFlags, ffi};

pub use self::file::{Access, connect, with_uri};
use super::openings;
use super::threads::lock;
use crate::error::Result;

/// What SQLite takes for a file. Errors are result codes of SQLite's.
pub trait Content: Send {
    /// Fills `target` as far as there is something; true when all of it was filled. The rest is zero.
    fn read(&mut self, offset: u64, target: &mut [u8]) -> std::result::Result<bool, c_int>;
    /// Takes what SQLite writes.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> std::result::Result<(), c_int>;
    /// Cuts or extends it.
    fn set_length(&mut self, length: u64) -> std::result::Result<(), c_int>;
    /// Its length.
    fn length(&mut self) -> std::result::Result<u64, c_int>;
    /// The last error of the system, 0 if there was none.
    fn errno(&self) -> c_int {
        0
    }
    /// What the file is capable of (`SQLITE_IOCAP_…`).
    fn characteristics(&self) -> c_int {
        0
    }
}

/// A content that SQLite has, and perhaps we.
pub type Shared = Arc<Mutex<dyn Content>>;

/// What is known of the VFS.
pub(super) struct State {
    registered: bool,
    /// The contents that SQLite is to open next, by their names.
    waiting: BTreeMap<String, Shared>,
}

static STATE: Mutex<State> = Mutex::new(State { registered: false, waiting: BTreeMap::new() });
static NEXT: AtomicU64 = AtomicU64::new(1);

pub(super) fn state() -> MutexGuard<'static, State> {
    lock(&STATE)
}

/// Runs `open` with the name of a VFS and that of a file on it, which leads to `content`, once.
///
/// # Errors
///
/// When SQLite has no memory left to register the VFS.
pub fn offer<T>(content: &Shared, open: impl FnOnce(&CStr, &str) -> T) -> Result<T> {
    let vfs = vfs::registered()?;
    let name = format!("/queuekeeper-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    state().waiting.insert(name.clone(), Arc::clone(content));
    let opened = open(vfs, &name);
    state().waiting.remove(&name);
    Ok(opened)
}

/// A connection whose main database is `content`, and may be a stranger's: it calls no function of others.
///
/// # Errors
///
/// When SQLite has no memory left, or an auto-extension began a transaction.
pub fn connect_to(content: &Shared, access: OpenFlags) -> Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let conn = offer(content, |vfs, name| Connection::open_with_flags_and_vfs(name, flags, vfs))??;
    openings::refuse_begun(&conn)?;
    openings::disown(&conn)?;
    Ok(conn)
}

/// A journal that nobody will read.
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

/// What SQLite wants to open under this name.
fn found(name: &CStr, flags: c_int) -> Option<Shared> {
    if flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0 {
        return Some(Arc::new(Mutex::new(Forgotten)));
    }
    let content = state().waiting.remove(name.to_str().ok()?);
    content.filter(|_| flags & ffi::SQLITE_OPEN_MAIN_DB != 0)
}
