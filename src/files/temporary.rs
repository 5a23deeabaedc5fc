//! SQLite's directory for temporary files.

use std::path::{Path, PathBuf};

/// The directory in which this process's SQLite creates temporary files; `named` is `PRAGMA
/// temp_store_directory`. On Unix SQLite takes the first writable one of a list
/// (<https://www.sqlite.org/tempfiles.html>, section 5), elsewhere the system's.
pub fn sqlite_directory(named: Option<PathBuf>) -> Option<PathBuf> {
    first_usable(candidates(named, &|name| std::env::var_os(name).map(PathBuf::from)), is_usable)
}

#[cfg(unix)]
fn candidates(named: Option<PathBuf>, variable: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let said = [named, variable("SQLITE_TMPDIR"), variable("TMPDIR")];
    let usual = ["/var/tmp", "/usr/tmp", "/tmp", "."].map(PathBuf::from);
    said.into_iter().flatten().chain(usual).collect()
}

#[cfg(not(unix))]
fn candidates(named: Option<PathBuf>, _variable: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    named.into_iter().chain([std::env::temp_dir()]).collect()
}

fn first_usable(candidates: Vec<PathBuf>, usable: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    candidates.into_iter().find(|path| usable(path))
}

/// Whether files can be created in a directory, by its permissions and the file system's read-only flag.
pub fn can_be_written(directory: &Path) -> bool {
    is_usable(directory)
}

#[cfg(unix)]
fn is_usable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_dir() && access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_usable(path: &Path) -> bool {
    path.is_dir()
}

/// Whether two directories may be on one file system; `true` if unknown.
pub fn may_share_space(one: &Path, other: &Path) -> bool {
    device(one).is_none_or(|one| device(other).is_none_or(|other| one == other))
}

#[cfg(unix)]
fn device(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|found| found.dev())
}

#[cfg(not(unix))]
fn device(_path: &Path) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_first_usable_place_counts_in_sqlites_order() {
        let set = |name: &str| (name == "TMPDIR").then(|| PathBuf::from("/set"));
        let all = candidates(Some("/named".into()), &set);
        let shown: Vec<&str> = all.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(shown, ["/named", "/set", "/var/tmp", "/usr/tmp", "/tmp", "."]);
        assert_eq!(first_usable(all.clone(), |path| path.ends_with("tmp")), Some("/var/tmp".into()));
        assert_eq!(first_usable(all, |_| false), None);
    }

    #[test]
    fn one_directory_shares_space_with_itself() {
        assert!(may_share_space(Path::new("/tmp"), Path::new("/tmp")));
        assert!(may_share_space(Path::new("/tmp"), Path::new("/no/such/place")));
    }
}
