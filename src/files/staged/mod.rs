//! Files that appear whole or not at all, and the sweeping of what a crash left of them.
//!
//! Everything is done in the directory that was opened when the file was made ([`Directory`]), and to the file by its descriptor, so
//! nobody who swaps names on the way leads it elsewhere (see [`trust`]).

mod temp;

use std::fs::{File, TryLockError};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use self::temp::Temp;
use super::live::COMPANIONS;
use super::trust;
use super::{Directory, Found, Likeness, LiveFiles, duplicate, open_own};
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
    temp: Temp,
}

impl Staged {
    /// Makes and locks an empty temporary file in `directory`, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// A directory that cannot be written, or is full.
    pub fn new(directory: &Directory) -> Result<Self> {
        let failed = |error: io::Error| Error::io("create a file in", directory.path(), &error);
        // A sweeper may take a file for abandoned between its creation and its lock; then it is made anew.
        for _ in 0..16 {
            let temp = Temp::new(directory).map_err(failed)?;
            match temp.file.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                // A file system without locks: the sweeper cannot lock there either, so it leaves the file alone.
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

    /// A second handle to the file, for a writer that lives elsewhere.
    pub fn handle(&self) -> Result<File> {
        duplicate(&self.temp.file, self.path())
    }

    /// The same, to be read from the beginning.
    pub fn rewound(&self) -> Result<File> {
        let mut file = self.handle()?;
        file.rewind().map_err(|error| Error::io("read", self.path(), &error))?;
        Ok(file)
    }

    /// Its length in bytes.
    pub fn length(&self) -> Result<u64> {
        let found = self.temp.file.metadata();
        Ok(found.map_err(|error| Error::io("look at", self.path(), &error))?.len())
    }

    /// Where it lies for the time being, for errors: what has that name may be another file by now.
    pub fn path(&self) -> &Path {
        &self.temp.path
    }

    /// Gives the file the permissions, and as root the owner, that a [`Likeness`] says.
    ///
    /// # Errors
    ///
    /// When the file system refuses the permissions.
    pub fn permit(&self, like: &Likeness) -> Result<()> {
        let set = like.give(&self.temp.file, &self.temp.directory);
        set.map_err(|error| Error::io("set the permissions of", self.path(), &error))
    }

    /// Makes the content durable.
    pub fn sync(&self) -> Result<()> {
        let file = &self.temp.file;
        let synced = file.sync_all();
        synced.map_err(|error| Error::io("write to disk", self.path(), &error))?;
        // An exclusive lock keeps even this process's other handles from reading on Windows. The content is
        // complete now, and a shared lock keeps sweepers off as well.
        #[cfg(windows)]
        let _ = file.unlock().and_then(|()| file.lock_shared());
        Ok(())
    }

    /// The directory in which it gets its name.
    pub fn directory(&self) -> &Directory {
        &self.temp.directory
    }

    /// Gives a synced file its name, that of `target`, in its directory, durably. Without `overwrite`, nothing is ever replaced.
    ///
    /// # Errors
    ///
    /// What the file system says; the file is gone then, and the name as it was. Or somebody has swapped the file meanwhile: the name is
    /// theirs.
    pub fn place(mut self, target: &Path, overwrite: bool) -> Result<Placed> {
        match self.temp.rename(target, overwrite) {
            // By its temporary name somebody else's file may have come here.
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

/// Deletes the temporary files that crashed runs left in `directory`, and what SQLite left beside them. What cannot be looked at
/// is left for later.
pub fn sweep(directory: &Directory, live: &LiveFiles) {
    let names = temporary_names(directory);
    for (path, lock) in abandoned_among(&names, directory, live) {
        if matches!(directory.holds(&path, &lock), Ok(true)) {
            // A failure leaves the file for the next sweep; nobody else is hurt by it.
            let _ = directory.remove(&path);
        }
    }
    for companion in COMPANIONS {
        let owner = |name: &String| {
            name.strip_suffix(companion).filter(|name| name.ends_with(TEMP_SUFFIX)).map(PathBuf::from)
        };
        for (name, owner) in names.iter().filter_map(|name| Some((Path::new(name), owner(name)?))) {
            // What cannot be looked at stays.
            let alone = matches!(directory.lacks(&owner), Ok(true));
            let plain = directory.look(name).is_ok_and(|found| found.as_ref().is_some_and(Found::is_file));
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

/// Each with its lock: a run that has made one and not locked it yet must not find it unlocked until it is gone.
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
