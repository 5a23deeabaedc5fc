//! Removes the files of entries that are marked for deletion.
//!
//! # Promise
//!
//! - A backup counts as deleted once its artifact and its hash file are gone.
//! - A file that cannot be deleted (immutable, or in a read-only directory) does not stop other deletions,
//!   except of its chain: a delta's chain stays as long as the delta. Each backup that stays is reported with
//!   its error.
//! - A file that is neither a database nor a compressed one (see [`recognize::artifact`]) is not deleted,
//!   whatever the catalog says, nor is a file with a hash file's name that is none.
//! - Cycles in a broken catalog are harmless.
//!
//! # How
//!
//! Children first: a backup is removed when no remaining marked backup builds on it.

use std::collections::HashMap;
use std::path::Path;

use super::entry::Entry;
use super::hash_file;
use crate::backup::artifact::recognize;
use crate::error::{Error, Result};
use crate::files::{Directory, LiveFiles};

/// The result of deleting the marked entries.
#[derive(Debug, Default)]
pub struct Deletions {
    /// Their files are gone.
    pub gone: Vec<Entry>,
    /// Still there, with the error: first those that cannot be deleted, then those that others build on.
    pub resisted: Vec<(Entry, Error)>,
}

impl Deletions {
    /// Filters both lists.
    #[must_use]
    pub fn among(mut self, these: impl Fn(&Entry) -> bool) -> Self {
        self.gone.retain(&these);
        self.resisted.retain(|(entry, _)| these(entry));
        self
    }

    /// The count of deleted backups; an error, with that count, if any resisted.
    pub fn count(self) -> Result<usize> {
        let gone = self.gone.len();
        match combined(gone, self.resisted.into_iter().map(|(_, error)| error)) {
            Some(error) => Err(error),
            None => Ok(gone),
        }
    }
}

/// Combines a deletion's errors into one; `gone` is the count of deleted backups.
pub fn combined(gone: usize, errors: impl IntoIterator<Item = Error>) -> Option<Error> {
    let mut errors = errors.into_iter();
    let first = errors.next()?;
    let first = match errors.count() {
        0 => first,
        1 => first.advice("one more resisted, too"),
        more => first.advice(format!("{more} more resisted, too")),
    };
    let others = match gone {
        0 => "no other backup was deleted".to_owned(),
        1 => "1 other backup was deleted".to_owned(),
        gone => format!("{gone} other backups were deleted"),
    };
    Some(first.advice(format!(
        "{others}; what is still there is tried again each time, and queue_backups() has its deletion_error"
    )))
}

/// Removes the files of these entries as far as possible.
pub fn remove(going: Vec<Entry>, directory: &Directory, live: &LiveFiles) -> Deletions {
    let mut order = Order::of(&going);
    let mut errors: HashMap<usize, Error> = HashMap::new();
    let mut waiting: HashMap<usize, Error> = HashMap::new();
    while let Some(place) = order.next() {
        match remove_files(directory, &going[place].place(directory.path()), live) {
            Ok(()) => order.gone(place),
            Err(error) => {
                let waits = |parent: usize| (parent, waits(&going[parent], &going[place], &error));
                waiting.extend(order.waiting(place).into_iter().map(waits));
                errors.insert(place, error);
            }
        }
    }
    let mut done = Deletions::default();
    let mut last = Vec::new();
    for (place, entry) in going.into_iter().enumerate() {
        match (errors.remove(&place), waiting.remove(&place)) {
            (Some(error), _) => done.resisted.push((entry, error)),
            (None, Some(error)) => last.push((entry, error)),
            (None, None) => done.gone.push(entry),
        }
    }
    done.resisted.append(&mut last);
    done
}

fn waits(entry: &Entry, child: &Entry, error: &Error) -> Error {
    Error::new(
        error.code(),
        format!(
            "the backup '{}' was not deleted, since '{}' builds on it and could not be deleted",
            entry.backup_path, child.backup_path
        ),
    )
}

/// The order in which entries can be deleted.
struct Order {
    parents: Vec<Option<usize>>,
    /// How many remaining entries build directly on each.
    children: Vec<usize>,
    ready: Vec<usize>,
    /// Returned already, or blocked by one that resisted.
    settled: Vec<bool>,
    /// The index up to which cycles were searched.
    looked: usize,
}

impl Order {
    fn of(entries: &[Entry]) -> Self {
        let places: HashMap<&str, usize> =
            entries.iter().enumerate().map(|(place, entry)| (entry.id.as_str(), place)).collect();
        let parent = |entry: &Entry| entry.parent_id.as_deref().and_then(|id| places.get(id).copied());
        let parents: Vec<Option<usize>> = entries.iter().map(parent).collect();
        let mut children = vec![0; entries.len()];
        for &parent in parents.iter().flatten() {
            children[parent] += 1;
        }
        let ready = (0..entries.len()).filter(|&place| children[place] == 0).collect();
        Self { parents, children, ready, settled: vec![false; entries.len()], looked: 0 }
    }

