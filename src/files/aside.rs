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
//! [`Directory::rename_new`]: all of them stay in the directory that was opened.

use std::io;
use std::path::{Path, PathBuf};

use super::{Directory, with_suffix};
use crate::error::{Error, Result};

/// A set of files that were moved out of the way.
pub struct SetAside {
    path: PathBuf,
    directory: Directory,
    /// Old and new paths, in the order of the moving.
    moved: Vec<(PathBuf, PathBuf)>,
}

impl SetAside {
    /// Moves `path`, which lies in `directory`, and what has its name with one of `companions` behind it. The companions go first: a WAL that stayed would be
    /// replayed over what comes to its database's place.
    ///
    /// # Errors
    ///
    /// What the file system says, or so many such names are taken that something is wrong. All files have their old names then.
    pub fn of(directory: &Directory, path: &Path, companions: &[&str], stamp: &str) -> Result<Self> {
        Self::called("corrupt", directory, path, companions, stamp)
    }

    /// The same for a single file that belongs to nothing.
    pub fn orphan(directory: &Directory, path: &Path, stamp: &str) -> Result<Self> {
        Self::called("orphan", directory, path, &[], stamp)
    }

    fn called(word: &str, directory: &Directory, path: &Path, companions: &[&str], stamp: &str) -> Result<Self> {
        for attempt in 1..1000u32 {
            let number = if attempt == 1 { String::new() } else { format!("_{attempt}") };
            let aside = with_suffix(path, &format!(".{word}-{stamp}{number}"));
            if let Some(moved) = move_set(directory, path, &aside, companions)? {
                return Ok(Self { path: aside, directory: directory.clone(), moved });
            }
        }
        Err(Error::usage(format!("'{}' cannot be moved aside; move it away yourself", path.display())))
    }

    /// Where the file lies now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the new names durable.
    pub fn sync(&self) -> Result<()> {
        self.directory.sync()
    }

    /// Gives all files their old names again.
    ///
    /// # Errors
    ///
    /// What the file system says, or an old name that was taken; the error says where the file is.
    pub fn put_back(self) -> Result<()> {
        put_back(&self.directory, &self.moved)
    }
}

/// Moves the set; `None` if one of the new names is taken.
fn move_set(
    directory: &Directory,
    path: &Path,
    aside: &Path,
    companions: &[&str],
) -> Result<Option<Vec<(PathBuf, PathBuf)>>> {
    let mut set = Vec::new();
    for companion in companions.iter().chain(&[""]) {
        let (from, to) = (with_suffix(path, companion), with_suffix(aside, companion));
        // Also where there is no such companion: what lies there would be taken for one of this set.
        if !directory.lacks(&to)? {
            return Ok(None);
        }
        if !directory.lacks(&from)? {
            set.push((from, to));
        }
    }
    for (place, (from, to)) in set.iter().enumerate() {
        if let Err(error) = directory.rename_new(from, to) {
            put_back(directory, set.get(..place).unwrap_or_default())?;
            return match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(None),
                _ => Err(refused(from, &error)),
            };
        }
    }
    Ok(Some(set))
}

fn put_back(directory: &Directory, moved: &[(PathBuf, PathBuf)]) -> Result<()> {
    for (from, to) in moved.iter().rev() {
        directory
            .rename_new(to, from)
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

#[cfg(test)]
mod tests {
    use std::fs;

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
            let aside = SetAside::of(&Directory::open(directory.path()).unwrap(), &path, &COMPANIONS, "S").unwrap();
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
        let aside = SetAside::of(&Directory::open(directory.path()).unwrap(), &path, &COMPANIONS, "S").unwrap();
        let kept = aside.path().to_path_buf();
        fs::write(&path, "new").unwrap();
        let error = aside.put_back().unwrap_err();
        assert!(error.message().contains("q.db.corrupt-S"), "{error}");
        assert_eq!((text(&path), text(&kept)), ("new".into(), "old".into()));
    }
}
