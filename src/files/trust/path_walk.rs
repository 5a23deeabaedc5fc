//! Walks a path and finds who may redirect it.
//!
//! # Promise
//!
//! Every directory in which a component is looked up counts, including those behind links. Whoever may rename
//! there, besides the caller and root, may substitute a link or a directory.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Directory, Users};

/// More links are a loop, as for the kernel.
const MOST_LINKS: usize = 40;

impl Users {
    /// The owner, unless it is the caller or root.
    pub fn owner(found: &Metadata) -> Option<Self> {
        let known = [0, rustix::process::geteuid().as_raw()];
        Some(found.uid()).filter(|owner| !known.contains(owner)).map(Self::One)
    }

    /// The users who may rename the caller's files in a directory.
    pub fn renaming(around: &Metadata) -> Option<Self> {
        let shared = around.mode() & 0o022 != 0 && around.mode() & 0o1000 == 0;
        if shared { Some(Self::Several) } else { Self::owner(around) }
    }

    /// The union.
    pub fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) if one != other => Some(Self::Several),
            _ => one.or(other),
        }
    }
}

/// The result of walking a path.
#[derive(Debug)]
pub struct PathWalk {
    /// Who may rename in one of its directories, or owns one of its links.
    pub renamers: Option<Users>,
    /// Those who may have placed the last link.
    linkers: Option<Users>,
    /// The resolved path.
    end: PathBuf,
}

impl PathWalk {
    /// Resolves `path` as it is now.
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

    /// The users who may have chosen, by a link, which directory was opened.
    pub fn leaders(directory: &Directory) -> Option<Users> {
        let way = Self::to(directory.path());
        let as_opened = way.renamers.is_none() || directory.real_path().is_some_and(|real| real == way.end);
        // If the path has changed since, a link may have been there when it was opened.
        if as_opened { way.linkers } else { way.renamers }
    }

    fn add(&mut self, users: Option<Users>) {
        self.renamers = Users::both(self.renamers, users);
    }
}

/// The components of a path, in reverse order.
fn steps(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|component| component.as_os_str().to_owned()).collect()
}
