//! A backup as those see it who read its artifact: with what the catalog lists, read once, since it may build on other backups.

use std::fs::File;
use std::path::PathBuf;

use super::Catalog;
use super::chain::chain;
use super::entry::Entry;
use crate::error::{Error, Result};
use crate::files::Staged;

/// A backup and what it takes to read it.
#[derive(Clone, Copy)]
pub struct Backup<'a> {
    /// The catalog of the directory in which it lies.
    pub catalog: &'a Catalog<'a>,
    /// What that lists, as far as it may be built on.
    pub known: &'a [Entry],
    /// Its entry, which need not be listed.
    pub entry: &'a Entry,
    /// Its artifact, if that has no name yet.
    pub staged: Option<&'a Staged>,
}

impl<'a> Backup<'a> {
    /// The backups that it builds on, itself first.
    pub fn chain(&self) -> Result<Vec<&'a Entry>> {
        chain(self.known, self.entry).map_err(Error::corrupt)
    }

    /// Where the artifact of a link of its chain lies.
    pub fn path_of(&self, link: &Entry) -> PathBuf {
        match self.staged_of(link) {
            Some(staged) => staged.path().to_path_buf(),
            None => link.place(self.catalog.directory()),
        }
    }

    /// Opens the artifact of a link of its chain, from its beginning, if it is there.
    ///
    /// # Errors
    ///
    /// A file that must not be opened, or what the disk says.
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
