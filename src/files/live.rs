//! The live databases' files, which must not be touched, and opening one that may be.
//!
//! # How
//!
//! Files are compared by name and by identity (device and inode). SQLite deletes and recreates `-journal`,
//! `-wal` and `-shm`, and file systems reuse the inodes of deleted files, so identities are looked up at each
//! comparison. Only the databases' own identities are kept, in case one is renamed. A kept identity counts
//! only while this process has the file open, which keeps the inode from being reused.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Directory, Found, holders, look, with_suffix};
use crate::error::{Error, Result};

/// The suffixes of the files that SQLite keeps beside a database.
pub const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

#[cfg(unix)]
type FileId = (u64, u64);
#[cfg(not(unix))]
type FileId = PathBuf;

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<FileId> {
    fs::canonicalize(path).ok()
}

pub fn same_file(one: &Path, other: &Path) -> bool {
    resolved(one) == resolved(other) || file_id(one).is_some_and(|id| file_id(other) == Some(id))
}

/// Device and inode.
pub type Identity = (u64, u64);

/// The identity of a regular file; `None` for links, other kinds and absent names.
#[cfg(unix)]
pub fn identity(path: &Path) -> Result<Option<Identity>> {
    use std::os::unix::fs::MetadataExt;
    Ok(look(path)?.filter(fs::Metadata::is_file).map(|found| (found.dev(), found.ino())))
}

#[cfg(not(unix))]
pub fn identity(_path: &Path) -> Result<Option<Identity>> {
    Ok(None)
}

/// Whether two paths spell the same name.
pub fn same_name(one: &Path, other: &Path) -> bool {
    resolved(one) == resolved(other)
}

/// The files that must not be touched.
pub struct LiveFiles {
    /// Identities at the time of listing.
    databases: Vec<FileId>,
    names: Vec<PathBuf>,
}

impl LiveFiles {
    /// These databases and their companions.
    pub fn among(databases: Vec<PathBuf>) -> Self {
        let mut live = Self { databases: Vec::new(), names: Vec::new() };
        for database in databases {
            live.databases.extend(file_id(&database));
            live.names.push(resolved(&database));
            live.names.extend(COMPANIONS.iter().map(|companion| resolved(&with_suffix(&database, companion))));
        }
        live
    }

    /// Whether `path` is a live file, under this or any other name.
    pub fn contains(&self, path: &Path) -> bool {
        if self.names.contains(&resolved(path)) {
            return true;
        }
        file_id(path).is_some_and(|id| self.is_one(&id))
    }

    /// The same for a name in an open directory.
    #[cfg(unix)]
    pub fn contains_in(&self, directory: &Directory, path: &Path) -> bool {
        let around = directory.identity();
        let is_named =
            |live: &PathBuf| live.file_name() == path.file_name() && file_id(super::parent_of(live)) == around;
        self.names.iter().any(is_named) || directory.identity_behind(path).is_some_and(|id| self.is_one(&id))
    }

    #[cfg(not(unix))]
    pub fn contains_in(&self, _directory: &Directory, path: &Path) -> bool {
        self.contains(path)
    }

    fn is_one(&self, id: &FileId) -> bool {
        let named = self.names.iter().any(|name| file_id(name).is_some_and(|live| live == *id));
        named || (self.databases.contains(id) && is_open(id) != Some(false))
    }

    /// Fails if `path` is a live file.
    pub fn refuse(&self, path: &Path) -> Result<()> {
        if self.contains(path) { Err(refusal(path)) } else { Ok(()) }
    }

    /// The same for a name in an open directory.
    pub fn refuse_in(&self, directory: &Directory, path: &Path) -> Result<()> {
        if self.contains_in(directory, path) { Err(refusal(path)) } else { Ok(()) }
    }
}

fn refusal(path: &Path) -> Error {
    Error::usage(format!(
        "'{}' is (or links to) a database that this connection has open, or one of its -wal, -shm and \
         -journal files; touching it could destroy the database; choose another path",
        path.display()
    ))
}

/// Whether this process is known to have the file open (Linux only).
pub fn open_in_this_process(path: &Path) -> bool {
    file_id(path).is_some_and(|id| is_open(&id) == Some(true))
}

