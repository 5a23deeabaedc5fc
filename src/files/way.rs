//! The way to a file, and who may lead it elsewhere.
//!
//! # Promise
//!
//! Every directory in which a name of the path is looked up counts, those behind links too. Who may rename there, besides the caller and
//! root, may put a link or a directory in the place of what lies there.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Directory, Users};

/// More are a circle, as for the system.
const MOST_LINKS: usize = 40;

impl Users {
    /// The owner, if that is neither the caller nor root.
    pub fn owner(found: &Metadata) -> Option<Self> {
        let known = [0, rustix::process::geteuid().as_raw()];
        Some(found.uid()).filter(|owner| !known.contains(owner)).map(Self::One)
    }

    /// Who may rename what the caller has made in a directory.
    pub fn renaming(around: &Metadata) -> Option<Self> {
        let shared = around.mode() & 0o022 != 0 && around.mode() & 0o1000 == 0;
        if shared { Some(Self::Several) } else { Self::owner(around) }
    }

    /// These and those.
    pub fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) if one != other => Some(Self::Several),
            _ => one.or(other),
        }
    }
}

/// What was found on the way to a path.
#[derive(Debug)]
pub struct Way {
    /// Who may rename in one of its directories, or owns one of its links.
    pub renamers: Option<Users>,
    /// Those of them who may have put the last link there.
    linkers: Option<Users>,
    /// Where it ends.
    end: PathBuf,
}

impl Way {
    /// The way that leads there now.
    pub fn to(path: &Path) -> Self {
        let mut way = Self { renamers: None, linkers: None, end: PathBuf::from("/") };
        let mut ahead = steps(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
        let mut links = 0;
        while let Some(step) = ahead.pop() {
            match step.to_str() {
                Some("/") => way.end = PathBuf::from("/"),
                Some(".") => {}
                Some("..") => drop(way.end.pop()),
                _ => {
                    way.add(fs::metadata(&way.end).ok().as_ref().and_then(Users::renaming));
                    let next = way.end.join(&step);
                    match fs::read_link(&next) {
                        Ok(target) if links < MOST_LINKS => {
                            links += 1;
                            way.add(fs::symlink_metadata(&next).ok().as_ref().and_then(Users::owner));
                            way.linkers = way.renamers;
                            ahead.extend(steps(&target));
                        }
                        _ => way.end = next,
                    }
                }
            }
        }
        way
    }

    /// Who may have chosen that an open directory is the one that its path leads to, by a link.
    pub fn leaders(directory: &Directory) -> Option<Users> {
        let way = Self::to(directory.path());
        let as_opened = way.renamers.is_none() || directory.real_path().is_some_and(|real| real == way.end);
        // Where the way has changed since, a link may have been there for a moment.
        if as_opened { way.linkers } else { way.renamers }
    }

    fn add(&mut self, users: Option<Users>) {
        self.renamers = Users::both(self.renamers, users);
    }
}

/// The components of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|component| component.as_os_str().to_owned()).collect()
}
