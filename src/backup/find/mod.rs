//! Finds a backup by a path, an id, or `latest`.
//!
//! # Promise
//!
//! - `latest` is the newest backup of the caller's own [`source`] in the catalog of `dir`, else of the
//!   default directory and of those [`elsewhere`]. It is never another source's. A caller without a source,
//!   such as a database in memory, gets the newest if all are of one source. A restore's safety backup is
//!   used only if there is no other.
//! - An id is looked up in the same catalog, and among those elsewhere. So is its beginning, of at least
//!   [`SHORTEST`] characters, unless it is the path of a file; one that several ids have is refused.
//! - Anything else is a path. The catalog is then that of the path's own directory (`dir` is not needed). An
//!   artifact that it does not list is described by [`uncatalogued`].
//!
//! Backups that are the caller's own only by its settings are marked ([`Found::claimed`],
//! [`Found::doubted`]): settings are rows, and whoever writes them may lack the right to read or delete those
//! backups.
//!
//! A backup whose deletion failed is never `latest`; by path or id it can be verified and restored while its
//! file exists.
//!
//! A path that is a live database, or leads to one, is refused before anything is opened.

pub mod directory;
pub mod elsewhere;
pub mod source;
pub mod uncatalogued;

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::ffi;

use self::source::{Made, Source};
use super::artifact::kind::BEFORE_RESTORE;
use super::catalog::chain::on_damaged;
use super::catalog::entry::Entry;
use super::catalog::{Backup, Catalog};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles};
use crate::progress::Watch;

pub struct Found<'a> {
    /// The catalog that lists it, or that of its directory.
    pub catalog: Catalog<'a>,
    /// The catalog's entries, newest first: backups and those whose deletion failed.
    pub known: Vec<Entry>,
    pub entry: Entry,
    /// On newer backups, for `latest`.
    pub note: Option<String>,
    /// See [`Source::only_claims`]; only for `latest`.
    pub claimed: bool,
    /// See [`Source::may_be_anothers`]; only for `latest`.
    pub doubted: bool,
}

impl<'a> Found<'a> {
    fn named(catalog: Catalog<'a>, known: Vec<Entry>, entry: Entry) -> Self {
        Self { catalog, known, entry, note: None, claimed: false, doubted: false }
    }

    /// Adds the results for `latest`.
    fn latest(self, note: Option<String>, source: Option<&Source>) -> Self {
        let claimed = source.is_some_and(|source| source.only_claims(&self.entry));
        let doubted = source.is_some_and(|source| source.may_be_anothers(&self.entry));
        Self { note, claimed, doubted, ..self }
    }

    pub fn backup(&self) -> Backup<'_> {
        Backup { catalog: &self.catalog, known: &self.known, entry: &self.entry, staged: None }
    }
}

/// Finds the backup that `words` means; `targets` are directories in which it may be rebuilt.
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
    let whole = uuid::Uuid::parse_str(words).is_ok();
    if (whole || may_begin_id(words)) && !Path::new(words).exists() {
        let catalog = Catalog::of(&directory::directory(caller, dir, watch)?, live)?;
        let place = catalog.directory().display().to_string();
        match by_id(catalog, words, live, watch)? {
            Some(found) => return Ok(found),
            None if whole => {
                return Err(Error::usage(format!(
                    "the catalog in '{place}' lists no backup with the id '{words}'; queue_backups() shows what it lists"
                )));
            }
            None => {}
        }
    }
    if words.ends_with(std::path::is_separator) {
        return Err(no_backup(Path::new(words)));
    }
    by_path(live, Path::new(words), targets, watch)
}

/// The shortest beginning of an id that is taken for it.
const SHORTEST: usize = 4;

fn may_begin_id(words: &str) -> bool {
    words.len() >= SHORTEST && words.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
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
    let source = Source::of(caller, watch)?.resolved_in(elsewhere::made(entries, &pointers))?;
    // A caller without a source may use backups that are all of one source.
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
        (None, Some(source)) if !entries.is_empty() => Err(source::no_own_backup(&source, catalog.directory(), entries)),
        (None, _) => Err(Error::usage(format!(
            "'{}' holds no backups; make one with queue_backup(), or say in which directory they are: {{\"dir\": \"…\"}}",
            catalog.directory().display()
        ))),
    }
    .map_err(|error| told_of(&lost).map_or(error.clone(), |lost| error.advice(lost)))
}

