//! Moving files out of the way, as one set, without ever replacing another.
//!
//! # Promise
//!
//! A file and its companions get the names `NAME.corrupt-STAMP`, `NAME.corrupt-STAMP-wal` and so on, or those with the first number
//! behind the stamp for which all these names are free. A file that is sound but of no use has `orphan` in place of `corrupt`. No name that exists is replaced, whoever makes it in the meantime. If one of
//! the set cannot be moved, those that were moved get their old names again.
//!
//! # How
//!
//! `RENAME_NOREPLACE` (Linux) or `RENAME_EXCL` (macOS); where a file system has neither, and on Windows, a hard link and the removal of
//! the old name. Where it has no links either, the name is looked up before it is given.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{look, sync_directory, with_suffix};
use crate::error::{Error, Result};

/// A set of files that were moved out of the way.
pub struct SetAside {
    path: PathBuf,
    /// Old and new names, in the order of the moving.
    moved: Vec<(PathBuf, PathBuf)>,
}

impl SetAside {
    /// Moves `path` and what has its name with one of `companions` behind it. The companions go first: a WAL that stayed would be
    /// replayed over what comes to its database's place.
    ///
    /// # Errors
    ///
    /// What the file system says, or so many such names are taken that something is wrong. All files have their old names then.
    pub fn of(path: &Path, companions: &[&str], stamp: &str) -> Result<Self> {
        Self::called("corrupt", path, companions, stamp)
    }

    /// The same for a single file that belongs to nothing.
    ///
    /// # Errors
    ///
    /// As for [`SetAside::of`].
    pub fn orphan(path: &Path, stamp: &str) -> Result<Self> {
        Self::called("orphan", path, &[], stamp)
    }

    fn called(word: &str, path: &Path, companions: &[&str], stamp: &str) -> Result<Self> {
        for attempt in 1..1000u32 {
            let number = if attempt == 1 { String::new() } else { format!("_{attempt}") };
            let aside = with_suffix(path, &format!(".{word}-{stamp}{number}"));
            if let Some(moved) = move_set(path, &aside, companions)? {
                return Ok(Self { path: aside, moved });
            }
        }
        Err(Error::usage(format!("'{}' cannot be moved aside; move it away yourself", path.display())))
    }

    /// Where the file lies now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the new names durable.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn sync(&self) -> Result<()> {
        sync_directory(super::parent_of(&self.path))
    }

    /// Gives all files their old names again.
    ///
    /// # Errors
    ///
    /// What the file system says, or an old name that was taken; the error says where the file is.
    pub fn put_back(self) -> Result<()> {
        put_back(&self.moved)
    }
}

/// Moves the set; `None` if one of the new names is taken.
fn move_set(path: &Path, aside: &Path, companions: &[&str]) -> Result<Option<Vec<(PathBuf, PathBuf)>>> {
    let mut set = Vec::new();
    for companion in companions.iter().chain(&[""]) {
        let (from, to) = (with_suffix(path, companion), with_suffix(aside, companion));
        // Also where there is no such companion: what lies there would be taken for one of this set.
        if look(&to)?.is_some() {
            return Ok(None);
        }
        if look(&from)?.is_some() {
            set.push((from, to));
        }
    }
    for (place, (from, to)) in set.iter().enumerate() {
        if let Err(error) = rename_new(from, to) {
            put_back(set.get(..place).unwrap_or_default())?;
            return match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(None),
                _ => Err(refused(from, &error)),
            };
        }
    }
    Ok(Some(set))
}

fn put_back(moved: &[(PathBuf, PathBuf)]) -> Result<()> {
    for (from, to) in moved.iter().rev() {
        rename_new(to, from)
            .map_err(|error| Error::io("move back", to, &error).advice(format!("it was '{}'", from.display())))?;
    }
    Ok(())
}

fn refused(path: &Path, error: &io::Error) -> Error {
    const SHARING_VIOLATION: i32 = 32;
    if cfg!(windows) && error.raw_os_error() == Some(SHARING_VIOLATION) {
        return Error::busy(format!(
            "cannot move aside '{}': another process has it open; close it there",
            path.display()
        ));
    }
    Error::io("move aside", path, error)
}

/// Gives a file another name, which must be free.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match exclusive_rename(from, to) {
        Some(outcome) => outcome,
        None => link_and_remove(from, to),
    }
}

/// `None` where the system or the file system cannot do that.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn exclusive_rename(from: &Path, to: &Path) -> Option<io::Result<()>> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => None,
        outcome => Some(outcome.map_err(io::Error::from)),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn exclusive_rename(_from: &Path, _to: &Path) -> Option<io::Result<()>> {
    None
}

fn link_and_remove(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from).inspect_err(|_| {
            // The file keeps its old name alone.
            let _ = fs::remove_file(to);
        }),
        Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => Err(error),
        Err(_) => match fs::symlink_metadata(to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_set_goes_under_one_stamp_for_which_all_names_are_free() {
        for taken in ["", "-wal", "-shm", "-journal"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("q.db");
            fs::write(&path, "database").unwrap();
            fs::write(with_suffix(&path, "-wal"), "wal").unwrap();
            let other = directory.path().join(format!("q.db.corrupt-S{taken}"));
            fs::write(&other, "other").unwrap();
            let aside = SetAside::of(&path, &COMPANIONS, "S").unwrap();
            assert_eq!(aside.path(), directory.path().join("q.db.corrupt-S_2"));
            assert_eq!(text(&other), "other");
            assert_eq!(text(aside.path()), "database");
            assert_eq!(text(&with_suffix(aside.path(), "-wal")), "wal");
            assert!(!path.exists());
            aside.put_back().unwrap();
            assert_eq!((text(&path), text(&with_suffix(&path, "-wal"))), ("database".into(), "wal".into()));
        }
    }

    #[test]
    fn a_set_that_cannot_be_put_back_replaces_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("q.db");
        fs::write(&path, "old").unwrap();
        let aside = SetAside::of(&path, &COMPANIONS, "S").unwrap();
        let kept = aside.path().to_path_buf();
        fs::write(&path, "new").unwrap();
        let error = aside.put_back().unwrap_err();
        assert!(error.message().contains("q.db.corrupt-S"), "{error}");
        assert_eq!((text(&path), text(&kept)), ("new".into(), "old".into()));
    }

    #[test]
    fn neither_way_replaces_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        for rename in [rename_new, link_and_remove] {
            fs::write(&from, "from").unwrap();
            fs::write(&to, "to").unwrap();
            assert_eq!(rename(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!((text(&from), text(&to)), ("from".into(), "to".into()));
            fs::remove_file(&to).unwrap();
            rename(&from, &to).unwrap();
            assert_eq!(text(&to), "from");
            assert!(!from.exists());
        }
    }
}
