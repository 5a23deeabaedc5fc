//! Which backup is meant: a path, an id, or `latest`.
//!
//! # Promise
//!
//! - `latest` is the newest backup of the caller's own [`source`] in the catalog of `dir`, else of the default directory,
//!   and then also of those that were put [`elsewhere`]. Another source's is never taken. Who has no source, such as a database in
//!   memory, gets the newest where all are of one source. What was saved before a restore is not meant, unless there is nothing else.
//! - An id is looked up in the same catalog, and among those that were put elsewhere.
//! - Anything else is a path. The catalog is then that of the path's own directory (`dir` is not needed). An artifact that it
//!   does not list is described by [`uncatalogued`](self::uncatalogued).
//!
//! What is the caller's own because its settings say so ([`Found::claimed`], [`Found::doubted`]) is told apart: settings are rows, and
//! whoever writes them is not always who may read, or delete, those backups.
//!
//! A backup whose deletion failed is never `latest`; by its path or its id it can be verified and restored as long as it lies there.
//!
//! A path that is a live database, or leads to one, is refused before anything is opened.

pub mod directory;
pub mod elsewhere;
pub mod source;
pub mod uncatalogued;

use std::path::Path;

use rusqlite::ffi;

use self::source::{Made, Source};
use super::artifact::kind::BEFORE_RESTORE;
use super::catalog::entry::Entry;
use super::catalog::{Backup, Catalog};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles};
use crate::progress::Watch;

/// A backup that was found.
pub struct Found<'a> {
    /// The catalog that lists it, or of the directory in which it lies.
    pub catalog: Catalog<'a>,
    /// What that lists, newest first: the backups and those whose deletion failed.
    pub known: Vec<Entry>,
    /// Its entry.
    pub entry: Entry,
    /// What whoever asked for `latest` should know of newer ones.
    pub note: Option<String>,
    /// See [`Source::only_claims`]; never of what was named.
    pub claimed: bool,
    /// See [`Source::doubts`]; never of what was named.
    pub doubted: bool,
}

impl<'a> Found<'a> {
    fn named(catalog: Catalog<'a>, known: Vec<Entry>, entry: Entry) -> Self {
        Self { catalog, known, entry, note: None, claimed: false, doubted: false }
    }

    /// The same as what `source` has for `latest`.
    fn latest(self, note: Option<String>, source: Option<&Source>) -> Self {
        let claimed = source.is_some_and(|source| source.only_claims(&self.entry));
        let doubted = source.is_some_and(|source| source.doubts(&self.entry));
        Self { note, claimed, doubted, ..self }
    }

    /// It, to read its artifact.
    pub fn backup(&self) -> Backup<'_> {
        Backup { catalog: &self.catalog, known: &self.known, entry: &self.entry, staged: None }
    }
}

/// Finds the backup that `words` mean; `targets` are directories in which it may be rebuilt.
///
/// # Errors
///
/// No such backup, a directory without a catalog, or one that cannot be read.
pub fn backup<'a>(
    caller: &Caller,
    live: &'a LiveFiles,
    words: Option<&str>,
    dir: Option<&str>,
    targets: &[&Path],
    watch: &mut Watch<'_>,
) -> Result<Found<'a>> {
    let Some(words) = words.filter(|words| !words.is_empty()) else {
        return Err(Error::usage("the backup is missing; pass its path, its id, or 'latest'"));
    };
    if words.contains('\0') {
        return Err(Error::usage("the backup contains a NUL character, which neither a path nor an id can"));
    }
    if words == "latest" {
        return latest(caller, live, dir, watch);
    }
    if uuid::Uuid::parse_str(words).is_ok() && !Path::new(words).exists() {
        let catalog = Catalog::of(&directory::directory(caller, dir, watch)?, live)?;
        by_id(catalog, words, live, watch)
    } else {
        if words.ends_with(std::path::is_separator) {
            return Err(no_backup(Path::new(words)));
        }
        by_path(live, Path::new(words), targets, watch)
    }
}

/// The newest backup of the caller's own source.
fn latest<'a>(caller: &Caller, live: &'a LiveFiles, dir: Option<&str>, watch: &mut Watch<'_>) -> Result<Found<'a>> {
    let catalog = Catalog::of(&directory::directory(caller, dir, watch)?, live)?;
    let listing = catalog.listing(watch)?;
    let entries = &listing.backups;
    let pointers = match dir {
        None => elsewhere::pointers(&catalog),
        Some(_) => Vec::new(),
    };
    let source = Source::of(caller, watch)?.among(elsewhere::made(entries, &pointers))?;
    // Who stands for nobody may have what is of one source alone.
    let source = Some(source).filter(|source| source.is_known() || source::only(entries).is_none());
    let own = |made: Made<'_>| source.as_ref().is_none_or(|source| source.owns(made));
    let newest = newest(entries.iter().filter(|entry| own(Made::from(*entry))));
    let mut lost = Vec::new();
    for pointer in pointers.iter().filter(|pointer| own(Made::from(*pointer))) {
        if newest.is_some_and(|entry| entry.name.as_deref() != Some(BEFORE_RESTORE) && !pointer.is_newer_than(entry))
        {
            break;
        }
        match pointer.follow(source.as_ref(), live, watch) {
            Ok(found) => return Ok(found.latest(told_of(&lost), source.as_ref())),
            Err(error) if error.primary_code() == ffi::SQLITE_INTERRUPT => return Err(error),
            Err(error) => lost.push(format!("'{}' ({error})", pointer.backup_path)),
        }
    }
    match (newest.cloned(), source) {
        (Some(entry), source) => {
            let saved = (entry.name.as_deref() == Some(BEFORE_RESTORE)).then(|| ONLY_SAVED.to_owned());
            let note = told_of(&lost).into_iter().chain(saved).reduce(|first, second| format!("{first}; {second}"));
            Ok(Found::named(catalog, listing.known(), entry).latest(note, source.as_ref()))
        }
        (None, Some(source)) if !entries.is_empty() => Err(source::none_of(&source, catalog.directory(), entries)),
        (None, _) => Err(Error::usage(format!(
            "'{}' holds no backups; make one with queue_backup(), or say in which directory they are: {{\"dir\": \"…\"}}",
            catalog.directory().display()
        ))),
    }
    .map_err(|error| told_of(&lost).map_or(error.clone(), |lost| error.advice(lost)))
}