const ONLY_SAVED: &str = "this directory holds no other backup of the database than what was saved before a restore; one that lies elsewhere is \
                          meant by its path, or by {\"dir\": …}";

/// A safety backup only if there is no other: a second restore should not undo the first.
fn newest<'e>(mut own: impl Iterator<Item = &'e Entry> + Clone) -> Option<&'e Entry> {
    own.clone().find(|entry| entry.name.as_deref() != Some(BEFORE_RESTORE)).or_else(|| own.next())
}

fn told_of(lost: &[String]) -> Option<String> {
    let several = lost.join(", ");
    (!lost.is_empty()).then(|| format!("newer backups were put elsewhere and are not there: {several}"))
}

/// The verified backups of the caller's own source in its default directory, but for those that are or build
/// on what was found damaged since. Fails for a copy with its
/// original's name.
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
    let source = Source::of(caller, watch)?.resolved_in(entries.iter().map(Made::from))?;
    let unsound = on_damaged(&entries);
    let sound =
        |entry: &&Entry| source.owns(*entry) && entry.verified_at.is_some() && !unsound.contains(entry.id.as_str());
    Ok(entries.iter().filter(sound).cloned().collect())
}

/// Whether the backup with this id is in the caller's default directory or elsewhere, and its file exists.
pub fn is_there(caller: &Caller, id: &str) -> Result<bool> {
    let mut watch = Watch::new(caller, None);
    let directory = directory::default_directory(caller, &mut watch)?;
    if !files::exists(&directory)? {
        return Ok(false);
    }
    let live = caller.live_files()?;
    match by_id(Catalog::of(&directory, &live)?, id, &live, &mut watch) {
        Ok(None) => Ok(false),
        Ok(Some(Found { catalog, entry, .. })) => {
            Ok(!entry.is_deleting() && catalog.metadata_of(&entry.place(catalog.directory()))?.is_some())
        }
        Err(error) if error.primary_code() == ffi::SQLITE_ERROR => Ok(false),
        Err(error) => Err(error),
    }
}

fn no_backup(path: &Path) -> Error {
    Error::usage(format!("'{}' is not a backup; pass the path of one, its id, or 'latest'", path.display()))
}

/// Finds the backup at a path.
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

/// Finds the backup whose id is `id`, or the only one whose id begins so.
fn by_id<'a>(
    catalog: Catalog<'a>,
    id: &str,
    live: &'a LiveFiles,
    watch: &mut Watch<'_>,
) -> Result<Option<Found<'a>>> {
    let known = catalog.listing(watch)?.known();
    let pointers = elsewhere::pointers(&catalog);
    let ids = known.iter().map(|entry| &entry.id).chain(pointers.iter().map(|pointer| &pointer.id));
    let Some(id) = the_one(id, ids.map(String::as_str))?.map(str::to_owned) else { return Ok(None) };
    if let Some(entry) = known.iter().find(|entry| entry.id == id).cloned() {
        return Ok(Some(Found::named(catalog, known, entry)));
    }
    let pointer = pointers.iter().find(|pointer| pointer.id == id);
    let followed = pointer.map(|pointer| {
        let gone = |error: Error| error.context(format!("the backup '{id}' was put to '{}'", pointer.backup_path));
        pointer.follow(None, live, watch).map_err(gone)
    });
    followed.transpose()
}

/// The id that is `beginning`, else the only one that begins so. Fails if there are several.
fn the_one<'e>(beginning: &str, ids: impl Iterator<Item = &'e str> + Clone) -> Result<Option<&'e str>> {
    /// Ids listed in the error.
    const MOST: usize = 8;
    if let Some(id) = ids.clone().find(|id| id.eq_ignore_ascii_case(beginning)) {
        return Ok(Some(id));
    }
    let begins = |id: &&str| {
        id.as_bytes().get(..beginning.len()).is_some_and(|part| part.eq_ignore_ascii_case(beginning.as_bytes()))
    };
    let found: BTreeSet<&str> = ids.filter(begins).collect();
    if found.len() <= 1 {
        return Ok(found.first().copied());
    }
    let listed: Vec<&str> = found.iter().copied().take(MOST).collect();
    let more = if found.len() > MOST { format!(" and {} more", found.len() - MOST) } else { String::new() };
    Err(Error::usage(format!(
        "the ids of {} backups begin with '{beginning}': {}{more}; pass more of the one that is meant",
        found.len(),
        listed.join(", ").escape_debug()
    )))
}