/// `None` if the system does not list a process's descriptors.
fn is_open(id: &FileId) -> Option<bool> {
    let descriptors = fs::read_dir("/proc/self/fd").ok()?;
    // `stat` follows the descriptor's link to the file.
    Some(descriptors.flatten().any(|descriptor| file_id(&descriptor.path()).is_some_and(|open| open == *id)))
}

/// Resolves the directory part, so that two spellings of one name compare equal.
fn resolved(path: &Path) -> PathBuf {
    let parent = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    match (parent, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_path_buf(),
    }
}

/// Opens a file in a backup directory for reading; `None` if absent. Fails unless it is a regular file, no
/// link, and neither live nor locked by this process.
pub fn open_own(directory: &Directory, path: &Path, live: &LiveFiles) -> Result<Option<File>> {
    let Some(found) = directory.metadata_of(path)? else { return Ok(None) };
    if !found.is_file() {
        let what = match () {
            () if found.is_link() => "a symbolic link",
            () if found.is_directory() => "a directory",
            () => "no regular file",
        };
        return Err(Error::usage(format!(
            "'{}' is {what}; queuekeeper made no such thing there, move it away",
            path.display()
        )));
    }
    live.refuse_in(directory, path)?;
    if holders::is_locked_here(&found, directory) {
        return Err(Error::usage(format!(
            "'{}' is a database on which another connection of this process has locks; to read it would drop them, so it is left alone; \
             end that connection's transaction, or close it",
            path.display()
        )));
    }
    if found.has_other_names() && found.identity().is_some_and(is_open_here) {
        return Err(Error::usage(format!(
            "'{}' is a hard link to a file that this process has open; it may be a live database, so it is left alone",
            path.display()
        )));
    }
    match directory.open_file(path) {
        Ok(file) => match is_same(&file, &found) {
            Ok(true) => Ok(Some(file)),
            Ok(false) => {
                // It may be a live database by now: closing it would drop its locks, so the descriptor leaks.
                std::mem::forget(file);
                Err(super::swapped(path))
            }
            Err(error) => Err(Error::io("look at", path, &error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", path, &error)),
    }
}

/// Whether the opened file is the one looked up before, or a regular file with no other name that replaced
/// it, which is just as safe.
#[cfg(unix)]
fn is_same(opened: &File, found: &Found) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let own = opened.metadata()?;
    Ok(Some((own.dev(), own.ino())) == found.identity() || (own.is_file() && own.nlink() == 1))
}

#[cfg(not(unix))]
fn is_same(_opened: &File, _found: &Found) -> io::Result<bool> {
    Ok(true)
}

#[cfg(unix)]
fn is_open_here(id: Identity) -> bool {
    is_open(&id) == Some(true)
}

#[cfg(not(unix))]
fn is_open_here(_id: Identity) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn database(directory: &Path) -> io::Result<(PathBuf, LiveFiles)> {
        let path = directory.join("q.db");
        fs::write(&path, "a database")?;
        fs::write(directory.join("q.db-journal"), "a journal")?;
        let live = LiveFiles::among(vec![path.clone()]);
        Ok((path, live))
    }

    #[test]
    fn the_inode_of_a_journal_that_went_belongs_to_the_next_file() {
        let directory = tempfile::tempdir().unwrap();
        let (_, live) = database(directory.path()).unwrap();
        let other = directory.path().join("other");
        // Simulates a file system that reuses the journal's inode.
        fs::rename(directory.path().join("q.db-journal"), &other).unwrap();
        assert!(!live.contains(&other));
    }

    #[test]
    fn a_journal_that_came_later_is_live_by_any_name() {
        let directory = tempfile::tempdir().unwrap();
        let (_, live) = database(directory.path()).unwrap();
        let (wal, link) = (directory.path().join("q.db-wal"), directory.path().join("link"));
        fs::write(&wal, "a WAL").unwrap();
        fs::hard_link(&wal, &link).unwrap();
        assert!(live.contains(&link));
        assert!(live.contains(&directory.path().join("q.db-shm")));
    }

    #[test]
    fn a_database_that_was_renamed_is_live_while_it_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let (path, live) = database(directory.path()).unwrap();
        let renamed = directory.path().join("renamed.db");
        let open = File::open(&path).unwrap();
        fs::rename(&path, &renamed).unwrap();
        assert!(live.contains(&renamed));
        drop(open);
        assert_eq!(live.contains(&renamed), !Path::new("/proc/self/fd").exists());
    }
}
