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
//!
//! # Names
//!
//! Whoever may write a directory can give any name in it to another file at any time, unless it has the sticky bit. So what this process
//! makes there is written through its descriptor, SQLite included (see [`unnamed`](crate::host::unnamed)); the last component of a
//! path is never followed as a link where it is ours to make; and what got a name, or is deleted by the one that it was opened by, is
//! compared by device and inode. A catalog's directory is opened once, and all that is done for the catalog is done in that. What was
//! swapped is an error that names the directory and its owner ([`swapped`]). A directory itself may be a link to
//! another one: people put backups on other disks that way.

use std::fs::File;
#[cfg(unix)]
use std::fs::Metadata;
use std::path::Path;

use rusqlite::ffi::SQLITE_CANTOPEN;

use super::Directory;
use crate::error::{Error, Result};

/// The number of the stranger whose file it is, if so.
///
/// # Errors
///
/// When that cannot be said.
#[cfg(unix)]
pub fn stranger(file: &File, directory: &Directory, path: &Path) -> Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt;
    let around = directory.metadata().map_err(|error| Error::io("look at", directory.path(), &error))?;
    let owner = file.metadata().map_err(|error| Error::io("look at", path, &error))?.uid();
    let caller = rustix::process::geteuid().as_raw();
    let trusted = around.mode() & 0o002 == 0 || [caller, 0, around.uid()].contains(&owner);
    Ok((!trusted).then_some(owner))
}

/// The same where files have no such owners: nobody.
#[cfg(not(unix))]
pub fn stranger(_file: &File, _directory: &Directory, _path: &Path) -> Result<Option<u32>> {
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

/// Who gets to read what this process writes to a database, where this is root and that is somebody else.
#[derive(Clone, Copy)]
pub enum Heir {
    /// The owner, or the one user who may replace the file.
    User(u32),
    /// All who may rename what lies in one of its directories.
    Several,
}

/// Who gets to read what is written to the database at `path`: its owner, and who may put a file of another owner in its place for the
/// moment of this look.
#[cfg(unix)]
pub fn heir(path: &Path) -> Option<Heir> {
    use std::os::unix::fs::MetadataExt;
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let owner = std::fs::metadata(path).map_or(0, |found| found.uid());
    let renamers = path.ancestors().skip(1).filter_map(|around| renamer(&std::fs::metadata(around).ok()?));
    let mut users = Some(owner).filter(|owner| *owner != 0).into_iter().chain(renamers);
    let user = users.next()?;
    Some(if user != 0 && users.all(|other| other == user) { Heir::User(user) } else { Heir::Several })
}

#[cfg(not(unix))]
pub fn heir(_path: &Path) -> Option<Heir> {
    None
}

/// Refuses to let `heir` have the content of a file that is not that user's.
///
/// # Errors
///
/// Whose it is.
pub fn refuse_to_pass(file: &File, path: &Path, heir: Heir) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let owner = file.metadata().map_err(|error| Error::io("look at", path, &error))?.uid();
        let whose = match heir {
            Heir::User(user) if user == owner => return Ok(()),
            Heir::User(user) => format!("a database of user {user}"),
            Heir::Several => "a database that several users may replace".to_owned(),
        };
        Err(Error::usage(format!(
            "'{}' belongs to user {owner}, and only rows in {whose} say that it is a backup of it, so root does not restore it as 'latest'; \
             pass its path or its id if you know that it is",
            path.display()
        )))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path, heir);
        Ok(())
    }
}

/// Whether a file that was just given a name, or opened by it, has it. Where nobody else may rename what lies there, it does.
///
/// # Errors
///
/// When that cannot be said.
pub(super) fn is_named(file: &File, directory: &Directory, name: &Path) -> Result<bool> {
    // Some file systems give a file another inode with each name.
    Ok(directory.holds(name, file)? || is_safe(directory))
}

/// Whether nobody but the caller and root may rename what the caller has made there, as far as that is known.
pub(super) fn is_safe(directory: &Directory) -> bool {
    #[cfg(unix)]
    return directory.metadata().is_ok_and(|around| renamer(&around).is_none());
    #[cfg(not(unix))]
    {
        let _ = directory;
        true
    }
}

/// The owner of a directory, if anybody but the caller and root may rename what the caller has made there.
#[cfg(unix)]
fn renamer(around: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let shared = around.mode() & 0o022 != 0 && around.mode() & 0o1000 == 0;
    let foreign = ![0, rustix::process::geteuid().as_raw()].contains(&around.uid());
    (shared || foreign).then_some(around.uid())
}

/// The refusal of a file that is another one than it was a moment before.
pub fn swapped(path: &Path) -> Error {
    let directory = super::parent_of(path);
    #[cfg(unix)]
    let owner = std::fs::metadata(directory).ok().and_then(|around| renamer(&around));
    #[cfg(not(unix))]
    let owner: Option<u32> = None;
    let why = match owner {
        Some(owner) => format!(
            "somebody who may write the directory '{}', which belongs to user {owner}, has put something else in its place; nothing outside \
             of that directory was changed; use a directory that only those may write whom you trust",
            directory.display()
        ),
        None => "it was moved, replaced or deleted meanwhile; call again".to_owned(),
    };
    Error::new(SQLITE_CANTOPEN, format!("'{}' is not the file that it was: {why}", path.display()))
}
