//! Sources: which of the backups in a catalog are of the caller's database.
//!
//! # Promise
//!
//! - A **source** is the setting `queue_name` where a database has one, else the database's canonical path. Every plan, `latest`,
//!   parent and age is of one source. Nothing is guessed: who finds nothing of its own gets an error that lists the sources that
//!   are there ([`none_of`]).
//! - A backup that bears the caller's name is its own, wherever it was made. A backup without a name (version 0.1.0 wrote no
//!   others) is the caller's own if it was made of the file at the caller's path, at another path that leads to the very same
//!   file (a bind mount, a hard link), or at one of `former_paths` at which nothing lies any more. So a queue that gets a name keeps its earlier
//!   backups. A backup with a name is never taken by its path alone.
//! - **A copy has the name of its original.** If the newest backup of the caller's name was made at another path, and something
//!   else than the caller's own file still lies there, the call is refused: else two databases would take each other's backups.
//!   If nothing lies there the database has moved (a container's path does not exist on its host), and goes on. A path in
//!   `former_paths` is not asked about: something else may lie there by now. But settings are rows, and whoever writes them could claim
//!   another database's name and path: what was made of a path at which another file lies now is
//!   [in doubt](Source::doubts), and neither deleted by rotation nor pushed. Nor does root restore by `latest` what a database
//!   [only claims](Source::only_claims), unless its owner could take it as well.
//! - A database without a file and without a name has **no source** ([`Source::is_known`]): it stands for nobody.
//!
//! # Who asks
//!
//! Backup, `latest` (restore, verify, delete), rotation and its plan, and the age of the newest backup refuse a copy: each would
//! mix its backups with those of the original, or take them. What names a backup by path or id asks nothing, nor does the table of all
//! backups. A restore saves what a copy holds under its path alone: the order to restore was clear, and must not fail for it.
//!
//! # How
//!
//! [`Source::of`] reads the settings, and [`Source::among`] looks with `stat` at the paths that a catalog names; other databases are never
//! opened. A database that is too broken for its settings to be read has the name that the newest backup of its path has: an older one
//! may be of another queue, which lay there before.

mod committed;
mod listing;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

pub use committed::{read, settings};
pub use listing::{Key, none_of, only};

use crate::backup::catalog::entry::Entry;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files;
use crate::progress::Watch;
use crate::settings;

/// The source that a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Name,
    /// The database's path; empty without a file.
    path: String,
    /// The paths whose unnamed backups are its own.
    paths: HashSet<String>,
    /// The setting `former_paths`.
    former: HashSet<String>,
    /// Those of `paths` that are its own because `former_paths` says so.
    claimed: HashSet<String>,
    /// Paths at which other files lie.
    others: HashSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    None,
    Given(String),
    /// The database is too broken to say.
    Unread,
}

/// What lies at a path that a catalog names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// The caller's own file.
    Itself,
    /// Another file, or something that cannot be looked at.
    Another,
}

/// What a backup was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made<'a> {
    /// The name of the queue, if it had one.
    pub name: Option<&'a str>,
    /// The path of the database.
    pub path: &'a str,
}

impl<'a> From<&'a Entry> for Made<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self { name: entry.queue_name.as_deref(), path: &entry.source_path }
    }
}

/// The path by which a database is known: without links where that can be said, empty without a file.
pub fn path_of(file: Option<&Path>) -> String {
    let Some(file) = file else { return String::new() };
    // On Windows the canonical spelling is one that nobody writes, and SQLite's own is absolute. Where others may give the name to another
    // file, it leads to this one no longer for sure: SQLite has resolved it when it opened the database.
    let by_name = cfg!(windows) || files::others_rename(file);
    let canonical = if by_name { None } else { std::fs::canonicalize(file).ok() };
    files::text_of(&canonical.unwrap_or_else(|| file.to_path_buf()))
}

impl Source {
    /// The source of the caller's main database.
    pub fn of(caller: &Caller, watch: &mut Watch<'_>) -> Result<Self> {
        let file = caller.file();
        let mut source = Self::at(file.as_deref());
        match settings(caller, watch) {
            Ok(settings) => {
                source.name = settings.text(&settings::QUEUE_NAME)?.map_or(Name::None, Name::Given);
                let former = settings.text(&settings::FORMER_PATHS)?.unwrap_or_default();
                source.former = settings::kind::texts(&former).unwrap_or_default().into_iter().collect();
            }
            Err(error) if error.is_damage() => source.name = Name::Unread,
            Err(error) => return Err(error),
        }
        Ok(source)
    }

    fn at(file: Option<&Path>) -> Self {
        let path = path_of(file);
        // As SQLite calls it, too: so did version 0.1.0.
        let called = file.map_or_else(String::new, files::text_of);
        let paths = HashSet::from([path.clone(), called]);
        Self {
            name: Name::None,
            path,
            paths,
            former: HashSet::new(),
            claimed: HashSet::new(),
            others: HashSet::new(),
        }
    }

