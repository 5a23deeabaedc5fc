//! A catalog's entries in order: backups, and those being deleted.
//!
//! # Promise
//!
//! - A backup whose deletion has begun counts no more: `latest`, retention, ages and parents ignore it.
//! - If its deletion failed, its file still exists. It is found by path and id, and listed with the error,
//!   until a writer can delete it.
//! - A listed file is never adopted, whatever its state.

use std::cmp::Reverse;

use super::Catalog;
use super::adopted;
use super::entry::Entry;
use crate::error::Result;

#[derive(Debug, Default)]
pub struct Listing {
    /// Newest first.
    pub backups: Vec<Entry>,
    /// Being deleted, newest first.
    pub going: Vec<Entry>,
}

impl Listing {
    /// Sorts entries in a catalog's order.
    pub fn of(entries: Vec<Entry>) -> Self {
        let (going, backups) = ordered(entries).into_iter().partition(Entry::is_deleting);
        Self { backups, going }
    }

    /// Those whose deletion failed.
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

    /// The adopted files in the catalog's directory. Fails if there are too many.
    pub fn adopted(&self, catalog: &Catalog<'_>) -> Result<Vec<Entry>> {
        let Some(directory) = &catalog.opened else { return Ok(Vec::new()) };
        adopted::list(directory, catalog.live(), self.backups.iter().chain(&self.going))
    }
}

/// Orders entries that are in a catalog's order, or ordered already.
fn ordered(mut entries: Vec<Entry>) -> Vec<Entry> {
    // Entries of version 0.1.0: within a millisecond the later one in the file is newer.
    entries.reverse();
    newest_first(&mut entries);
    entries
}

/// Orders entries by creation, newest first; stable.
pub fn newest_first(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| Reverse(entry.made()));
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
        entries[2].mark_deletion_failed("no");
        let names = |entries: &[Entry]| entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>();
        let listing = Listing::of(entries);
        assert_eq!(names(&listing.backups), ["4.db", "1.db"]);
        assert_eq!(names(&listing.going), ["3.db", "2.db"]);
        assert_eq!(listing.resisting().count(), 1);
        assert_eq!(names(&listing.known()), ["4.db", "3.db", "1.db"]);
    }

    #[test]
    fn newest_first_and_the_later_of_two_at_one_time() {
        let entries = vec![
            entry("old", "2026-01-01T00:00:00.000Z"),
            entry("first", "2026-01-02T00:00:00.000Z"),
            entry("second", "2026-01-02T00:00:00.000Z"),
        ];
        let entries = ordered(entries);
        let names: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(names, ["second", "first", "old"]);
    }

    #[test]
    fn nothing_is_newer_for_ever() {
        use super::super::entry::LARGEST_SEQUENCE;
        let last = Entry { sequence: Some(LARGEST_SEQUENCE - 1), ..entry("last", "2026-01-01T00:00:00.000Z") };
        let mut next = entry("next", "2026-01-02T00:00:00.000Z");
        next.rank_after(std::slice::from_ref(&last));
        let mut third = entry("third", "2026-01-03T00:00:00.000Z");
        third.rank_after(&[last.clone(), next.clone()]);
        let entries = ordered(vec![last, next, third]);
        let names: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(names, ["third", "next", "last"]);
    }

    #[test]
    fn newest_is_last_made_not_last_by_the_clock() {
        let numbered = |name: &str, created_at: &str, sequence| Entry { sequence, ..entry(name, created_at) };
        let entries = vec![
            numbered("third", "2026-01-02T00:00:00.000Z", Some(2_082_758_400_002)),
            numbered("ahead", "2036-01-01T00:00:00.000Z", Some(2_082_758_400_000)),
            numbered("behind", "2000-01-01T00:00:00.000Z", Some(2_082_758_400_001)),
            numbered("of 0.1.0", "2026-01-01T00:00:00.000Z", None),
        ];
        let entries = ordered(entries);
        let names: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(names, ["third", "behind", "ahead", "of 0.1.0"]);
    }
}
