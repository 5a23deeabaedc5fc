//! Metadata of a name, looked up without following a link.

use std::time::SystemTime;

use super::Identity;

#[cfg(unix)]
type Raw = rustix::fs::Stat;
#[cfg(not(unix))]
type Raw = std::fs::Metadata;

pub struct Found(pub(super) Raw);

#[cfg(unix)]
// The types of the fields differ from system to system.
#[allow(clippy::unnecessary_cast)]
impl Found {
    fn kind(&self) -> rustix::fs::FileType {
        rustix::fs::FileType::from_raw_mode(self.0.st_mode)
    }

    pub fn is_file(&self) -> bool {
        self.kind().is_file()
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind().is_dir()
    }

    pub(super) fn is_link(&self) -> bool {
        self.kind().is_symlink()
    }

    pub fn length(&self) -> u64 {
        self.0.st_size as u64
    }

    pub fn modified(&self) -> Option<SystemTime> {
        time(self.0.st_mtime as i64, self.0.st_mtime_nsec as u32)
    }

    /// The later of the content's and the inode's change time, if known.
    pub fn last_change(&self) -> Option<SystemTime> {
        Some(self.modified()?.max(time(self.0.st_ctime as i64, self.0.st_ctime_nsec as u32)?))
    }

    /// Device and inode.
    pub fn identity(&self) -> Option<Identity> {
        Some((self.0.st_dev as u64, self.0.st_ino as u64))
    }

    pub(super) fn owner(&self) -> Option<u32> {
        Some(self.0.st_uid as u32)
    }

    pub(super) fn has_other_names(&self) -> bool {
        self.0.st_nlink as u64 > 1
    }

    pub(super) fn mode(&self) -> u32 {
        self.0.st_mode as u32
    }
}

#[cfg(unix)]
fn time(seconds: i64, nanoseconds: u32) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::new(u64::try_from(seconds).ok()?, nanoseconds))
}

#[cfg(not(unix))]
impl Found {
    pub(super) fn owner(&self) -> Option<u32> {
        None
    }

    pub fn is_file(&self) -> bool {
        self.0.is_file()
    }

    pub(super) fn is_directory(&self) -> bool {
        self.0.is_dir()
    }

    pub(super) fn is_link(&self) -> bool {
        self.0.is_symlink()
    }

    pub fn length(&self) -> u64 {
        self.0.len()
    }

    pub fn modified(&self) -> Option<SystemTime> {
        self.0.modified().ok()
    }

    /// The later of modification and creation time, if known.
    pub fn last_change(&self) -> Option<SystemTime> {
        Some(self.modified()?.max(self.0.created().ok()?))
    }

    /// Device and inode: unknown here.
    pub fn identity(&self) -> Option<Identity> {
        None
    }

    pub(super) fn has_other_names(&self) -> bool {
        false
    }
}
