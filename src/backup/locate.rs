//! Which backup is meant: a path, an id, or `latest`.
//!
//! # Promise
//!
//! - `latest` is the newest backup of the caller's database in the catalog of `dir`, else of the default directory; without one,
//!   the newest of all. What was saved before a restore is not meant, unless there is nothing else.
//! - An id is looked up in the same catalog.
//! - Anything else is a path. The catalog is then that of the path's own directory (`dir` is not needed). An artifact that it
//!   does not list is described by [`foreign`](super::foreign).
//!
//! A path that is a live database, or leads to one, is refused before anything is opened.

use std::path::Path;

use super::catalog::Catalog;
use super::entry::Entry;
use super::restore::BEFORE_RESTORE;
use super::{foreign, produce, target};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles};
use crate::progress::Watch;

/// Finds the backup that `words` mean; the catalog that lists it, and its entry.
///
/// # Errors
///
/// No such backup, a directory without a catalog, or one that cannot be read.
pub fn backup<'a>(
    caller: &Caller,
    live: &'a LiveFiles,
    words: Option<&str>,
    dir: Option<&str>,
    watch: &mut Watch<'_>,
) -> Result<(Catalog<'a>, Entry)> {
    let Some(words) = words.filter(|words| !words.is_empty()) else {
        return Err(Error::usage("the backup is missing; pass its path, its id, or 'latest'"));
    };
    if words.contains('\0') {
        return Err(Error::usage("the backup contains a NUL character, which neither a path nor an id can"));
    }
    if words == "latest" {
        let catalog = Catalog::of(&target::directory(caller, dir, watch)?, live)?;
        let newest = newest(catalog.settled(watch)?, caller);
        let entry = newest.ok_or_else(|| {
            Error::usage(format!(
                "'{}' holds no backups; make one with queue_backup()",
                catalog.directory().display()
            ))
        })?;
        return Ok((catalog, entry));
    }
    if uuid::Uuid::parse_str(words).is_ok() && !Path::new(words).exists() {
        let catalog = Catalog::of(&target::directory(caller, dir, watch)?, live)?;
        return by_id(catalog, words, watch);
    }
    by_path(live, words, watch)
}

/// The newest backup of the caller's own database, if there is one, else the newest of all. What was saved before a restore counts
/// only where there is nothing else: a second restore is not meant to undo the first.
fn newest(backups: Vec<Entry>, caller: &Caller) -> Option<Entry> {
    let own = produce::source_path(caller);
    let regular = |entry: &&Entry| entry.name.as_deref() != Some(BEFORE_RESTORE);
    let found = backups
        .iter()
        .filter(regular)
        .find(|entry| entry.source_path == own)
        .or_else(|| backups.iter().find(regular))
        .or_else(|| backups.first());
    found.cloned()
}

/// The backups of the caller's own database in its default directory that were verified.
///
/// # Errors
///
/// A directory or a catalog that cannot be read.
pub fn verified(caller: &Caller, watch: &mut Watch<'_>) -> Result<Vec<Entry>> {
    if caller.file().is_none() {
        return Ok(Vec::new());
    }
    let directory = target::directory(caller, None, watch)?;
    if !files::exists(&directory)? {
        return Ok(Vec::new());
    }
    let live = LiveFiles::of(caller)?;
    let own = produce::source_path(caller);
    let sound = |entry: &Entry| entry.source_path == own && entry.verified_at.is_some() && !entry.is_damaged();
    Ok(Catalog::of(&directory, &live)?.backups()?.into_iter().filter(sound).collect())
}

fn by_path<'a>(live: &'a LiveFiles, words: &str, watch: &mut Watch<'_>) -> Result<(Catalog<'a>, Entry)> {
    let path = Path::new(words);
    live.refuse(path)?;
    let name = match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if !words.ends_with(std::path::is_separator) && !path.is_dir() => name.to_owned(),
        _ => {
            return Err(Error::usage(format!(
                "'{words}' is not a backup; pass the path of one, its id, or 'latest'"
            )));
        }
    };
    let catalog = Catalog::of(files::parent_of(path), live)?;
    let listed = catalog.settled(watch)?.into_iter().find(|entry| entry.backup_path == name);
    match listed {
        Some(entry) => Ok((catalog, entry)),
        None => foreign::describe(path, live, watch).map(|entry| (catalog, entry)),
    }
}

fn by_id<'a>(catalog: Catalog<'a>, id: &str, watch: &mut Watch<'_>) -> Result<(Catalog<'a>, Entry)> {
    let found = catalog.settled(watch)?.into_iter().find(|entry| entry.id.eq_ignore_ascii_case(id));
    match found {
        Some(entry) => Ok((catalog, entry)),
        None => Err(Error::usage(format!(
            "the catalog in '{}' lists no backup with the id '{id}'; queue_backups() shows what it lists",
            catalog.directory().display()
        ))),
    }
}
