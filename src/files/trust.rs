//! Whether a file in a directory for all was put there by somebody who has no say in it.
//!
//! # Promise
//!
//! In a directory that everybody may write (`/tmp`, with or without the sticky bit), a file is a stranger's unless it belongs to the caller,
//! to root or to the directory's owner. Anywhere else whoever can put a file there was given the right to.
//!
//! # How
//!
//! Asked of the opened file: its name may lead to another one a moment later.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};

/// The number of the stranger whose file it is, if so.
///
/// # Errors
///
/// When that cannot be said.
#[cfg(unix)]
pub fn stranger(file: &File, path: &Path) -> Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt;
    let directory = super::parent_of(path);
    let around = std::fs::metadata(directory).map_err(|error| Error::io("look at", directory, &error))?;
    let owner = file.metadata().map_err(|error| Error::io("look at", path, &error))?.uid();
    let caller = rustix::process::geteuid().as_raw();
    let trusted = around.mode() & 0o002 == 0 || [caller, 0, around.uid()].contains(&owner);
    Ok((!trusted).then_some(owner))
}

/// The same where files have no such owners: nobody.
#[cfg(not(unix))]
pub fn stranger(_file: &File, _path: &Path) -> Result<Option<u32>> {
    Ok(None)
}

/// The refusal to delete on the word of a stranger's file.
pub fn refusal(path: &Path, owner: u32) -> Error {
    Error::usage(format!(
        "'{}' belongs to user {owner}, and everybody may write its directory, so nothing is deleted on its word; use a directory that only \
         those may write who share the queue, or make the catalog your own (chown) if you believe it",
        path.display()
    ))
}
