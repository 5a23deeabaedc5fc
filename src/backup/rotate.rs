//! Rotation: deleting the backups that a retention policy does not keep.
//!
//! # Promise
//!
//! Only artifacts that the directory's catalog lists are ever deleted, and never one that
//! [`plan`](crate::retention::plan) protects. Deleting is crash-safe (see [`catalog`](super::catalog)). A default
//! directory that does not exist yet holds no backups, so nothing is deleted and nothing is made.

use super::catalog::Catalog;
use super::entry::Entry;
use super::target;
use crate::connection::Caller;
use crate::error::Result;
use crate::files::LiveFiles;
use crate::progress::Watch;
use crate::retention::plan::{self, Item};
use crate::retention::policy::Policy;

/// Deletes what `policy` does not keep; the number of backups deleted.
///
/// # Errors
///
/// A directory that does not exist, a manifest that is none, or what the file system says.
pub fn rotate(caller: &Caller, policy: &Policy, directory: Option<&str>) -> Result<usize> {
    let place = target::directory(caller, directory)?;
    if directory.is_none() && !place.exists() {
        return Ok(0);
    }
    let live = LiveFiles::of(caller)?;
    let catalog = Catalog::of(&place, &live)?;
    // Without backups there is nothing to lock, and no lock file to leave.
    if catalog.backups()?.is_empty() {
        return Ok(0);
    }
    let mut watch = Watch::new(caller, None);
    let mut writer = catalog.open(&mut watch)?;
    let items: Vec<Item> = writer.backups().iter().map(|entry| item(entry, &catalog, &live)).collect();
    let doomed: Vec<String> = plan::plan(&items, policy)
        .into_iter()
        .filter(|decision| !decision.keeps())
        .map(|decision| decision.id)
        .collect();
    writer.delete(&doomed)
}

fn item(entry: &Entry, catalog: &Catalog<'_>, live: &LiveFiles) -> Item {
    let untouchable = if !entry.is_intact() {
        Some("its catalog entry was changed by somebody else")
    } else if live.contains(&catalog.directory().join(&entry.backup_path)) {
        Some("a live database")
    } else {
        None
    };
    Item {
        id: entry.id.clone(),
        parent_id: entry.parent_id.clone(),
        verified: entry.verified_at.is_some(),
        untouchable,
    }
}
