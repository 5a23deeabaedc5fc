//! A backup as its readers need it: with the catalog's entries, read once, since it may build on other
//! backups.

use std::fs::File;
use std::path::PathBuf;

use super::Catalog;
use super::chain::chain;
use super::entry::Entry;
use crate::error::{Error, Result};
use crate::files::Staged;

#[derive(Clone, Copy)]
pub struct Backup<'a> {
    /// Of its directory.
    pub catalog: &'a Catalog<'a>,
    /// The entries that it may build on.
    pub known: &'a [Entry],
    /// Need not be listed.
    pub entry: &'a Entry,
    /// The artifact, if it is not published yet.
    pub staged: Option<&'a Staged>,
}

impl<'a> Backup<'a> {
    /// The chain, starting with this backup.
    pub fn chain(&self) -> Result<Vec<&'a Entry>> {
        chain(self.known, self.entry).map_err(Error::corrupt)
    }

    /// The path of a chain member's artifact.
    pub fn path_of(&self, link: &Entry) -> PathBuf {
        match self.staged_of(link) {
            Some(staged) => staged.path().to_path_buf(),
            None => link.place(self.catalog.directory()),
        }
    }

    /// Opens a chain member's artifact at its beginning, if it exists.
    pub fn open(&self, link: &Entry) -> Result<Option<File>> {
        match self.staged_of(link) {
            Some(staged) => staged.rewound().map(Some),
            None => self.catalog.open_file(&self.path_of(link)),
        }
    }

    fn staged_of(&self, link: &Entry) -> Option<&'a Staged> {
        self.staged.filter(|_| link.id == self.entry.id)
    }
}
