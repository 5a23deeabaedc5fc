//! What should be gone and is still there: backups whose deletion failed, temporary files that nobody could sweep.
//!
//! # Promise
//!
//! - Looked at are the caller's default directory and those into which its newest other backups were put. Backups of other sources are
//!   not counted.
//! - A temporary file counts if no living run holds its lock and a writer came after it: every writer sweeps first.
//! - Nothing is written. A directory elsewhere that cannot be looked at holds nothing; of the default one that is an error.

use std::path::{Path, PathBuf};

use crate::backup::catalog::{Catalog, Listing, MANIFEST};
use crate::backup::find::directory;
use crate::backup::find::elsewhere;
use crate::backup::find::source::{Made, Source};
use crate::connection::Caller;
use crate::error::Result;
use crate::files::{self, Directory, LiveFiles};
use crate::progress::Watch;

/// A file that should be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where it lies.
    pub path: PathBuf,
    /// Why it is there, in words.
    pub why: String,
}

/// The leftovers of the caller's own source.
///
/// # Errors
///
/// A default directory or catalog that cannot be read, or a copy that has the name of its original.
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
    let source = Source::of(caller, &mut watch)?.among(elsewhere::made(&listing.backups, &pointers))?;
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
