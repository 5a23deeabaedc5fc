//! Finds other holders of a file: processes that have it open or locked.
//!
//! # Promise
//!
//! - On Linux, a process that holds a lock is found in `/proc/locks`, whatever its user. One that has the
//!   file open is found in `/proc/PID/fd`, if this process may read that; a process that it may not inspect
//!   does not count as a holder.
//! - A WAL-mode connection holds a lock on the `-shm` for as long as it is open, so it is found either way.
//! - On other systems and across machines nothing is known, except what the system itself refuses (sharing
//!   modes on Windows).
//! - Only `stat` is used on the files.
//!
//! # How
//!
//! On btrfs and overlayfs, the device in `/proc/locks` differs from the one that `stat` reports; it is the
//! one in `/proc/self/mountinfo`. Either matches.

use std::path::PathBuf;

use super::{Directory, Found};

/// Whether this process holds a POSIX lock on a file, as SQLite takes them. Closing any descriptor of the
/// file would drop it.
pub fn is_locked_here(found: &Found, directory: &Directory) -> bool {
    #[cfg(target_os = "linux")]
    return found.identity().is_some_and(|id| linux::is_locked_here(id, directory.path()));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (found, directory);
        false
    }
}

/// Describes another process that has one of `paths` open or locked; this process counts if `with_own`.
pub fn holder(paths: &[PathBuf], with_own: bool) -> Option<String> {
    #[cfg(target_os = "linux")]
    return linux::holder(paths, with_own);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (paths, with_own);
        None
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    use crate::files::{Identity, parent_of};

    /// How often `/proc/locks` is read per file.
    const READINGS: usize = 2;

    /// A file as `stat` and `/proc/locks` identify it.
    #[derive(Debug)]
    struct Known {
        device: u64,
        inode: u64,
        /// Candidate devices (major, minor) of its file system.
        devices: Vec<(u32, u32)>,
    }

    pub fn holder(paths: &[PathBuf], with_own: bool) -> Option<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let known: Vec<Known> = paths.iter().filter_map(|path| know(path, &mounts)).collect();
        if known.is_empty() {
            return None;
        }
        let own = own_number();
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let locked = locks.lines().filter_map(parse_lock).find(|lock| {
            let theirs = with_own || own != Some(lock.process);
            theirs && known.iter().any(|file| file.has(lock))
        });
        if let Some(lock) = locked {
            return Some(format!("{} has a lock on it", named(lock.process)));
        }
        let opened = processes()
            .filter(|process| with_own || own != Some(*process))
            .find(|process| opens(*process, &known) == Some(true));
        opened.map(|process| format!("{} has it open", named(process)))
    }

    pub fn is_locked_here((device, inode): Identity, directory: &Path) -> bool {
        // `/proc/locks` covers the whole system and can be long. A process can hold locks only on files that
        // it has open.
        let file = Known { device, inode, devices: Vec::new() };
        if own_number().and_then(|own| opens(own, &[file])) == Some(false) {
            return false;
        }
        // The list may miss a held lock while other locks come and go.
        (0..READINGS).any(|_| is_listed_as_own((device, inode), directory))
    }

    fn is_listed_as_own((device, inode): Identity, directory: &Path) -> bool {
        let own = own_number();
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        // Reading the mounts costs more, so filter by inode first.
        let mut own = locks
            .lines()
            .filter_map(parse_lock)
            .filter(|lock| lock.is_posix && own == Some(lock.process) && lock.inode == inode)
            .peekable();
        let mounts = own.peek().and_then(|_| fs::read_to_string("/proc/self/mountinfo").ok()).unwrap_or_default();
        let file = Known::of(device, inode, directory, &mounts);
        own.any(|lock| file.has(&lock))
    }

    fn own_number() -> Option<i64> {
        fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
    }

    fn know(path: &Path, mounts: &str) -> Option<Known> {
        let found = fs::metadata(path).ok()?;
        Some(Known::of(found.dev(), found.ino(), parent_of(path), mounts))
    }

    impl Known {
        fn of(device: u64, inode: u64, directory: &Path, mounts: &str) -> Self {
            let mut devices = vec![(rustix::fs::major(device), rustix::fs::minor(device))];
            let directory = fs::canonicalize(directory).ok();
            devices.extend(directory.and_then(|directory| device_of_mount(&directory, mounts)));
            Self { device, inode, devices }
        }

        fn has(&self, lock: &Lock) -> bool {
            self.inode == lock.inode && self.devices.contains(&lock.device)
        }
    }

    fn named(process: i64) -> String {
        match fs::read_to_string(format!("/proc/{process}/comm")) {
            Ok(name) => format!("process {process} ({})", name.trim_end().escape_debug()),
            // Locks of open file descriptions have no process id, and other processes may not be inspected.
            Err(_) => "another process".into(),
        }
    }

    fn processes() -> impl Iterator<Item = i64> {
        let listing = fs::read_dir("/proc").into_iter().flatten().flatten();
        listing.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    /// `None` if this process may not inspect `process`.
    fn opens(process: i64, files: &[Known]) -> Option<bool> {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
        let mut paths = descriptors.map(|descriptor| descriptor.path());
        Some(paths.any(|path| {
            // Sockets and pipes have no absolute path.
            let named = fs::read_link(&path).is_ok_and(|target| target.is_absolute());
            named
                && fs::metadata(&path).is_ok_and(|found| {
                    files.iter().any(|file| (file.device, file.inode) == (found.dev(), found.ino()))
                })
        }))
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Lock {
        is_posix: bool,
        process: i64,
        device: (u32, u32),
        inode: u64,
    }

    /// Parses a line such as `1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF`; waiters have `->` after
    /// the number.
    fn parse_lock(line: &str) -> Option<Lock> {
        let fields: Vec<&str> = line.split_whitespace().filter(|field| *field != "->").collect();
        let [_, kind, _, _, process, file, ..] = fields.as_slice() else { return None };
        let mut parts = file.split(':');
        let major = u32::from_str_radix(parts.next()?, 16).ok()?;
        let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
        let inode = parts.next()?.parse().ok()?;
        Some(Lock { is_posix: *kind == "POSIX", process: process.parse().ok()?, device: (major, minor), inode })
    }

    /// The device of the file system that `directory` is on.
    fn device_of_mount(directory: &Path, mounts: &str) -> Option<(u32, u32)> {
        let parsed = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(2);
            let (major, minor) = fields.next()?.split_once(':')?;
            let point = unescaped(fields.nth(1)?);
            Some((point, (major.parse().ok()?, minor.parse().ok()?)))
        });
        // `max_by_key` returns the last maximum: a later mount hides an earlier one at the same place.
        let above = parsed.filter(|(point, _)| directory.starts_with(point));
        above.max_by_key(|(point, _)| point.components().count()).map(|(_, device)| device)
    }

    /// Decodes blanks, tabs, newlines and backslashes, which are written as `\` and three octal digits.
    fn unescaped(text: &str) -> PathBuf {
        use std::os::unix::ffi::OsStringExt;
        let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
        while let [first, behind @ ..] = rest {
            let code =
                behind.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
            match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = behind.get(3..).unwrap_or_default();
                }
                None => {
                    bytes.push(*first);
                    rest = behind;
                }
            }
        }
        PathBuf::from(std::ffi::OsString::from_vec(bytes))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn locks_are_read_as_the_kernel_writes_them() {
            let lock = |process: i64, device, inode| Some(Lock { is_posix: process > 0, process, device, inode });
            let line = "1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF";
            assert_eq!(parse_lock(line), lock(3568, (0xfd, 0), 2_531_452));
            let line = "12: -> POSIX  ADVISORY  READ  77 00:1b:9 1073741826 1073742335";
            assert_eq!(parse_lock(line), lock(77, (0, 0x1b), 9));
            let line = "3: OFDLCK ADVISORY  READ  -1 08:01:5 0 0";
            assert_eq!(parse_lock(line), lock(-1, (8, 1), 5));
            for line in
                ["", "1:", "1: POSIX ADVISORY WRITE", "1: POSIX ADVISORY WRITE x 08:01:5 0 0", "1: a b c 1 2 3"]
            {
                assert_eq!(parse_lock(line), None, "{line}");
            }
        }

        #[test]
        fn the_innermost_and_latest_mount_counts() {
            let mounts = "20 1 0:25 / / rw - overlay overlay rw\n\
                          21 20 8:1 / /data rw - ext4 /dev/sda1 rw\n\
                          22 20 0:40 / /data rw shared:1 - tmpfs tmpfs rw\n\
                          23 20 0:41 / /data/a\\040b\\134c rw - btrfs /dev/sdb rw\n\
                          broken line\n";
            for (directory, device) in [
                ("/", (0, 25)),
                ("/database", (0, 25)),
                ("/data", (0, 40)),
                ("/data/x", (0, 40)),
                ("/data/a b\\c/y", (0, 41)),
            ] {
                assert_eq!(device_of_mount(Path::new(directory), mounts), Some(device), "{directory}");
            }
            assert_eq!(device_of_mount(Path::new("/"), ""), None);
        }

        #[test]
        fn what_this_process_has_open_counts_if_it_is_asked_for() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("x");
            fs::write(&path, b"x").unwrap();
            let paths = [path.clone(), directory.path().join("none")];
            assert_eq!(holder(&paths, true), None);
            let _open = fs::File::open(&path).unwrap();
            assert_eq!(holder(&paths, false), None);
            assert!(holder(&paths, true).unwrap().contains("has it open"));
        }
    }
}
