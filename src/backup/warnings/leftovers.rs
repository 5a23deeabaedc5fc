//! Finds files that should be gone: backups whose deletion failed, and temporary files that could not be
//! swept.
//!
//! # Promise
//!
//! - It searches the caller's default directory and those of its newest backups elsewhere. Backups of other
//!   sources are not counted.
//! - A temporary file counts if no running process holds its lock and a writer came later: every writer
//!   sweeps first.
//! - Nothing is written. Another directory that cannot be read counts as empty; for the default one that is
//!   an error.

use std::path::{Path, PathBuf};

use crate::backup::catalog::{Catalog, Listing, MANIFEST};
use crate::backup::find::directory;
use crate::backup::find::elsewhere;
use crate::backup::find::source::{Made, Source};
use crate::connection::Caller;
use crate::error::Result;
use crate::files::{self, Directory, LiveFiles};
use crate::progress::Watch;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub path: PathBuf,
    /// The reason, as a sentence.
    pub why: String,
}

/// The leftovers of the caller's own source. Fails for a copy with its original's name.
pub fn of(caller: &Caller) -> Result<Vec<Leftover>> {
    let mut watch = Watch::new(caller, None);
    if caller.file().is_none() {
        return Ok(Vec::new());
    }
    let directory = directory::default_directory(caller, &mut watch)?;
    if !files::exists(&directory)? {
        return Ok(Vec::new());
    }
    let live = caller.live_files()?;
    let catalog = Catalog::of(&directory, &live)?;
    let listing = catalog.listing(&mut watch)?;
    let pointers = elsewhere::pointers(&catalog);
    let source = Source::of(caller, &mut watch)?.resolved_in(elsewhere::made(&listing.backups, &pointers))?;
    let mut found = resisting(&listing, &catalog, &source);
    found.extend(abandoned(catalog.opened()?, &live));
    let mut others: Vec<&Path> = pointers
        .iter()
        .filter(|one| source.owns(*one))
        .map(|one| files::parent_of(Path::new(&one.backup_path)))
        .collect();
    others.sort_unstable();
    others.dedup();
    for other in others {
        let there = Catalog::of(other, &live)
            .and_then(|catalog| Ok(resisting(&catalog.listing(&mut watch)?, &catalog, &source)));
        found.extend(there.unwrap_or_default());
    }
    Ok(found)
}

fn resisting(listing: &Listing, catalog: &Catalog<'_>, source: &Source) -> Vec<Leftover> {
    let own = listing.resisting().filter(|entry| source.owns(Made::from(*entry)));
    own.map(|entry| Leftover {
        path: entry.place(catalog.directory()),
        why: entry.deletion_error().unwrap_or_default(),
    })
    .collect()
}

fn abandoned(directory: &Directory, live: &LiveFiles) -> Vec<Leftover> {
    let written = |path: &Path| directory.metadata_of(path).ok().flatten().and_then(|found| found.modified());
    let Some(writer) = written(Path::new(MANIFEST)) else { return Vec::new() };
    let old =
        files::abandoned(directory, live).into_iter().filter(|path| written(path).is_some_and(|time| time < writer));
    old.map(|path| Leftover { why: format!("cannot delete the temporary file '{}'", path.display()), path }).collect()
}
