//! Sources: decides which backups in a catalog are of the caller's database.
//!
//! # Promise
//!
//! - A **source** is a database's setting `queue_name`, else its canonical path. Every plan, `latest`, parent
//!   and age is of one source. Nothing is guessed: a caller without own backups gets an error that lists the
//!   existing sources ([`no_own_backup`]).
//! - A backup with the caller's name is its own, wherever it was made. A backup without a name (version 0.1.0
//!   wrote no others) is the caller's own if it was made at the caller's path, at another path of the same
//!   file (a bind mount, a hard link), or at one of `former_paths` where no file exists any more. So a queue
//!   that gets a name keeps its earlier backups. A backup with a name is never assigned by its path alone.
//! - **A copy has the name of its original.** If the newest backup with the caller's name was made at another
//!   path, and another file exists there, the call is refused: else two databases would use each other's
//!   backups. If no file exists there, the database has moved (a container's path does not exist on its
//!   host), and the call proceeds. A path in `former_paths` is not checked: another file may be there by now.
//!   But settings are rows, and whoever writes them could claim another database's name and path. So backups
//!   from a path with another file are [in doubt](Source::may_be_anothers), and rotation does not delete them, nor are
//!   they pushed. Nor does root restore by `latest` what a database [only claims](Source::only_claims),
//!   unless its owner could read it as well.
//! - A database without a file and a name has **no source** ([`Source::is_known`]).
//!
//! # Who checks
//!
//! Backup, `latest` (restore, verify, delete), rotation and its plan, and the age of the newest backup refuse
//! a copy: each would mix its backups with the original's, or use them. Operations on a path or id do not
//! check, nor does the table of all backups. A restore saves a copy's content under its path alone: the
//! restore was requested, and must not fail because of it.
//!
//! # How
//!
//! [`Source::of`] reads the settings, and [`Source::resolved_in`] calls `stat` on the paths in a catalog; other
//! databases are never opened. If a database is too broken to read its settings, its name is that of the
//! newest backup of its path: an older one may be of another queue that had this path before.

mod committed;
mod listing;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

pub use committed::{read, settings};
pub use listing::{Key, no_own_backup, only};

use crate::backup::catalog::entry::Entry;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files;
use crate::progress::Watch;
use crate::settings;

/// The identity of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Name,
    /// Empty without a file.
    path: String,
    /// The paths whose unnamed backups are its own.
    paths: HashSet<String>,
    /// The setting `former_paths`.
    former: HashSet<String>,
    /// Those of `paths` that come from `former_paths`.
    claimed: HashSet<String>,
    /// Paths of other files.
    others: HashSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    None,
    Given(String),
    /// The database is too broken to read it.
    Unread,
}

/// The file at a path in a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAt {
    /// Does not exist.
    Nothing,
    Itself,
    /// Another file, or one whose metadata cannot be read.
    Another,
}

/// The source recorded for a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made<'a> {
    /// The queue's name, if any.
    pub name: Option<&'a str>,
    /// The database's path.
    pub path: &'a str,
}

impl<'a> From<&'a Entry> for Made<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self { name: entry.queue_name.as_deref(), path: &entry.source_path }
    }
}

