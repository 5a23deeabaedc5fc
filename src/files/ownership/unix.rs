//! [`Ownership`] with Unix owners and permission bits.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Gid, Uid, fchown};
use rustix::process::geteuid;

use super::{Directory, Ownership, READ_AND_WRITE};

const STICKY: u32 = 0o1000;
const SET_GROUP: u32 = 0o2000;
/// Largest age, in seconds, of a directory that this process has just made.
const MOMENT: i64 = 2;

impl Ownership {
    /// Sets the bits and, as root, the owner of a file that this process has just made in `directory`.
    pub(in crate::files) fn give(&self, file: &File, directory: &Directory) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(self.mode))?;
        if geteuid().is_root() {
            self.give_away(file, directory.metadata());
        }
        Ok(())
    }

    /// Creates a lock file; fails if the name exists.
    pub(in crate::files) fn make_lock(like: Option<&Self>, directory: &Directory, path: &Path) -> io::Result<File> {
        // For an owner-only database the bits can be right from the start.
        let early = like.filter(|like| like.is_for_its_owner_alone());
        let file = directory.make(path, early.map_or(READ_AND_WRITE, Self::lock_mode))?;
        let Some(like) = like else { return Ok(file) };
        if geteuid().is_root() {
            like.give_away(&file, directory.metadata());
        }
        if like.fits(&file.metadata()?) {
            // The lock works with any bits.
            let _ = file.set_permissions(Permissions::from_mode(like.lock_mode()));
        }
        Ok(file)
    }

    pub(in crate::files) fn make_directory(
        like: Option<&Self>,
        around: &Directory,
        path: &Path,
    ) -> io::Result<Directory> {
        let as_root = geteuid().is_root();
        let like = like.filter(|like| !as_root || like.may_be_given(&around.metadata()));
        let mine = like.is_some_and(|like| as_root || like.is_for_its_owner_alone());
        let made = around.create_subdirectory(path, if mine { 0o700 } else { 0o777 })?;
        if let Some(like) = like {
            // The directory is usable as it is, so a refusal is ignored.
            let _ = like.give_directory(&made, around, as_root);
        }
        Ok(made)
    }

    fn give_directory(&self, made: &Directory, around: &Directory, as_root: bool) -> io::Result<()> {
        if !is_just_made(&made.metadata()?, &around.metadata()?) || !made.names()?.is_empty() {
            return Ok(());
        }
        let file = made.descriptor();
        if as_root {
            self.give_away(file, around.metadata());
        }
        let found = file.metadata()?;
        if as_root || self.fits(&found) {
            let entered = (self.mode & 0o444) >> 2;
            let mode = self.mode | entered | 0o700 | (found.mode() & SET_GROUP);
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    fn lock_mode(&self) -> u32 {
        self.mode | 0o600
    }

    fn is_for_its_owner_alone(&self) -> bool {
        self.mode & 0o077 == 0 && self.owner == geteuid().as_raw()
    }

    /// Whether everybody who may use the database may also use the file.
    fn fits(&self, made: &Metadata) -> bool {
        made.uid() == self.owner && (self.mode & 0o060 == 0 || made.gid() == self.group)
    }

    /// Ignores a refusal, as of a file system without owners: the file stays root's.
    fn give_away(&self, file: &File, directory: io::Result<Metadata>) {
        if self.owner == 0 || !self.may_be_given(&directory) {
            return;
        }
        let inherited = directory.is_ok_and(|found| found.mode() & SET_GROUP != 0);
        let group = (!inherited).then(|| Gid::from_raw(self.group));
        let _ = fchown(file, Some(Uid::from_raw(self.owner)), group);
    }

    fn may_be_given(&self, directory: &io::Result<Metadata>) -> bool {
        self.anywhere || directory.as_ref().is_ok_and(|found| self.may_write(found))
    }

    /// Whether the owner may both add and remove files in this directory.
    fn may_write(&self, directory: &Metadata) -> bool {
        let mode = directory.mode();
        if directory.uid() == self.owner {
            return mode & 0o200 != 0;
        }
        let by_group = directory.gid() == self.group && mode & 0o020 != 0;
        mode & STICKY == 0 && (by_group || mode & 0o002 != 0)
    }
}

/// Whether a directory can be the one that this process has just made in `around`. Both times are the file
/// system's.
fn is_just_made(found: &Metadata, around: &Metadata) -> bool {
    found.uid() == geteuid().as_raw()
        && found.dev() == around.dev()
        && around.ctime().saturating_sub(found.mtime()) <= MOMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(mode: u32, owner: u32, group: u32) -> Ownership {
        Ownership { mode, owner, group, anywhere: false }
    }

    fn mode_of(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn no_file_becomes_a_program_or_gets_another_users_rights() {
        let directory = tempfile::tempdir().unwrap();
        let (database, copy) = (directory.path().join("q.db"), directory.path().join("copy"));
        for mode in [0o4755, 0o6777, 0o1600] {
            File::create(&database).unwrap().set_permissions(Permissions::from_mode(mode)).unwrap();
            let made = File::create(&copy).unwrap();
            Ownership::of(&database).unwrap().give(&made, &Directory::open(directory.path()).unwrap()).unwrap();
            assert_eq!(mode_of(&copy), mode & 0o666);
        }
    }

    #[test]
    fn only_who_may_write_the_directory_gets_a_file_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let found = |mode| {
            std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
            std::fs::metadata(directory.path()).unwrap()
        };
        let (own, group) = (found(0o700).uid(), found(0o700).gid());
        let (other, others) = (own + 1, group + 1);
        assert!(like(0, own, others).may_write(&found(0o700)));
        assert!(!like(0, other, others).may_write(&found(0o775)));
        assert!(like(0, other, group).may_write(&found(0o775)));
        assert!(!like(0, other, group).may_write(&found(0o755)));
        assert!(like(0, other, others).may_write(&found(0o777)));
        assert!(!like(0, other, group).may_write(&found(0o1777)));
        assert!(like(0, own, group).may_write(&found(0o1777)));
    }

    #[test]
    fn a_lock_has_the_bits_of_the_database_where_it_is_its_owners() {
        let directory = tempfile::tempdir().unwrap();
        let (uid, gid) = (geteuid().as_raw(), std::fs::metadata(directory.path()).unwrap().gid());
        for (number, (like, mode)) in
            [(like(0o600, uid, gid + 1), 0o600), (like(0o660, uid, gid), 0o660), (like(0o444, uid, gid), 0o644)]
                .into_iter()
                .enumerate()
        {
            let path = directory.path().join(number.to_string());
            let opened = Directory::open(directory.path()).unwrap();
            Ownership::make_lock(Some(&like), &opened, &path).unwrap();
            assert_eq!(mode_of(&path), mode);
            let again = Ownership::make_lock(Some(&like), &opened, &path).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        }
    }

    #[test]
    fn a_directory_that_was_put_in_the_place_of_ours_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let around = Directory::open(directory.path()).unwrap();
        let (path, uid) = (directory.path().join("made"), geteuid().as_raw());
        Ownership::make_directory(Some(&like(0o644, uid, 0)), &around, &path).unwrap();
        assert_eq!(mode_of(&path), 0o755);
        let given = |name: &str, prepare: fn(&Path)| {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            prepare(&path);
            like(0o666, uid, 0).give_directory(&Directory::open(&path).unwrap(), &around, true).unwrap();
            mode_of(&path) != 0o700
        };
        assert!(given("new", |_| {}));
        assert!(!given("full", |path| drop(File::create(path.join("secret")).unwrap())));
        assert!(!given("old", |path| {
            let before = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
            File::open(path).unwrap().set_modified(before).unwrap();
        }));
    }
}
