//! An open file as a database.

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags, ffi};

use super::{Content, Shared, connect_to, offer};
use crate::error::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nobody changes the file, and a WAL that its header mentions is ignored.
    Read,
    Write,
}

/// Connects to the database in a file. A file that is not a database fails only when it is read.
pub fn connect(file: File, access: Access) -> Result<Connection> {
    let flags = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    connect_to(&shared(file, access), flags)
}

/// Runs `work` with the file's URI, for one `ATTACH` or `VACUUM INTO` on a connection that accepts URIs.
pub fn with_uri<T>(file: File, work: impl FnOnce(&str) -> T) -> Result<T> {
    offer(&shared(file, Access::Write), |vfs, name| work(&format!("file:{name}?vfs={}", vfs.to_string_lossy())))
}

fn shared(file: File, access: Access) -> Shared {
    Arc::new(Mutex::new(OpenFile { file, access, errno: 0 }))
}

struct OpenFile {
    file: File,
    access: Access,
    errno: c_int,
}

impl OpenFile {
    /// Records the system's error, and returns the result code.
    fn code<T>(&mut self, outcome: io::Result<T>, code: c_int) -> std::result::Result<T, c_int> {
        outcome.map_err(|error| {
            self.errno = error.raw_os_error().unwrap_or_default();
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded if code == ffi::SQLITE_IOERR_WRITE => {
                    ffi::SQLITE_FULL
                }
                _ => code,
            }
        })
    }
}

impl Content for OpenFile {
    fn read(&mut self, offset: u64, target: &mut [u8]) -> std::result::Result<bool, c_int> {
        let mut length = 0;
        while let Some(rest) = target.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match read_at(&self.file, rest, offset + length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                failed => return self.code(failed, ffi::SQLITE_IOERR_READ).map(|_| false),
            }
        }
        let whole = length == target.len();
        target[length..].fill(0);
        if !whole {
            self.errno = 0;
        }
        Ok(whole)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> std::result::Result<(), c_int> {
        let mut length = 0;
        while let Some(rest) = bytes.get(length..).filter(|rest| !rest.is_empty()) {
            match write_at(&self.file, rest, offset + length as u64) {
                Ok(0) => return Err(ffi::SQLITE_FULL),
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                failed => return self.code(failed, ffi::SQLITE_IOERR_WRITE).map(|_| ()),
            }
        }
        Ok(())
    }

    fn set_length(&mut self, length: u64) -> std::result::Result<(), c_int> {
        let done = self.file.set_len(length);
        self.code(done, ffi::SQLITE_IOERR_TRUNCATE)
    }

    fn length(&mut self) -> std::result::Result<u64, c_int> {
        let found = self.file.metadata();
        Ok(self.code(found, ffi::SQLITE_IOERR_FSTAT)?.len())
    }

    fn errno(&self) -> c_int {
        self.errno
    }

    fn characteristics(&self) -> c_int {
        match self.access {
            Access::Read => ffi::SQLITE_IOCAP_IMMUTABLE,
            Access::Write => ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE,
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, target: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, target, offset)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, target: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, target, offset)
}

#[cfg(windows)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}
