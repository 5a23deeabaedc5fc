//! What a catalog lists: backups, and what is being deleted.
//!
//! # Promise
//!
//! - A backup whose deletion has begun is none any more: `latest`, retention, ages and parents never see it.
//! - If its deletion failed, it still lies there. It is known by its path and its id, and shown with the error, until a writer can delete it.
//! - Whatever the catalog lists is not adopted, in whatever state it is.

use super::adopted;
use super::entry::Entry;
use super::{Catalog, newest_first, ordered};
use crate::error::Result;

/// The entries of a catalog.
#[derive(Debug, Default)]
pub struct Listing {
    /// The backups, newest first.
    pub backups: Vec<Entry>,
    /// Those whose deletion has begun, newest first.
    pub going: Vec<Entry>,
}

impl Listing {
    /// Of the entries as they stand in a catalog.
    pub fn of(entries: Vec<Entry>) -> Self {
        let (going, backups) = ordered(entries).into_iter().partition(Entry::is_going);
        Self { backups, going }
    }

    /// Those whose deletion was tried and failed.
    pub fn resisting(&self) -> impl Iterator<Item = &Entry> {
        self.going.iter().filter(|entry| entry.deletion_error().is_some())
    }

    /// The backups and those whose deletion failed, newest first.
    pub fn known(mut self) -> Vec<Entry> {
        self.going.retain(|entry| entry.deletion_error().is_some());
        self.backups.append(&mut self.going);
        newest_first(&mut self.backups);
        self.backups
    }

    /// The files in the catalog's directory that could be adopted.
    ///
    /// # Errors
    ///
    /// Too many of them.
    pub fn adopted(&self, catalog: &Catalog<'_>) -> Result<Vec<Entry>> {
        let Some(directory) = &catalog.opened else { return Ok(Vec::new()) };
        adopted::list(directory, catalog.live(), self.backups.iter().chain(&self.going))
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;

    #[test]
    fn what_is_going_is_no_backup_and_known_only_if_it_resists() {
        let mut entries: Vec<Entry> =
            (1..=4).map(|day| entry(&format!("{day}.db"), &format!("2026-01-0{day}T00:00:00.000Z"))).collect();
        entries[1].mark_deleting();
        entries[2].mark_deleting();
        entries[2].mark_resisting("no");
        let names = |entries: &[Entry]| entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>();
        let listing = Listing::of(entries);
        assert_eq!(names(&listing.backups), ["4.db", "1.db"]);
        assert_eq!(names(&listing.going), ["3.db", "2.db"]);
        assert_eq!(listing.resisting().count(), 1);
        assert_eq!(names(&listing.known()), ["4.db", "3.db", "1.db"]);
    }
}
