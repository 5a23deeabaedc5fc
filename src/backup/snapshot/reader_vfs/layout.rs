//! The memory layout of an open file of the reader VFS.

#![allow(unsafe_code)]

use rusqlite::ffi;

use crate::backup::snapshot::wal_frames::HEADER;

/// What a read transaction holds in WAL mode.
#[derive(Clone, Copy)]
pub struct Held {
    /// The lock is that of read mark 0: the database file has all of the snapshot, and the WAL may be
    /// overwritten.
    pub without_wal: bool,
    /// Of the WAL index.
    pub header: [u8; HEADER],
}

/// The state of an open file's WAL.
pub struct WalState {
    /// The first region of the WAL index, or NULL.
    pub index: *const u8,
    /// By a read transaction.
    pub held: Option<Held>,
}

/// An open file: SQLite's base struct first; the file object of the VFS below follows it.
#[repr(C)]
pub struct ReaderFile {
    pub base: ffi::sqlite3_file,
    /// A `Box`, freed in `x_close`.
    pub wal: *mut WalState,
}

/// The file object of the VFS below.
///
/// # Safety
///
/// `file` has the size that our VFS declares.
pub unsafe fn below(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the memory holds our file object, followed by that of the file below.
    unsafe { file.cast::<ReaderFile>().add(1).cast() }
}
