//! Where a restore goes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::backup::catalog::Catalog;
use crate::backup::target;
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles};

/// The target of a restore.
#[derive(Debug)]
pub enum Place {
    /// A file that is not there.
    New(PathBuf),
    /// A database that may be in use, the caller's own perhaps.
    Existing(PathBuf),
}

impl Place {
    /// Reads the caller's `target` argument; absent means its own database.
    ///
    /// # Errors
    ///
    /// A target that cannot be, that exists without `overwrite`, or that is another database of the caller.
    pub fn find(caller: &Caller, live: &LiveFiles, argument: Option<&str>, overwrite: bool) -> Result<Self> {
        let own = caller.file();
        let Some(text) = argument else {
            return own.map(Self::Existing).ok_or_else(|| {
                Error::usage("an in-memory or temporary database cannot be restored into; pass the path of a target")
            });
        };
        let path = target::file_path(text, "target")?;
        if let Some(own) = own.filter(|own| files::same_file(own, &path)) {
            // By the name that SQLite knows: `path` may be a link to it, and a link cannot be moved aside in its place.
            return Ok(Self::Existing(own));
        }
        live.refuse(&path)?;
        target::check_name(&path)?;
        refuse_backup(&path, live)?;
        match files::look(&path)? {
            Some(found) if found.is_file() && overwrite => Ok(Self::Existing(path)),
            Some(found) if found.is_file() => Err(target::taken(&path)),
            Some(_) => Err(Error::usage(format!("'{}' is not a regular file; pass another target", path.display()))),
            None => {
                target::check_new(&path)?;
                Ok(Self::New(path))
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::New(path) | Self::Existing(path) => path,
        }
    }
}

/// Refuses a path that a catalog lists: restoring into a backup would destroy it, and what builds on it.
fn refuse_backup(path: &Path, live: &LiveFiles) -> Result<()> {
    let catalog = Catalog::of(files::parent_of(path), live)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if catalog.backups()?.iter().any(|entry| entry.backup_path == name) {
        return Err(Error::usage(format!(
            "'{}' is a backup and cannot be a target; pass the path of a database",
            path.display()
        )));
    }
    Ok(())
}

/// What an error says of a target that was moved aside before it.
pub fn whereabouts(aside: &Path) -> String {
    format!("what was there lies at '{}' now", aside.display())
}

/// Moves a file that is no database any more out of the way, with what SQLite keeps beside it; where it is now.
///
/// # Errors
///
/// What the file system says.
pub fn move_aside(path: &Path) -> Result<PathBuf> {
    let aside = files::aside(path, &clock::file_stamp(clock::now()))?;
    // The companions first: a WAL that stayed would be replayed over what comes to its database's place.
    let mut there = Vec::new();
    for companion in ["-wal", "-shm", "-journal", ""] {
        let from = files::with_suffix(path, companion);
        if files::look(&from)?.is_some() {
            there.push((from, files::with_suffix(&aside, companion)));
        }
    }
    for (from, to) in there {
        fs::rename(&from, to).map_err(|error| Error::io("move aside", &from, &error))?;
    }
    files::sync_directory(files::parent_of(path)).map_err(|error| error.advice(whereabouts(&aside)))?;
    Ok(aside)
}
