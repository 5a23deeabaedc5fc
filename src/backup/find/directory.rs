//! The directory of the backups.

use std::fs;
use std::path::{Path, PathBuf};

use super::source;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files;
use crate::progress::Watch;
use crate::settings;

/// The default directory of the caller's database. Fails for a database without a file.
pub fn default_directory(caller: &Caller, watch: &mut Watch<'_>) -> Result<PathBuf> {
    let configured = source::settings(caller, watch)?.text(&settings::BACKUP_DIR)?;
    match (configured, caller.file()) {
        (Some(directory), Some(file)) => Ok(files::parent_of(&file).join(directory)),
        (Some(directory), None) => absolute(Path::new(&directory)),
        (None, Some(file)) => Ok(files::parent_of(&file).join("backups")),
        (None, None) => {
            Err(Error::usage("an in-memory or temporary database has no default backup directory; pass a path"))
        }
    }
}

/// The named directory, or the default one; it need not exist.
pub fn directory(caller: &Caller, argument: Option<&str>, watch: &mut Watch<'_>) -> Result<PathBuf> {
    let Some(text) = argument else {
        return default_directory(caller, watch);
    };
    check_text(text, "directory")?;
    let path = absolute(Path::new(text))?;
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err(Error::usage(format!(
            "'{}' is not a directory; pass the directory that holds the backups",
            path.display()
        ))),
        Err(error) => Err(Error::io("find the backup directory", &path, &error)),
    }
}

/// Refuses a text that cannot be a path.
pub fn check_text(text: &str, what: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::usage(format!(
            "the {what} is an empty text; pass a {what}, or NULL for the default directory"
        )));
    }
    if text.contains('\0') {
        return Err(Error::usage(format!("the {what} contains a NUL character, which no path can")));
    }
    Ok(())
}

/// Makes a path absolute.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io("resolve the path", path, &error))
}