    /// The same, when this catalog has been looked at; `entries` are newest first.
    ///
    /// # Errors
    ///
    /// A copy that has the name of its original.
    pub fn among<'e>(self, made: impl Iterator<Item = Made<'e>> + Clone) -> Result<Self> {
        let own = PathBuf::from(&self.path);
        // Where others may give the name to another file, that it leads to the same one says nothing.
        let own = Some(own).filter(|own| !files::others_rename(own));
        self.among_with(made, |path| look(path, own.as_deref()))
    }

    /// As [`Source::among`], with what lies at a path as an argument.
    fn among_with<'e>(
        mut self,
        made: impl Iterator<Item = Made<'e>> + Clone,
        there: impl Fn(&Path) -> There,
    ) -> Result<Self> {
        if self.path.is_empty() && self.name == Name::None {
            return Ok(self);
        }
        let mut asked: HashMap<&str, There> = HashMap::new();
        for path in made.clone().map(|one| one.path) {
            if !path.is_empty() && !self.paths.contains(path) && !asked.contains_key(path) {
                asked.insert(path, there(Path::new(path)));
            }
        }
        for (path, there) in &asked {
            let claimed = *there == There::Nothing && self.former.contains(*path);
            if claimed {
                self.claimed.insert((*path).to_owned());
            }
            if claimed || *there == There::Itself {
                self.paths.insert((*path).to_owned());
            }
        }
        self.others =
            asked.iter().filter(|(_, there)| **there == There::Another).map(|(path, _)| (*path).into()).collect();
        let unread = self.name == Name::Unread;
        if unread {
            self.name = self.name_among(made.clone())?;
        }
        let Name::Given(name) = &self.name else { return Ok(self) };
        let newest = made.clone().find(|one| one.name == Some(name.as_str()));
        match newest.map(|one| one.path) {
            Some(path) if asked.get(path) == Some(&There::Another) && !self.former.contains(path) => {
                Err(match unread {
                    true => self.nameless(format!("the queue '{name}', whose newest backup was made of '{path}'")),
                    false => a_copy(name, &self.path, path),
                })
            }
            _ => Ok(self),
        }
    }

    /// The name of the newest backup of its paths; `made` is newest first.
    fn name_among<'e>(&self, made: impl Iterator<Item = Made<'e>> + Clone) -> Result<Name> {
        let mut own = made.filter(|one| self.paths.contains(one.path)).map(|one| one.name);
        let Some(Some(name)) = own.next() else { return Ok(Name::None) };
        let others: BTreeSet<&str> = own.flatten().filter(|other| *other != name).collect();
        if others.is_empty() {
            return Ok(Name::Given(name.to_owned()));
        }
        let names: Vec<&str> = others.into_iter().chain([name]).collect();
        Err(self.nameless(format!("backups of several: {}", names.join(", "))))
    }

    /// The error of a database that cannot say who it is, where its path has this.
    fn nameless(&self, has: String) -> Error {
        Error::usage(format!(
            "'{}' is too damaged to say its queue_name, and its path has {has}; pass the path or the id of a backup",
            self.path
        ))
    }

    /// The database by its path alone, whatever its name.
    #[must_use]
    pub fn unnamed(mut self) -> Self {
        self.name = Name::None;
        self
    }

    /// Whether it is one at all.
    pub fn is_known(&self) -> bool {
        self.name().is_some() || !self.path.is_empty()
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        match &self.name {
            Name::Given(name) => Some(name),
            Name::None | Name::Unread => None,
        }
    }

    /// The path of its database; empty without a file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What it is called: its name, else its path.
    pub fn label(&self) -> &str {
        self.name().unwrap_or(&self.path)
    }

    /// Whether a backup that is its own may be of another database, which lies where it was made.
    pub fn doubts<'e>(&self, backup: impl Into<Made<'e>>) -> bool {
        self.others.contains(backup.into().path)
    }

    /// Whether a backup that is its own was made elsewhere, so that only the rows of its settings say that it is.
    pub fn only_claims<'e>(&self, backup: impl Into<Made<'e>>) -> bool {
        let path = backup.into().path;
        !self.paths.contains(path) || self.claimed.contains(path)
    }

    /// Whether a backup is its own.
    pub fn owns<'e>(&self, backup: impl Into<Made<'e>>) -> bool {
        let made = backup.into();
        match made.name {
            Some(name) => self.name() == Some(name),
            None => self.paths.contains(made.path),
        }
    }
}

/// What lies at a path that was written as text, perhaps because it is no UTF-8.
fn look(path: &Path, own: Option<&Path>) -> There {
    let found = files::paths_of_text(path).into_iter().map(|path| look_at(&path, own));
    found.reduce(|one, other| if one == There::Nothing { other } else { one }).unwrap_or(There::Nothing)
}

fn look_at(path: &Path, own: Option<&Path>) -> There {
    match files::is_directory(path).and_then(|directory| Ok(!directory && files::exists(path)?)) {
        Ok(false) => There::Nothing,
        _ if own.is_some_and(|own| files::same_file(path, own)) => There::Itself,
        _ => There::Another,
    }
}

fn a_copy(name: &str, own: &str, other: &str) -> Error {
    let former = serde_json::json!([other]).to_string().replace('\'', "''");
    Error::usage(format!(
        "the newest backup of the queue '{name}' was made of '{other}', and something still lies there: is '{own}' a copy of it? A copy has \
         the name of its original; give it another one with queue_set('queue_name', …). If the queue has moved and '{other}' is \
         another database by now, say so with queue_set('former_paths', '{former}')"
    ))
}

#[cfg(test)]
mod tests;