const ONLY_SAVED: &str = "this directory holds no other backup of the database than what was saved before a restore; one that lies elsewhere is \
                          meant by its path, or by {\"dir\": …}";

/// What was saved before a restore counts only where there is nothing else: a second restore is not meant to undo the first.
fn newest<'e>(mut own: impl Iterator<Item = &'e Entry> + Clone) -> Option<&'e Entry> {
    own.clone().find(|entry| entry.name.as_deref() != Some(BEFORE_RESTORE)).or_else(|| own.next())
}

fn told_of(lost: &[String]) -> Option<String> {
    let several = lost.join(", ");
    (!lost.is_empty()).then(|| format!("newer backups were put elsewhere and are not there: {several}"))
}

/// The backups of the caller's own source in its default directory that were verified.
///
/// # Errors
///
/// A directory or a catalog that cannot be read, or a copy that has the name of its original.
pub fn verified(caller: &Caller, watch: &mut Watch<'_>) -> Result<Vec<Entry>> {
    if caller.file().is_none() {
        return Ok(Vec::new());
    }
    let directory = directory::directory(caller, None, watch)?;
    if !files::exists(&directory)? {
        return Ok(Vec::new());
    }
    let live = caller.live_files()?;
    let entries = Catalog::of(&directory, &live)?.read()?.backups;
    let source = Source::of(caller, watch)?.among(entries.iter().map(Made::from))?;
    let sound = |entry: &Entry| source.owns(entry) && entry.verified_at.is_some() && !entry.is_damaged();
    Ok(entries.into_iter().filter(sound).collect())
}

/// Whether the backup with this id is in the caller's default directory, or was put elsewhere, and its file is there.
pub fn is_there(caller: &Caller, id: &str) -> Result<bool> {
    let mut watch = Watch::new(caller, None);
    let directory = directory::default_directory(caller, &mut watch)?;
    if !files::exists(&directory)? {
        return Ok(false);
    }
    let live = caller.live_files()?;
    match by_id(Catalog::of(&directory, &live)?, id, &live, &mut watch) {
        Ok(Found { catalog, entry, .. }) => {
            Ok(!entry.is_going() && catalog.look(&entry.place(catalog.directory()))?.is_some())
        }
        Err(error) if error.primary_code() == ffi::SQLITE_ERROR => Ok(false),
        Err(error) => Err(error),
    }
}

fn no_backup(path: &Path) -> Error {
    Error::usage(format!("'{}' is not a backup; pass the path of one, its id, or 'latest'", path.display()))
}

/// The backup at a path.
pub fn by_path<'a>(live: &'a LiveFiles, path: &Path, targets: &[&Path], watch: &mut Watch<'_>) -> Result<Found<'a>> {
    live.refuse(path)?;
    let name = match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if !path.is_dir() => name.to_owned(),
        _ => return Err(no_backup(path)),
    };
    let catalog = Catalog::of(files::parent_of(path), live)?;
    let known = catalog.listing(watch)?.known();
    let entry = match known.iter().find(|entry| entry.backup_path == name) {
        Some(entry) => entry.clone(),
        None => uncatalogued::describe(&catalog, path, targets, watch)?,
    };
    Ok(Found::named(catalog, known, entry))
}

fn by_id<'a>(catalog: Catalog<'a>, id: &str, live: &'a LiveFiles, watch: &mut Watch<'_>) -> Result<Found<'a>> {
    let known = catalog.listing(watch)?.known();
    if let Some(entry) = known.iter().find(|entry| entry.id.eq_ignore_ascii_case(id)).cloned() {
        return Ok(Found::named(catalog, known, entry));
    }
    let pointers = elsewhere::pointers(&catalog);
    match pointers.iter().find(|pointer| pointer.id.eq_ignore_ascii_case(id)) {
        Some(pointer) => pointer
            .follow(None, live, watch)
            .map_err(|error| error.context(format!("the backup '{id}' was put to '{}'", pointer.backup_path))),
        None => Err(Error::usage(format!(
            "the catalog in '{}' lists no backup with the id '{id}'; queue_backups() shows what it lists",
            catalog.directory().display()
        ))),
    }
}
