//! Files that appear whole or not at all, and the sweep of what a crash leaves of them.
//!
//! All work is done in the [`Directory`] that was opened when the file was made, and on the file's
//! descriptor, so swapped names cannot lead it elsewhere (see [`trust`]).

mod temp;

use std::fs::{File, TryLockError};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use self::temp::Temp;
use super::live::COMPANIONS;
use super::trust;
use super::{Directory, Found, LiveFiles, Ownership, duplicate, open_own};
use crate::error::{Error, Result};

const TEMP_PREFIX: &str = ".queuekeeper-";
const TEMP_SUFFIX: &str = ".tmp";

/// The outcome of [`Staged::place`].
#[must_use]
pub enum Placed {
    /// The file has its name, durably.
    Durable,
    /// The file has its name, but syncing the directory failed.
    Fragile(Error),
    /// The name is taken by another file, which is untouched; ours is gone.
    Taken,
}

/// A file being written under a temporary name; deleted on drop.
pub struct Staged {
    temp: Temp,
}

impl Staged {
    /// Creates and locks an empty temporary file in `directory`, readable by its owner alone.
    pub fn new(directory: &Directory) -> Result<Self> {
        let failed = |error: io::Error| Error::io("create a file in", directory.path(), &error);
        // A sweeper may delete the file between its creation and its lock; then try again.
        for _ in 0..16 {
            let temp = Temp::new(directory).map_err(failed)?;
            match temp.file.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                // No locks on this file system: the sweeper cannot lock either, and leaves the file alone.
                Ok(()) | Err(TryLockError::Error(_)) => {
                    if temp.is_there()? {
                        return Ok(Self { temp });
                    }
                }
            }
        }
        Err(Error::busy(format!(
            "temporary files in '{}' disappear as soon as they are made",
            directory.path().display()
        )))
    }

    /// A second handle, for a writer elsewhere.
    pub fn handle(&self) -> Result<File> {
        duplicate(&self.temp.file, self.path())
    }

    /// A second handle, at offset 0.
    pub fn rewound(&self) -> Result<File> {
        let mut file = self.handle()?;
        file.rewind().map_err(|error| Error::io("read", self.path(), &error))?;
        Ok(file)
    }

    pub fn length(&self) -> Result<u64> {
        let found = self.temp.file.metadata();
        Ok(found.map_err(|error| Error::io("look at", self.path(), &error))?.len())
    }

    /// The temporary path, for error messages only: the name may be another file's by now.
    pub fn path(&self) -> &Path {
        &self.temp.path
    }

    /// Sets the permissions and, as root, the owner.
    pub fn permit(&self, like: &Ownership) -> Result<()> {
        let set = like.give(&self.temp.file, &self.temp.directory);
        set.map_err(|error| Error::io("set the permissions of", self.path(), &error))
    }

    /// Syncs the content.
    pub fn sync(&self) -> Result<()> {
        let file = &self.temp.file;
        let synced = file.sync_all();
        synced.map_err(|error| Error::io("write to disk", self.path(), &error))?;
        // On Windows an exclusive lock keeps even this process's other handles from reading. The content is
        // complete, and a shared lock still keeps sweepers off.
        #[cfg(windows)]
        let _ = file.unlock().and_then(|()| file.lock_shared());
        Ok(())
    }

    /// The directory it will be placed in.
    pub fn directory(&self) -> &Directory {
        &self.temp.directory
    }

    /// Renames a synced file to `target` in its directory, durably. Without `overwrite`, replaces nothing. On
    /// an error the file is gone and the target unchanged, unless somebody swapped the file meanwhile.
    pub fn place(mut self, target: &Path, overwrite: bool) -> Result<Placed> {
        match self.temp.rename(target, overwrite) {
            // Another file may have been moved here by the temporary name.
            Ok(()) => match trust::is_named(&self.temp.file, &self.temp.directory, target) {
                Ok(false) => Err(trust::swapped(target)),
                named => Ok(named
                    .and_then(|_| self.temp.directory.sync())
                    .map_or_else(Placed::Fragile, |()| Placed::Durable)),
            },
            Err(error) if !overwrite && error.kind() == io::ErrorKind::AlreadyExists => Ok(Placed::Taken),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !trust::is_safe(&self.temp.directory) => {
                Err(trust::swapped(target))
            }
            Err(error) => Err(Error::io("put in place", target, &error)),
        }
    }
}

/// Deletes the temporary files that crashed runs left in `directory`, with SQLite's files beside them. What
/// cannot be examined stays.
pub fn sweep(directory: &Directory, live: &LiveFiles) {
    let names = temporary_names(directory);
    for (path, lock) in abandoned_among(&names, directory, live) {
        if matches!(directory.names_file(&path, &lock), Ok(true)) {
            // The next sweep tries again.
            let _ = directory.remove(&path);
        }
    }
    for companion in COMPANIONS {
        let owner = |name: &String| {
            name.strip_suffix(companion).filter(|name| name.ends_with(TEMP_SUFFIX)).map(PathBuf::from)
        };
        for (name, owner) in names.iter().filter_map(|name| Some((Path::new(name), owner(name)?))) {
            // What cannot be examined stays.
            let alone = matches!(directory.is_free(&owner), Ok(true));
            let plain = directory.metadata_of(name).is_ok_and(|found| found.as_ref().is_some_and(Found::is_file));
            if alone && plain && !live.contains_in(directory, name) {
                let _ = directory.remove(name);
            }
        }
    }
}

/// The temporary files in `directory` that no living run has locked.
pub fn abandoned(directory: &Directory, live: &LiveFiles) -> Vec<PathBuf> {
    abandoned_among(&temporary_names(directory), directory, live).map(|(path, _)| path).collect()
}

/// Each with its lock, held until the file is gone, so that a run which has not locked its new file yet
/// cannot lose it unnoticed.
fn abandoned_among<'a>(
    names: &'a [String],
    directory: &'a Directory,
    live: &'a LiveFiles,
) -> impl Iterator<Item = (PathBuf, File)> + 'a {
    let paths = names.iter().filter(|name| name.ends_with(TEMP_SUFFIX)).map(|name| directory.path().join(name));
    paths.filter_map(|path| {
        let file = open_own(directory, &path, live).ok()??;
        file.try_lock().is_ok().then_some((path, file))
    })
}

fn temporary_names(directory: &Directory) -> Vec<String> {
    let names = directory.names().unwrap_or_default().into_iter().filter_map(|name| name.into_string().ok());
    names.filter(|name| name.starts_with(TEMP_PREFIX)).collect()
}
