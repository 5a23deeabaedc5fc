//! Files that appear whole or not at all, and the sweeping of what a crash left of them.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::live::COMPANIONS;
use super::{Likeness, LiveFiles, Names, look, open_own, parent_of, with_suffix};
use crate::error::{Error, Result};

const TEMP_PREFIX: &str = ".queuekeeper-";
const TEMP_SUFFIX: &str = ".tmp";

/// What came of giving a file its name.
#[must_use]
pub enum Placed {
    /// It has its name, and will have it after a power cut.
    Durable,
    /// It has its name, but the disk would not say that the name is durable.
    Fragile(Error),
    /// The name belongs to another file, which was not touched; ours is gone.
    Taken,
}

/// A file that is being written under a temporary name; dropping it deletes it.
pub struct Staged {
    temp: NamedTempFile,
}

impl Staged {
    /// Makes and locks an empty temporary file in `directory`, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// A directory that is not there, cannot be written, or is full.
    pub fn new(directory: &Path) -> Result<Self> {
        // A sweeper may take a file for abandoned between its creation and its lock; then it is made anew.
        for _ in 0..16 {
            let temp = tempfile::Builder::new()
                .prefix(TEMP_PREFIX)
                .suffix(TEMP_SUFFIX)
                .rand_bytes(12)
                .tempfile_in(directory)
                .map_err(|error| Error::io("create a file in", directory, &error))?;
            match temp.as_file().try_lock() {
                Err(TryLockError::WouldBlock) => {}
                // A file system without locks: the sweeper cannot lock there either, so it leaves the file alone.
                Ok(()) | Err(TryLockError::Error(_)) => {
                    if temp.path().exists() {
                        return Ok(Self { temp });
                    }
                }
            }
        }
        Err(Error::busy(format!("temporary files in '{}' disappear as soon as they are made", directory.display())))
    }

    /// A second handle to the file, for a writer that lives elsewhere.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn handle(&self) -> Result<File> {
        let copy = self.temp.as_file().try_clone();
        copy.map_err(|error| Error::io("duplicate the handle of", self.path(), &error))
    }

    /// Where it lies for the time being.
    pub fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Gives the file the permissions, and as root the owner, that a [`Likeness`] says.
    ///
    /// # Errors
    ///
    /// When the file system refuses the permissions.
    pub fn permit(&self, like: &Likeness) -> Result<()> {
        let set = like.give(self.temp.as_file(), parent_of(self.path()));
        set.map_err(|error| Error::io("set the permissions of", self.path(), &error))
    }

    /// Deletes what SQLite left beside it when it could not write it.
    pub fn discard_companions(&self) {
        for companion in COMPANIONS {
            // What resists is swept with the next run.
            let _ = fs::remove_file(with_suffix(self.path(), companion));
        }
    }

    /// Makes the content durable.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn sync(&self) -> Result<()> {
        let file = self.temp.as_file();
        let synced = file.sync_all();
        synced.map_err(|error| Error::io("write to disk", self.path(), &error))?;
        // An exclusive lock keeps even this process's other handles from reading on Windows. The content is
        // complete now, and a shared lock keeps sweepers off as well.
        #[cfg(windows)]
        let _ = file.unlock().and_then(|()| file.lock_shared());
        Ok(())
    }

    /// Gives a synced file its name, durably. Without `overwrite`, nothing is ever replaced.
    ///
    /// # Errors
    ///
    /// What the file system says; the file is gone then, and the name as it was.
    pub fn place(self, target: &Path, overwrite: bool) -> Result<Placed> {
        // Whatever can fail about the directory should do so before the file has its name.
        let names = Names::of(parent_of(target))?;
        let placed = if overwrite { self.temp.persist(target) } else { self.temp.persist_noclobber(target) };
        match placed {
            Ok(_) => Ok(names.sync().map_or_else(Placed::Fragile, |()| Placed::Durable)),
            Err(refused) if !overwrite && refused.error.kind() == io::ErrorKind::AlreadyExists => Ok(Placed::Taken),
            Err(refused) => Err(Error::io("put in place", target, &refused.error)),
        }
    }
}

/// Deletes the temporary files that crashed runs left in `directory`, and what SQLite left beside them. What cannot be looked at
/// is left for later.
pub fn sweep(directory: &Path, live: &LiveFiles) {
    let names = temporary_names(directory);
    for (path, _lock) in abandoned_among(&names, directory, live) {
        // A failure leaves the file for the next sweep; nobody else is hurt by it.
        let _ = fs::remove_file(&path);
    }
    for companion in COMPANIONS {
        let beside = |name: &&String| name.strip_suffix(companion).is_some_and(|name| name.ends_with(TEMP_SUFFIX));
        for name in names.iter().filter(beside) {
            let path = directory.join(name);
            let owner = directory.join(name.strip_suffix(companion).unwrap_or(name));
            // What cannot be looked at stays.
            let alone = matches!(look(&owner), Ok(None));
            let plain = matches!(look(&path), Ok(Some(found)) if found.is_file());
            if alone && plain && !live.contains(&path) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// The temporary files in `directory` that no living run has locked.
pub fn abandoned(directory: &Path, live: &LiveFiles) -> Vec<PathBuf> {
    abandoned_among(&temporary_names(directory), directory, live).map(|(path, _)| path).collect()
}

/// Each with its lock: a run that has made one and not locked it yet must not find it unlocked until it is gone.
fn abandoned_among<'a>(
    names: &'a [String],
    directory: &'a Path,
    live: &'a LiveFiles,
) -> impl Iterator<Item = (PathBuf, File)> + 'a {
    let paths = names.iter().filter(|name| name.ends_with(TEMP_SUFFIX)).map(|name| directory.join(name));
    paths.filter_map(|path| {
        let file = open_own(&path, live).ok()??;
        file.try_lock().is_ok().then_some((path, file))
    })
}

fn temporary_names(directory: &Path) -> Vec<String> {
    let Ok(listing) = fs::read_dir(directory) else { return Vec::new() };
    let names = listing.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(TEMP_PREFIX)).collect()
}
