//! Names another backup where one turns out to be damaged.
//!
//! # Promise
//!
//! - It is the newest of the same source that passed a verification, else the newest that is not known to be
//!   damaged. All that it builds on is there, and not known to be damaged either. A restore's safety backup
//!   is named only if there is no other.
//! - An incremental may be damaged because of its parent. So what both build on is compared with its
//!   checksum; nothing else is read.
//! - Looking changes nothing and fails nothing: without an answer there is no advice.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::ffi;

use crate::backup::artifact;
use crate::backup::artifact::kind::BEFORE_RESTORE;
use crate::backup::catalog::Catalog;
use crate::backup::catalog::chain::{chain, on_damaged};
use crate::backup::catalog::entry::Entry;
use crate::backup::find::source::Key;
use crate::backup::find::{Found, directory};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files;
use crate::progress::Watch;

/// So many are looked at.
const MOST: usize = 100;

/// The sentence that names another backup than the damaged `found`: of its directory, else of the default one.
pub fn advice(caller: &Caller, found: &Found<'_>, watch: &mut Watch<'_>) -> Option<String> {
    let damaged = &found.entry;
    if !found.known.iter().any(|listed| listed.is_same(damaged)) {
        return None;
    }
    let broken = chain(&found.known, damaged).unwrap_or_else(|_| vec![damaged]);
    let mut here = Search { catalog: &found.catalog, damaged, broken, compared: HashMap::new(), watch };
    if let Some(entry) = here.best(&found.known) {
        return Some(sentence(entry, found.catalog.directory()));
    }
    let none = || format!("no sound backup of this database is known in '{}'", found.catalog.directory().display());
    let elsewhere = in_default_directory(caller, found, watch).ok().flatten();
    Some(elsewhere.unwrap_or_else(none))
}

/// Adds the advice to an error, if it says that `found` is damaged or missing.
pub fn named(error: Error, caller: &Caller, found: &Found<'_>, watch: &mut Watch<'_>) -> Error {
    let backup = found.backup();
    let missing = || {
        let links = backup.chain().unwrap_or_default();
        links.into_iter().any(|link| matches!(backup.open(link), Ok(None)))
    };
    let unusable = error.is_damage() || (error.primary_code() == ffi::SQLITE_CANTOPEN && missing());
    match unusable.then(|| advice(caller, found, watch)).flatten() {
        Some(advice) => error.advice(advice),
        None => error,
    }
}

fn in_default_directory(caller: &Caller, found: &Found<'_>, watch: &mut Watch<'_>) -> Result<Option<String>> {
    let directory = directory::default_directory(caller, watch)?;
    if files::same_file(&directory, found.catalog.directory()) || !files::exists(&directory)? {
        return Ok(None);
    }
    let catalog = Catalog::of(&directory, found.catalog.live())?;
    let known = catalog.listing(watch)?.known();
    let (broken, compared) = (Vec::new(), HashMap::new());
    let mut there = Search { catalog: &catalog, damaged: &found.entry, broken, compared, watch };
    Ok(there.best(&known).map(|entry| sentence(entry, catalog.directory())))
}

fn sentence(entry: &Entry, directory: &Path) -> String {
    let verified = match &entry.verified_at {
        Some(when) => format!("verified {when}"),
        None => "not verified yet".into(),
    };
    let text = format!("id {}, made {}, {verified}", entry.id, entry.created_at);
    format!(
        "the newest backup of this database that is sound as far as is known is '{}' ({})",
        entry.place(directory).display(),
        text.escape_debug()
    )
}

struct Search<'a, 'w> {
    catalog: &'a Catalog<'a>,
    damaged: &'a Entry,
    /// What the damaged one consists of, in the same catalog.
    broken: Vec<&'a Entry>,
    /// Whether the file of a part is what was written, by id.
    compared: HashMap<String, bool>,
    watch: &'a mut Watch<'w>,
}

impl Search<'_, '_> {
    /// `known` is newest first.
    fn best<'e>(&mut self, known: &'e [Entry]) -> Option<&'e Entry> {
        let whose = Key::of(self.damaged);
        let unsound = on_damaged(known);
        let mut usable: Vec<&Entry> = known
            .iter()
            .filter(|entry| Key::of(*entry) == whose && entry.id != self.damaged.id && !entry.is_deleting())
            .filter(|entry| entry.is_intact() && !unsound.contains(entry.id.as_str()))
            .collect();
        usable.sort_by_key(|entry| (entry.name.as_deref() == Some(BEFORE_RESTORE), entry.verified_at.is_none()));
        usable.into_iter().take(MOST).find(|entry| self.is_there(known, entry))
    }

    fn is_there(&mut self, known: &[Entry], entry: &Entry) -> bool {
        chain(known, entry).is_ok_and(|links| links.into_iter().all(|link| self.holds(link).unwrap_or(false)))
    }

    /// Whether a file has its length and, if it is part of the damaged one, its content.
    fn holds(&mut self, link: &Entry) -> Result<bool> {
        if let Some(compared) = self.compared.get(&link.id) {
            return Ok(*compared);
        }
        let path = link.place(self.catalog.directory());
        let mut holds = self
            .catalog
            .metadata_of(&path)?
            .is_some_and(|found| found.is_file() && found.length() == link.size_bytes);
        if holds && self.broken.iter().any(|part| part.is_same(link)) {
            let file = self.catalog.open_file(&path)?;
            let found = file.map(|mut file| artifact::fingerprint(&mut file, &path, self.watch)).transpose()?;
            holds = found.is_some_and(|found| found.checksum == link.checksum);
        }
        self.compared.insert(link.id.clone(), holds);
        Ok(holds)
    }
}
