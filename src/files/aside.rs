//! Moves a file and its companions out of the way as one set.
//!
//! # Promise
//!
//! - The set is renamed to `NAME.corrupt-STAMP`, `NAME.corrupt-STAMP-wal` and so on. If any of these names
//!   exists, a number is added to the stamp (`_2`, `_3` …). A sound file that nothing uses is named `orphan`
//!   instead of `corrupt`.
//! - No existing file is replaced, even if it is created concurrently.
//! - If one file cannot be moved, those already moved get their old names back.
//!
//! # How
//!
//! By [`Directory::rename_new`], so all files stay in the open directory.

use std::io;
use std::path::{Path, PathBuf};

use super::{Directory, with_suffix};
use crate::error::{Error, Result};

pub struct SetAside {
    path: PathBuf,
    directory: Directory,
    /// Old and new paths, in the order of the moves.
    moved: Vec<(PathBuf, PathBuf)>,
}

impl SetAside {
    /// Moves `path` in `directory`, and each `path` + companion suffix. Companions go first: a WAL left
    /// behind would be replayed over whatever database takes this name next.
    pub fn of(directory: &Directory, path: &Path, companions: &[&str], stamp: &str) -> Result<Self> {
        Self::called("corrupt", directory, path, companions, stamp)
    }

    /// Moves a single file that belongs to no database.
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

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the new names durable.
    pub fn sync(&self) -> Result<()> {
        self.directory.sync()
    }

    /// Restores the old names. If one is taken, the error says where the file is.
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
        // Checked even if this companion does not exist: a file with the new name would be taken for part of
        // the set.
        if !directory.is_free(&to)? {
            return Ok(None);
        }
        if !directory.is_free(&from)? {
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
