//! Deletes one named backup.
//!
//! # Promise
//!
//! A backup that others build on is refused, with their names, unless `dependants` is true: then all its
//! dependants are deleted with it, in one step. A failed deletion is an error; the backup counts no more, and
//! every writer tries again. With `dry_run` all is looked at alike, and nothing deleted. A live database is never deleted. Rotation's other protections do not apply: a
//! named backup is deleted even if it is the newest verified one.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::catalog::Catalog;
use super::catalog::entry::Entry;
use super::find::{self, Found};
use super::rotate::repeated;
use crate::connection::Caller;
use crate::error::{Error, Result, UNCHANGED};
use crate::files::LiveFiles;
use crate::progress::Watch;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"dependants\": true}")]
pub struct Options {
    dir: Option<String>,
    dependants: Option<bool>,
    dry_run: Option<bool>,
}

#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The count of deleted backups; with `dry_run`, of those that would be.
    pub deleted: usize,
    /// The named one first.
    pub ids: Vec<String>,
    /// Of the artifacts.
    pub backup_paths: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Deletes the backup that `words` means: a path, an id or `latest`.
pub fn delete(caller: &Caller, words: Option<&str>, options: &Options) -> Result<Outcome> {
    let live = caller.live_files()?;
    let mut watch = Watch::new(caller, None);
    let Found { catalog, entry: named, doubted, .. } =
        find::backup(caller, &live, words, options.dir.as_deref(), &[], &mut watch)?;
    if doubted {
        return Err(Error::usage(format!(
            "'{}' was made of '{}', where another file lies now, and only the settings say that it is this queue's own; pass its path or \
             its id to delete it",
            named.place(catalog.directory()).display(),
            named.source_path
        )));
    }
    delete_from(&catalog, &named, options, &live, &mut watch)
}

/// Deletes the backup at `place`.
pub fn at(caller: &Caller, place: &Path) -> Result<Outcome> {
    let live = caller.live_files()?;
    let mut watch = Watch::new(caller, None);
    let Found { catalog, entry: named, .. } = find::by_path(&live, place, &[], &mut watch)?;
    delete_from(&catalog, &named, &Options::default(), &live, &mut watch)
}

fn delete_from(
    catalog: &Catalog<'_>,
    named: &Entry,
    options: &Options,
    live: &LiveFiles,
    watch: &mut Watch<'_>,
) -> Result<Outcome> {
    let mut writer = catalog.open(watch).map_err(|error| error.if_interrupted(UNCHANGED))?;
    if writer.has_deleted(named) {
        let backup_paths = vec![named.shown(catalog.directory()).backup_path];
        return Ok(Outcome { deleted: 1, ids: vec![named.id.clone()], backup_paths, dry_run: false });
    }
    let entries = writer.listing().known();
    let Some(named) = entries.iter().find(|entry| entry.is_same(named)) else {
        return Err(Error::usage(format!(
            "the catalog in '{}' does not list '{}' (any more); queue_backups() shows what it lists",
            catalog.directory().display(),
            named.backup_path
        )));
    };
    let doomed = with_dependants(&entries, named);
    let others = doomed.iter().skip(1).filter(|entry| !entry.is_deleting());
    let names: Vec<&str> = others.map(|entry| entry.backup_path.as_str()).collect();
    if !names.is_empty() && !options.dependants.unwrap_or(false) {
        return Err(Error::usage(format!(
            "'{}' cannot be deleted alone, because {} of the backups build on it: {}; delete those first, or pass \
             {{\"dependants\": true}} to delete them with it",
            named.backup_path,
            names.len(),
            names.join(", ")
        )));
    }
    let ids = repeated(entries.iter().map(|entry| entry.id.as_str()));
    let files = repeated(entries.iter().map(|entry| entry.backup_path.as_str()));
    for entry in &doomed {
        let path = entry.place(catalog.directory());
        live.refuse_in(writer.directory(), &path)?;
        catalog.refuse_redirected(&path)?;
        if ids.contains(entry.id.as_str()) || files.contains(entry.backup_path.as_str()) {
            return Err(Error::usage(format!(
                "the catalog lists '{}' or its id twice, so nothing is deleted on its word; delete the file yourself",
                entry.backup_path
            )));
        }
        if catalog.journal_of(&path)?.is_some() {
            return Err(Error::busy(format!(
                "'{}' is in use as a database: a journal lies beside it; close what has it open",
                path.display()
            )));
        }
        if !entry.is_intact() {
            return Err(Error::usage(format!(
                "the catalog entry of '{}' was changed by somebody else, so nothing is deleted on its word; delete the file \
                 yourself",
                entry.backup_path
            )));
        }
    }
    let ids: Vec<String> = doomed.iter().map(|entry| entry.id.clone()).collect();
    let backup_paths = doomed.iter().map(|entry| entry.shown(catalog.directory()).backup_path).collect();
    if options.dry_run.unwrap_or(false) {
        return Ok(Outcome { deleted: ids.len(), ids, backup_paths, dry_run: true });
    }
    writer.delete(&ids)?;
    let these: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let deleted = writer.deletions().among(|entry| these.contains(entry.id.as_str())).count()?;
    Ok(Outcome { deleted, ids, backup_paths, dry_run: false })
}

/// `first` and its transitive dependants.
fn with_dependants<'a>(entries: &'a [Entry], first: &'a Entry) -> Vec<&'a Entry> {
    let mut children: HashMap<&str, Vec<&Entry>> = HashMap::new();
    for entry in entries {
        if let Some(parent) = &entry.parent_id {
            children.entry(parent).or_default().push(entry);
        }
    }
    let mut seen = HashSet::from([first.id.as_str()]);
    let mut doomed = vec![first];
    let mut next = 0;
    while let Some(parent) = doomed.get(next) {
        let new = children.remove(parent.id.as_str()).unwrap_or_default();
        doomed.extend(new.into_iter().filter(|child| seen.insert(&child.id)));
        next += 1;
    }
    doomed
}

#[cfg(test)]
mod tests {
    use super::super::catalog::entry::tests::entry;
    use super::*;

    #[test]
    fn dependants_of_dependants_and_no_end_in_a_circle() {
        let child = |name: &str, parent: &str| Entry {
            parent_id: Some(parent.into()),
            ..entry(name, "2026-01-01T00:00:00.000Z")
        };
        let entries = [child("d", "c"), child("c", "b"), child("b", "a"), entry("a", ""), entry("other", "")];
        let ids = |first: usize| -> Vec<&str> {
            with_dependants(&entries, &entries[first]).iter().map(|entry| entry.id.as_str()).collect()
        };
        assert_eq!(ids(3), ["a", "b", "c", "d"]);
        assert_eq!(ids(1), ["c", "d"]);
        assert_eq!(ids(4), ["other"]);
        let circle = [child("x", "y"), child("y", "x")];
        assert_eq!(with_dependants(&circle, &circle[0]).len(), 2);
        // Linear in the count of entries.
        let most = crate::bounds::CATALOG_ENTRIES / 5;
        let long: Vec<Entry> = (0..most).map(|id| child(&id.to_string(), &(id + 1).to_string())).collect();
        assert_eq!(with_dependants(&long, &long[most - 1]).len(), most);
    }
}
