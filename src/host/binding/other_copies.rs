//! Other copies of SQLite in this process.
//!
//! # Promise
//!
//! Finds a loaded file that contains SQLite, other than that of the given one, even a static copy with hidden
//! symbols. Only on Linux; elsewhere, and for files deleted since they were loaded, none is found.
//!
//! # How
//!
//! `/proc/self/maps` lists the files that code was loaded from. A file contains SQLite if it contains one of
//! its error messages, which is long, in every version, and nowhere else. Each file is read once. The message
//! is stored backwards, so that our own library, or a second copy of it, does not match.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::host::threads::lock;

const MARK_BACKWARDS: &[u8] = b"stnemetats evitca ot eud noitcnuf-resu yfidom/eteled ot elbanu";
const BUFFER: usize = 1 << 20;

/// Whether a file contains SQLite, by path.
pub(in crate::host) static ANSWERS: Mutex<Option<HashMap<PathBuf, bool>>> = Mutex::new(None);

/// A file with SQLite, other than the one in which `ours` is the address of a function.
pub fn another(ours: usize) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    others(&maps, ours).into_iter().find(|path| has_sqlite(path))
}

/// The files with code in a `/proc/PID/maps`, except the one that contains `address`.
fn others(maps: &str, address: usize) -> Vec<PathBuf> {
    let mut files: Vec<&str> = Vec::new();
    let mut own = None;
    for line in maps.lines() {
        // START-END MODE OFFSET DEVICE INODE   PATH
        let Some(place) = line.find('/') else { continue };
        let path = &line[place..];
        let mut fields = line.split_ascii_whitespace();
        let (range, mode) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if range_of(range).is_some_and(|range| range.contains(&address)) {
            own = Some(path);
        }
        if mode.contains('x') && !files.contains(&path) {
            files.push(path);
        }
    }
    files.into_iter().filter(|file| Some(*file) != own).map(PathBuf::from).collect()
}

fn range_of(text: &str) -> Option<std::ops::Range<usize>> {
    let (start, end) = text.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

fn has_sqlite(path: &Path) -> bool {
    let mut answers = lock(&ANSWERS);
    let answers = answers.get_or_insert_default();
    if let Some(answer) = answers.get(path) {
        return *answer;
    }
    let answer = File::open(path).is_ok_and(contains_mark);
    answers.insert(path.to_owned(), answer);
    answer
}

fn contains_mark(mut file: impl Read) -> bool {
    let mark: Vec<u8> = MARK_BACKWARDS.iter().rev().copied().collect();
    let finder = memchr::memmem::Finder::new(&mark);
    let mut buffer = vec![0; BUFFER];
    let mut kept = 0;
    loop {
        let Ok(length) = file.read(&mut buffer[kept..]) else { return false };
        if length == 0 {
            return false;
        }
        let filled = kept + length;
        if finder.find(&buffer[..filled]).is_some() {
            return true;
        }
        // The mark may span two reads.
        kept = filled.min(mark.len() - 1);
        buffer.copy_within(filled - kept..filled, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0a0000000-55d0a0001000 r--p 00000000 fe:00 11                         /usr/bin/python3.11
55d0a0001000-55d0a0002000 r-xp 00001000 fe:00 11                         /usr/bin/python3.11
55d0b0000000-55d0b0021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000100000 r--p 00000000 fe:00 12                         /usr/lib/my libs/libsqlite3.so.0.8.6
7f0000100000-7f0000200000 r-xp 00100000 fe:00 12                         /usr/lib/my libs/libsqlite3.so.0.8.6
7f0000300000-7f0000400000 r--p 00000000 fe:00 13                         /usr/share/locale/locale-archive
7f0000500000-7f0000600000 r-xp 00000000 00:00 0
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
7ffd00100000-7ffd00102000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn files_with_code_but_the_one_in_question() {
        let found = |address| others(MAPS, address);
        let (python, sqlite) = (PathBuf::from("/usr/bin/python3.11"), "/usr/lib/my libs/libsqlite3.so.0.8.6".into());
        assert_eq!(found(0x7f00_0015_0000), std::slice::from_ref(&python));
        assert_eq!(found(0x55d0_a000_1fff), std::slice::from_ref(&sqlite));
        assert_eq!(found(0x1), [python, sqlite]);
        assert!(others("", 1).is_empty());
    }

    #[test]
    fn the_mark_is_found_wherever_it_lies() {
        let mark: Vec<u8> = MARK_BACKWARDS.iter().rev().copied().collect();
        assert_eq!(mark.len(), 62);
        for before in [0, 7, BUFFER - 62, BUFFER - 61, BUFFER - 1, BUFFER, 2 * BUFFER - 90] {
            let mut content = vec![b'u'; before];
            content.extend_from_slice(&mark);
            assert!(contains_mark(content.as_slice()), "{before}");
            content.pop();
            content.extend_from_slice(b"?unable to delete");
            assert!(!contains_mark(content.as_slice()), "{before}");
        }
        assert!(!contains_mark(MARK_BACKWARDS));
    }
}