/// The path that identifies a database: canonical if possible, empty without a file.
pub fn path_of(file: Option<&Path>) -> String {
    let Some(file) = file else { return String::new() };
    // On Windows the canonical form is unusual, and SQLite's own path is absolute. If others can rename the
    // file, the path may lead to another one by now; SQLite resolved it when it opened the database.
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
        // SQLite's path, too, as version 0.1.0 recorded it.
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

    /// Resolves the source within a catalog; `made` is newest first. Fails for a copy with its original's
    /// name.
    pub fn resolved_in<'e>(self, made: impl Iterator<Item = Made<'e>> + Clone) -> Result<Self> {
        let own = PathBuf::from(&self.path);
        // If others can rename the file, it is no proof that a path leads to the same one.
        let own = Some(own).filter(|own| !files::others_rename(own));
        self.among_with(made, |path| file_at(path, own.as_deref()))
    }

    /// As [`Source::resolved_in`], with the look-up as an argument.
    fn among_with<'e>(
        mut self,
        made: impl Iterator<Item = Made<'e>> + Clone,
        there: impl Fn(&Path) -> FileAt,
    ) -> Result<Self> {
        if self.path.is_empty() && self.name == Name::None {
            return Ok(self);
        }
        let mut asked: HashMap<&str, FileAt> = HashMap::new();
        for path in made.clone().map(|one| one.path) {
            if !path.is_empty() && !self.paths.contains(path) && !asked.contains_key(path) {
                asked.insert(path, there(Path::new(path)));
            }
        }
        for (path, there) in &asked {
            let claimed = *there == FileAt::Nothing && self.former.contains(*path);
            if claimed {
                self.claimed.insert((*path).to_owned());
            }
            if claimed || *there == FileAt::Itself {
                self.paths.insert((*path).to_owned());
            }
        }
        self.others =
            asked.iter().filter(|(_, there)| **there == FileAt::Another).map(|(path, _)| (*path).into()).collect();
        let unread = self.name == Name::Unread;
        if unread {
            self.name = self.name_among(made.clone())?;
        }
        let Name::Given(name) = &self.name else { return Ok(self) };
        let newest = made.clone().find(|one| one.name == Some(name.as_str()));
        match newest.map(|one| one.path) {
            Some(path) if asked.get(path) == Some(&FileAt::Another) && !self.former.contains(path) => {
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

    /// The error for a database that is too broken to read its name, if its path has several.
    fn nameless(&self, has: String) -> Error {
        Error::usage(format!(
            "'{}' is too damaged to say its queue_name, and its path has {has}; pass the path or the id of a backup",
            self.path
        ))
    }

    /// Identifies the database by its path alone.
    #[must_use]
    pub fn unnamed(mut self) -> Self {
        self.name = Name::None;
        self
    }

    /// Whether there is a source.
    pub fn is_known(&self) -> bool {
        self.name().is_some() || !self.path.is_empty()
    }

    pub fn name(&self) -> Option<&str> {
        match &self.name {
            Name::Given(name) => Some(name),
            Name::None | Name::Unread => None,
        }
    }

    /// Empty without a file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name, else the path.
    pub fn label(&self) -> &str {
        self.name().unwrap_or(&self.path)
    }

    /// Whether an own backup may be of another database, which exists at the recorded path.
    pub fn may_be_anothers<'e>(&self, backup: impl Into<Made<'e>>) -> bool {
        self.others.contains(backup.into().path)
    }

    /// Whether an own backup was made elsewhere, so that only the settings' rows claim it.
    pub fn only_claims<'e>(&self, backup: impl Into<Made<'e>>) -> bool {
        let path = backup.into().path;
        !self.paths.contains(path) || self.claimed.contains(path)
    }

    pub fn owns<'e>(&self, backup: impl Into<Made<'e>>) -> bool {
        let made = backup.into();
        match made.name {
            Some(name) => self.name() == Some(name),
            None => self.paths.contains(made.path),
        }
    }
}

/// Looks up a path that was recorded as text, perhaps lossily because it is not UTF-8.
fn file_at(path: &Path, own: Option<&Path>) -> FileAt {
    let found = files::paths_of_text(path).into_iter().map(|path| look_at(&path, own));
    found.reduce(|one, other| if one == FileAt::Nothing { other } else { one }).unwrap_or(FileAt::Nothing)
}

fn look_at(path: &Path, own: Option<&Path>) -> FileAt {
    match files::is_directory(path).and_then(|directory| Ok(!directory && files::exists(path)?)) {
        Ok(false) => FileAt::Nothing,
        _ if own.is_some_and(|own| files::same_file(path, own)) => FileAt::Itself,
        _ => FileAt::Another,
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
