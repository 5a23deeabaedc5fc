//! The target of a restore.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::backup::catalog::Catalog;
use crate::backup::take::names;
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, Directory, Heir, LiveFiles, SetAside};
use crate::progress::Watch;

/// The time between two checks of who has a broken database open.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The target of a restore.
#[derive(Debug)]
pub enum Place {
    /// Does not exist.
    New(PathBuf),
    /// May be in use, and may be the caller's own.
    Existing(PathBuf),
}

impl Place {
    /// Who can read the result, if the target exists.
    pub fn heir(&self) -> Option<Heir> {
        match self {
            Self::New(_) => None,
            Self::Existing(path) => files::heir(path),
        }
    }

    /// Resolves the `target` argument; the default is the caller's own database. Fails for a target that
    /// exists without `overwrite`, or is another database of the caller.
    pub fn find(caller: &Caller, live: &LiveFiles, argument: Option<&str>, overwrite: bool) -> Result<Self> {
        let own = caller.file();
        let Some(text) = argument else {
            let own = own.ok_or_else(|| {
                Error::usage("an in-memory or temporary database cannot be restored into; pass the path of a target")
            })?;
            refuse_backup(&own, live)?;
            return Ok(Self::Existing(own));
        };
        let path = names::file_path(text, "target")?;
        if let Some(own) = own.filter(|own| files::same_file(own, &path)) {
            refuse_backup(&own, live)?;
            // SQLite's name for it: `path` may be a link, and a link cannot be moved aside in its place.
            return Ok(Self::Existing(own));
        }
        live.refuse(&path)?;
        names::check_name(&path)?;
        refuse_backup(&path, live)?;
        match files::look(&path)? {
            Some(found) if found.is_file() && overwrite => Ok(Self::Existing(path)),
            Some(found) if found.is_file() => Err(names::taken(&path)),
            Some(_) => Err(Error::usage(format!("'{}' is not a regular file; pass another target", path.display()))),
            None => {
                names::check_new(&path)?;
                Ok(Self::New(path))
            }
        }
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::New(path) | Self::Existing(path) => path,
        }
    }
}

/// Refuses a path that a catalog lists: restoring into a backup would destroy it and its dependants.
fn refuse_backup(path: &Path, live: &LiveFiles) -> Result<()> {
    let catalog = Catalog::of(files::parent_of(path), live)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if catalog.read()?.known().iter().any(|entry| entry.backup_path == name) {
        return Err(Error::usage(format!(
            "'{}' is a backup and cannot be a target; pass the path of a database",
            path.display()
        )));
    }
    Ok(())
}

/// Advice for errors after a target was moved aside.
pub fn moved_aside_advice(aside: &Path) -> String {
    format!("what was there lies at '{}' now", aside.display())
}

/// Moves a file that is no longer a database aside, with its companions; returns its new path. `seen`
/// identifies the file that was found broken. Waits up to the caller's busy timeout while anyone else is
/// known to have one of the files open or locked, then fails with `SQLITE_BUSY`. A failure leaves all files
/// in place, or says where they are.
pub fn move_aside(
    caller: &Caller,
    directory: &Directory,
    path: &Path,
    seen: Option<files::Identity>,
    watch: &mut Watch<'_>,
) -> Result<PathBuf> {
    // The system does not distinguish the caller's open files from those of other connections in this
    // process.
    let own = caller.file().is_some_and(|own| files::same_file(&own, path));
    let deadline = Instant::now() + caller.patience();
    if directory.metadata_of(path)?.and_then(|found| found.identity()) != seen {
        return Err(files::swapped(path));
    }
    loop {
        let Some(holder) = files::holder(&set(path), !own) else {
            let aside = SetAside::of(directory, path, &files::COMPANIONS, &clock::file_stamp(clock::now()))?;
            // Whoever opened it between the check and the move would use files that are to be abandoned.
            let Some(holder) = files::holder(&set(aside.path()), !own) else {
                let place = aside.path().to_path_buf();
                aside.sync().map_err(|error| error.advice(moved_aside_advice(&place)))?;
                return Ok(place);
            };
            aside.put_back()?;
            return Err(in_use(path, &holder));
        };
        if Instant::now() >= deadline {
            return Err(in_use(path, &holder));
        }
        watch.pause(LOOK_AGAIN)?;
    }
}

/// A database and its companions.
fn set(path: &Path) -> Vec<PathBuf> {
    let companions = files::COMPANIONS.iter().map(|companion| files::with_suffix(path, companion));
    companions.chain([path.to_path_buf()]).collect()
}

fn in_use(path: &Path, holder: &str) -> Error {
    Error::busy(format!(
        "'{}' is no database that this SQLite can read, but it is not moved aside while it is in use: {holder}; stop what uses it and \
         call again",
        path.display()
    ))
}
