//! An open file of the reader VFS, as it lies in memory.

#![allow(unsafe_code)]

use rusqlite::ffi;

use crate::backup::snapshot::wal_frames::HEADER;

/// What is held in WAL mode.
#[derive(Clone, Copy)]
pub struct Held {
    /// The WAL may be overwritten, since the database file holds all of the snapshot: the lock is that of read mark 0.
    pub without_wal: bool,
    /// The header of the WAL index.
    pub header: [u8; HEADER],
}

/// What is known of an open file's WAL.
pub struct WalState {
    /// The first region of the WAL index, or NULL.
    pub index: *const u8,
    /// What a read transaction holds.
    pub held: Option<Held>,
}

/// An open file as SQLite sees it: its base class first; behind it, the file object of the VFS below.
#[repr(C)]
pub struct ReaderFile {
    /// What SQLite knows of it.
    pub base: ffi::sqlite3_file,
    /// A `Box`, given back in `x_close`.
    pub wal: *mut WalState,
}

/// The file object of the VFS below.
///
/// # Safety
///
/// `file` has the size that our VFS asked for.
pub unsafe fn below(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the memory of a file is that of ours and of the file below, one behind the other.
    unsafe { file.cast::<ReaderFile>().add(1).cast() }
}
