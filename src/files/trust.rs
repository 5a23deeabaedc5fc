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
#[cfg(unix)]
use super::way::Way;
use crate::error::{Error, Result};

/// The number of the stranger whose file it is, if so.
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

/// Other users than the caller and root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// One of them.
    One(u32),
    /// Several.
    Several,
}

/// Who, besides root, gets to read what root writes to a database.
#[derive(Clone, Copy)]
pub struct Heir {
    /// The owner and who may replace the file; root is one.
    users: Users,
    /// Who else may read it, as read bits and group, where others than the owner may write its rows.
    readers: Option<(u32, u32)>,
}

/// Who gets to read what root writes to the database at `path`: its owner, who may put a file of another owner in its place for the
/// moment of this look, and those whom its mode lets read it, if it lets others than the owner write its rows.
#[cfg(unix)]
pub fn heir(path: &Path) -> Option<Heir> {
    use std::os::unix::fs::MetadataExt;
    if !is_root() {
        return None;
    }
    let found = std::fs::metadata(path).ok();
    let users = Users::both(found.as_ref().and_then(Users::owner), Way::to(path).renamers);
    let shared = found.filter(|found| found.mode() & 0o022 != 0);
    let readers = shared.map(|found| (found.mode() & 0o044, found.gid()));
    (users.is_some() || readers.is_some()).then(|| Heir { users: users.unwrap_or(Users::One(0)), readers })
}

#[cfg(not(unix))]
pub fn heir(_path: &Path) -> Option<Heir> {
    None
}

/// Whether this is root, and others may give the name to another file at any moment.
pub fn others_rename(path: &Path) -> bool {
    #[cfg(unix)]
    return is_root() && Way::to(path).renamers.is_some();
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

/// Refuses to let `heir` have the content of a file that is not that user's, or closed to some who would get to read it.
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

/// To root, the users who may have chosen by a link that an open directory is the one that its path leads to.
pub fn leaders(directory: &Directory) -> Option<Users> {
    #[cfg(unix)]
    return if is_root() { Way::leaders(directory) } else { None };
    #[cfg(not(unix))]
    {
        let _ = directory;
        None
    }
}

/// Refuses a file that is not theirs who may have led its path there.
pub fn refuse_led(directory: &Directory, path: &Path, leaders: Users) -> Result<()> {
    let Some(owner) = directory.look(path)?.and_then(|found| found.owner()) else { return Ok(()) };
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

/// Whether the group and all others who have these read bits of a database may read a file.
#[cfg(unix)]
fn may_all_read(found: &Metadata, (bits, group): (u32, u32)) -> bool {
    use std::os::unix::fs::MetadataExt;
    let others = found.mode() & 0o004 != 0;
    let grouped = found.mode() & 0o040 != 0 && (others || found.gid() == group);
    (bits & 0o004 == 0 || others) && (bits & 0o040 == 0 || grouped)
}

/// Whether a file that was just given a name, or opened by it, has it. Where nobody else may rename what lies there, it does.
pub(super) fn is_named(file: &File, directory: &Directory, name: &Path) -> Result<bool> {
    // Some file systems give a file another inode with each name.
    Ok(directory.holds(name, file)? || is_safe(directory))
}

/// Whether nobody but the caller and root may rename what the caller has made there, as far as that is known.
pub(super) fn is_safe(directory: &Directory) -> bool {
    #[cfg(unix)]
    return directory.metadata().is_ok_and(|around| Users::renaming(&around).is_none());
    #[cfg(not(unix))]
    {
        let _ = directory;
        true
    }
}

/// The refusal of a file that is another one than it was a moment before.
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