    /// The next entry; if only cycles are left, any of them.
    fn next(&mut self) -> Option<usize> {
        let place = match self.ready.pop() {
            Some(place) => place,
            None => {
                self.looked += self.settled[self.looked..].iter().position(|settled| !settled)?;
                self.looked
            }
        };
        self.settled[place] = true;
        Some(place)
    }

    fn gone(&mut self, place: usize) {
        if let Some(parent) = self.parents[place] {
            self.children[parent] -= 1;
            if self.children[parent] == 0 && !self.settled[parent] {
                self.ready.push(parent);
            }
        }
    }

    /// Settles the ancestors of `place` and returns those that were not settled before.
    fn waiting(&mut self, place: usize) -> Vec<usize> {
        let mut waiting = Vec::new();
        let mut next = self.parents[place];
        while let Some(place) = next.filter(|&place| !self.settled[place]) {
            self.settled[place] = true;
            waiting.push(place);
            next = self.parents[place];
        }
        waiting
    }
}

/// Removes an artifact, then its hash file, from the catalog's directory.
fn remove_files(directory: &Directory, path: &Path, live: &LiveFiles) -> Result<()> {
    let artifact = recognize::artifact(directory, path, live, "the catalog")?;
    let hash_path = hash_file::path_of(path);
    let hashes = hash_file::opened(directory, &hash_path, live)?;
    if let Some(file) = artifact {
        directory.remove_file(path, &file)?;
    }
    match hashes {
        Some(file) => directory.remove_file(&hash_path, &file),
        None if hash_file::is_no_file(directory, &hash_path)? => directory.remove_backup(&hash_path),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::entry::tests::entry;
    use super::*;

    /// Deletes entries with these parents. Those in `stubborn` are directories, which cannot be deleted as
    /// files.
    fn removed(parents: &[(&str, &str)], stubborn: &[&str]) -> (Vec<String>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let child = |&(name, parent): &(&str, &str)| {
            let path = directory.path().join(name);
            if stubborn.contains(&name) {
                fs::create_dir(&path).unwrap()
            } else {
                fs::write(&path, "SQLite format 3\0").unwrap()
            }
            let parent_id = (!parent.is_empty()).then(|| parent.to_owned());
            Entry { parent_id, ..entry(name, "2026-01-01T00:00:00.000Z") }
        };
        let opened = Directory::open(directory.path()).unwrap();
        let done = remove(parents.iter().map(child).collect(), &opened, &LiveFiles::among(Vec::new()));
        for entry in &done.gone {
            assert!(!entry.place(directory.path()).exists());
        }
        for (entry, error) in &done.resisted {
            assert!(entry.place(directory.path()).exists(), "{error}");
        }
        let gone = done.gone.into_iter().map(|entry| entry.id).collect();
        (gone, done.resisted.into_iter().map(|(entry, _)| entry.id).collect())
    }

    #[test]
    fn what_resists_keeps_its_chain_and_nothing_else() {
        let parents = [("full", ""), ("a", "full"), ("b", "a"), ("c", "full"), ("other", "")];
        let (gone, resisted) = removed(&parents, &["a"]);
        assert_eq!((gone.join(" "), resisted.join(" ")), ("b c other".into(), "a full".into()));
        let (gone, resisted) = removed(&parents, &["full"]);
        assert_eq!((gone.join(" "), resisted.join(" ")), ("a b c other".into(), "full".into()));
        assert_eq!(removed(&parents, &[]).0.len(), parents.len());
        assert_eq!(removed(&parents, &["b", "c"]).0, ["other"]);
    }

    #[test]
    fn circles_and_doubles_end() {
        assert_eq!(removed(&[("x", "y"), ("y", "x"), ("z", "z"), ("last", "x")], &[]).0.len(), 4);
        let (gone, resisted) = removed(&[("x", "y"), ("y", "x"), ("z", "gone")], &["x"]);
        assert_eq!((gone.join(" "), resisted.join(" ")), ("z".into(), "x y".into()));
    }

    #[test]
    fn the_error_says_how_many_are_gone_and_how_many_are_not() {
        let error = |name: &str| Error::new(1, format!("cannot delete '{name}'"));
        assert!(combined(3, Vec::new()).is_none());
        let one = combined(0, vec![error("a")]).unwrap();
        assert!(one.message().starts_with("cannot delete 'a'; no other backup was deleted; "), "{one}");
        let three = combined(2, vec![error("a"), error("b"), error("c")]).unwrap();
        assert!(
            three.message().starts_with("cannot delete 'a'; 2 more resisted, too; 2 other backups were"),
            "{three}"
        );
    }
}
