//! Which files in a shared directory to trust, and what to do when a name was swapped.
//!
//! # Promise
//!
//! In a world-writable directory (`/tmp`, with or without the sticky bit), a file is a stranger's unless it
//! belongs to the caller, root or the directory's owner. Anywhere else, whoever can create a file there was
//! given the right to.
//!
//! # How
//!
//! The owner is read from the opened file: its name may lead to another one a moment later.
//!
//! # Names
//!
//! Without the sticky bit, whoever may write a directory can rename any file in it at any time. So:
//!
//! - What this process makes there is written by descriptor, by SQLite too (see
//!   [`unnamed_files`](crate::host::unnamed_files)).
//! - The last component of a path that we create is never followed as a link.
//! - A file that was just named, or is deleted by the name it was opened by, is compared by device and inode.
//! - A catalog's directory is opened once, and all work on the catalog happens in it.
//! - A swap is an error that names the directory and its owner ([`swapped`]).
//!
//! The directory itself may be a link: people put backups on other disks that way.

#[cfg(unix)]
mod path_walk;

use std::fs::File;
#[cfg(unix)]
use std::fs::Metadata;
use std::path::Path;

use rusqlite::ffi::SQLITE_CANTOPEN;

use super::Directory;
use crate::error::{Error, Result};
#[cfg(unix)]
use path_walk::PathWalk;

/// The owner's user id, if the file is a stranger's.
#[cfg(unix)]
pub fn stranger(file: &File, directory: &Directory, path: &Path) -> Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt;
    let around = directory.metadata().map_err(|error| Error::io("look at", directory.path(), &error))?;
    let owner = file.metadata().map_err(|error| Error::io("look at", path, &error))?.uid();
    let caller = rustix::process::geteuid().as_raw();
    let trusted = around.mode() & 0o002 == 0 || [caller, 0, around.uid()].contains(&owner);
    Ok((!trusted).then_some(owner))
}

/// Without file owners, there are no strangers.
#[cfg(not(unix))]
pub fn stranger(_file: &File, _directory: &Directory, _path: &Path) -> Result<Option<u32>> {
    Ok(None)
}

/// The error for a deletion that only a stranger's file asks for.
pub fn refusal(path: &Path, owner: u32) -> Error {
    Error::usage(format!(
        "'{}' belongs to user {owner}, and everybody may write its directory, so nothing is deleted on its word; use a directory that only \
         those may write who share the queue, or make the catalog your own (chown) if you believe it",
        path.display()
    ))
}

/// Users other than the caller and root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    One(u32),
    Several,
}

/// The users, besides root, who can read what root writes to a database.
#[derive(Clone, Copy)]
pub struct Heir {
    /// The owner and who may replace the file; root counts as one.
    users: Users,
    /// Read bits and group, if others than the owner may write rows.
    readers: Option<(u32, u32)>,
}

/// Determines who can read what root writes to the database at `path`: its owner, who could swap the file
/// during this lookup, and the mode's readers if others than the owner may write its rows.
#[cfg(unix)]
pub fn heir(path: &Path) -> Option<Heir> {
    use std::os::unix::fs::MetadataExt;
    if !is_root() {
        return None;
    }
    let found = std::fs::metadata(path).ok();
    let users = Users::both(found.as_ref().and_then(Users::owner), PathWalk::to(path).renamers);
    let shared = found.filter(|found| found.mode() & 0o022 != 0);
    let readers = shared.map(|found| (found.mode() & 0o044, found.gid()));
    (users.is_some() || readers.is_some()).then(|| Heir { users: users.unwrap_or(Users::One(0)), readers })
}

#[cfg(not(unix))]
pub fn heir(_path: &Path) -> Option<Heir> {
    None
}

/// Whether the caller is root and other users may rename this path at any moment.
pub fn others_rename(path: &Path) -> bool {
    #[cfg(unix)]
    return is_root() && PathWalk::to(path).renamers.is_some();
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Fails if `heir` would get the content of a file that is another user's, or that some of its readers may
/// not read.
pub fn refuse_to_pass(file: &File, path: &Path, heir: Heir) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = file.metadata().map_err(|error| Error::io("look at", path, &error))?;
        let whose = match heir.users {
            Users::One(user) if user == found.uid() => match heir.readers {
                Some(readers) if !may_all_read(&found, readers) => "a database that more users may read".to_owned(),
                _ => return Ok(()),
            },
            Users::One(user) => format!("a database of user {user}"),
            Users::Several => "a database that several users may replace".to_owned(),
        };
        Err(Error::usage(format!(
            "'{}' belongs to user {}, and only rows in {whose} say that it is a backup of it, so root does not restore it as 'latest'; \
             pass its path or its id if you know that it is",
            path.display(),
            found.uid()
        )))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path, heir);
        Ok(())
    }
}

/// For root: the users who may have redirected the directory's path by a link.
pub fn leaders(directory: &Directory) -> Option<Users> {
    #[cfg(unix)]
    return if is_root() { PathWalk::leaders(directory) } else { None };
    #[cfg(not(unix))]
    {
        let _ = directory;
        None
    }
}

/// Fails if a file does not belong to the user who may have redirected its path.
pub fn refuse_redirected(directory: &Directory, path: &Path, leaders: Users) -> Result<()> {
    let Some(owner) = directory.metadata_of(path)?.and_then(|found| found.owner()) else { return Ok(()) };
    let who = match leaders {
        Users::One(user) if user == owner => return Ok(()),
        Users::One(user) => format!("user {user}"),
        Users::Several => "several users".to_owned(),
    };
    let real = directory.real_path().unwrap_or_else(|| directory.path().to_path_buf());
    Err(Error::usage(format!(
        "'{}' belongs to user {owner}, and what {who} may change leads there by a link, so root neither restores, deletes nor replaces it by \
         this path; if it is meant, pass its path without the link: '{}'",
        path.display(),
        real.join(path.file_name().unwrap_or_default()).display()
    )))
}

/// Whether the group and others, so far as `bits` admits them, may read a file.
#[cfg(unix)]
fn may_all_read(found: &Metadata, (bits, group): (u32, u32)) -> bool {
    use std::os::unix::fs::MetadataExt;
    let others = found.mode() & 0o004 != 0;
    let grouped = found.mode() & 0o040 != 0 && (others || found.gid() == group);
    (bits & 0o004 == 0 || others) && (bits & 0o040 == 0 || grouped)
}

/// Whether `name` still leads to `file`; assumed where nobody else may rename files in the directory.
pub(super) fn is_named(file: &File, directory: &Directory, name: &Path) -> Result<bool> {
    // Some file systems report another inode for each name.
    Ok(directory.names_file(name, file)? || is_safe(directory))
}

/// Whether only the caller and root may rename the caller's files there, as far as known.
pub(super) fn is_safe(directory: &Directory) -> bool {
    #[cfg(unix)]
    return directory.metadata().is_ok_and(|around| Users::renaming(&around).is_none());
    #[cfg(not(unix))]
    {
        let _ = directory;
        true
    }
}

/// The error for a file that was swapped since it was last seen.
pub fn swapped(path: &Path) -> Error {
    #[cfg(unix)]
    use std::os::unix::fs::MetadataExt;
    let directory = super::parent_of(path);
    #[cfg(unix)]
    let owner = std::fs::metadata(directory)
        .ok()
        .filter(|around| Users::renaming(around).is_some())
        .map(|around| around.uid());
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
