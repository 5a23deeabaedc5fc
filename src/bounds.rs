//! How much is read of what others may write: one number for each reader, and why it is that number.
//!
//! # Promise
//!
//! - No file, row or text that others may write is read beyond its bound, whatever it claims. What exceeds one is told in words, with the
//!   way out, and costs memory and time in proportion to the bound, not to what the input makes of it.
//! - What this version writes itself stays below them, with room for what is noted later.
//!
//! # How
//!
//! A bound is what the largest sensible input of its kind needs, several times over: it is there to end nonsense, not to ration. Where a
//! length is known beforehand it is compared before anything is read; elsewhere reading ends one byte behind the bound. Not all is a number:
//! a delta has each page by which its database grew, and no other shape than its catalog entry says; an artifact expands to no more than
//! that entry says; a chain of backups is followed once, however long. What expands, and of whose size nobody but itself says anything,
//! leaves a [`margin`] of the disk.
//!
//! The Python package has the same bounds where it reads the same files (`python/src/queuekeeper/offsite/bounds.py`).

/// A catalog's file. A backup takes about a kilobyte in it: fifty thousand, one a minute for a month.
pub const CATALOG_BYTES: u64 = 64 << 20;
/// The entries of a catalog. The shortest possible ones take far less than a kilobyte as text, but as much memory as others. Likewise the files
/// beside it that are adopted by their names.
pub const CATALOG_ENTRIES: usize = 100_000;
/// The text of one entry. Longest are the two paths (4096 bytes, six times as long where each byte is escaped) and the tasks by status.
pub const ENTRY_BYTES: usize = 256 << 10;
/// All statuses of a queue together: some five hundred words. With more, a column that is none of statuses was counted.
pub const STATUSES_BYTES: usize = 16 << 10;
/// What each has besides in JSON.
pub const A_STATUS_BYTES: usize = 16;
/// Objects and lists within each other in an entry. Ours has two; `serde_json` reads 127, and each takes room on the stack.
pub const NESTING: usize = 64;
/// A file of pointers: 256 of less than a kilobyte each, but for their paths.
pub const POINTERS_BYTES: u64 = 4 << 20;
/// Pointers in it. More than 256 are none of ours; those are cut off when they are in order.
pub const POINTERS: usize = 4096;
/// What is read of a compressed file to learn how its content begins: the largest page in a frame of its own, sixteen times over. Frames without
/// content would have it read to its end.
pub const BEGINNING: u64 = 1 << 20;
/// A text in a delta's table of properties. Ours are an id and digests.
pub const DELTA_TEXT: u32 = 1024;
/// Rows in the table of settings. There are some seventy settings.
pub const SETTINGS: u32 = 1000;
/// The value of a setting. Longest is a list of former paths: sixteen of the longest, or hundreds of usual ones.
pub const SETTING_BYTES: usize = 64 << 10;
/// The name in a row of settings. The longest has 26 bytes.
pub const SETTING_NAME: usize = 256;
/// A value of a task that is shown. Longest are workers' names and ids, which SQLite would let have a gigabyte.
pub const CELL: usize = 64 << 10;
/// A cron expression. With every minute, hour, day, month and weekday listed it has some 400 bytes.
pub const CRON_BYTES: usize = 1024;
/// A word in the schedule's tables: a job, a step, a status, up to eight times.
pub const LOG_WORD: usize = 1024;
/// What a step came to. Longest is a catalog entry.
pub const LOG_DETAIL: usize = ENTRY_BYTES;
/// The whole log in memory. A row takes less than half a kilobyte: more than a hundred thousand, twenty times what is kept by default.
pub const LOG_BYTES: usize = 64 << 20;
/// What a row of the log takes in memory beside its texts.
pub const LOG_ROW: usize = 512;
/// The window of a zstd frame, as a power of two: what `zstd -d` takes without being told to (128 MiB); ours need 8 MiB.
pub const ZSTD_WINDOW_LOG: u32 = 27;

/// What a new entry leaves of [`CATALOG_BYTES`] and [`ENTRY_BYTES`]: marks and errors of deletions are added to entries later.
pub const ROOM: usize = 4;

/// What is left of a file system of this size by a backup that is expanded there although no catalog says how large it is: a twentieth, which
/// ext4 keeps for root as well, up to a gigabyte, which is more than the logs and journals of other programs take in a while.
pub fn margin(total: u64) -> u64 {
    (total / 20).min(1 << 30)
}

/// The beginning of a text that is longer than `most` bytes, else all of it.
pub fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_a_part_of_a_small_disk_and_a_gigabyte_of_a_large_one() {
        assert_eq!((margin(0), margin(20 << 20), margin(1 << 50)), (0, 1 << 20, 1 << 30));
    }

    #[test]
    fn a_beginning_ends_between_characters() {
        assert_eq!(
            (beginning("aé", 9), beginning("aé", 3), beginning("aé", 2), beginning("é", 0)),
            ("aé", "aé", "a", "")
        );
    }
}
