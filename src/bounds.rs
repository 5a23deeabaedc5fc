//! Bounds on reading data that others may write: one number for each reader, with its reason.
//!
//! # Promise
//!
//! - No file, row or text that others may write is read beyond its bound, whatever size it claims. An excess
//!   is an error that says what to do, and costs memory and time in proportion to the bound, not to what the
//!   input claims.
//! - What this version writes stays below the bounds, with room for later additions.
//!
//! # How
//!
//! A bound is several times what the largest sensible input needs: it stops nonsense, it does not ration. A
//! length known beforehand is compared before reading; elsewhere reading stops one byte past the bound. Some
//! bounds are not constants: a delta has at most the pages by which its database grew, and exactly the shape
//! in its catalog entry; an artifact expands to at most the size in that entry; a chain of backups is
//! followed once, however long. Expansion without a size in the catalog leaves a [`margin`] of the disk.
//!
//! The Python package reads some of these files, with the same bounds
//! (`python/src/queuekeeper/offsite/bounds.py`).

/// A catalog file. A backup takes about a kilobyte, so this is fifty thousand: one a minute for a month.
pub const CATALOG_BYTES: u64 = 64 << 20;
/// Entries of a catalog, as the shortest ones take far less than a kilobyte as text but as much memory as
/// others. Also the files beside it that are adopted by name.
pub const CATALOG_ENTRIES: usize = 100_000;
/// The text of one entry. The longest parts are two paths (4096 bytes, six times that if each byte is
/// escaped) and the task counts by status.
pub const ENTRY_BYTES: usize = 256 << 10;
/// All statuses of a queue together: some five hundred words. More means that the column holds something
/// else.
pub const STATUSES_BYTES: usize = 16 << 10;
/// JSON overhead of each status.
pub const A_STATUS_BYTES: usize = 16;
/// Nested objects and arrays in an entry. Ours has two levels; `serde_json` reads 127, each of which takes
/// stack.
pub const NESTING: usize = 64;
/// A pointer file: 256 pointers of less than a kilobyte each, plus paths.
pub const POINTERS_BYTES: u64 = 4 << 20;
/// Pointers in such a file. We write at most 256; of more, the newest 256 are used.
pub const POINTERS: usize = 4096;
/// Bytes read of a compressed file to see how its content begins: sixteen times the largest page in a frame
/// of its own. Without this bound, empty frames would have the whole file read.
pub const BEGINNING: u64 = 1 << 20;
/// A text in a delta's property table. Ours are an id and digests.
pub const DELTA_TEXT: u32 = 1024;
/// Rows of the settings table. There are some seventy settings.
pub const SETTINGS: u32 = 1000;
/// The value of a setting. The longest is a list of former paths: sixteen of maximal length, or hundreds of
/// usual ones.
pub const SETTING_BYTES: usize = 64 << 10;
/// A setting's name. The longest has 26 bytes.
pub const SETTING_NAME: usize = 256;
/// A task's value for display. The longest are workers' names and ids; SQLite allows a gigabyte.
pub const CELL: usize = 64 << 10;
/// A cron expression. One that lists every minute, hour, day, month and weekday has some 400 bytes.
pub const CRON_BYTES: usize = 1024;
/// A word in the schedule's tables: a job, a step, a status, or a list of up to eight times.
pub const LOG_WORD: usize = 1024;
/// A step's result. The longest is a catalog entry.
pub const LOG_DETAIL: usize = ENTRY_BYTES;
/// The whole log in memory. A row takes less than half a kilobyte, so this is over a hundred thousand rows:
/// twenty times what is kept by default.
pub const LOG_BYTES: usize = 64 << 20;
/// Memory of a log row besides its texts.
pub const LOG_ROW: usize = 512;
/// The window of a zstd frame, as a power of two: the default limit of `zstd -d` (128 MiB). Ours need 8 MiB.
pub const ZSTD_WINDOW_LOG: u32 = 27;

/// New entries leave 1/`ROOM` of [`CATALOG_BYTES`], [`CATALOG_ENTRIES`] and [`ENTRY_BYTES`] free: marks and
/// deletion errors are added later.
pub const ROOM: usize = 4;

/// Bytes to leave free on a file system of `total` bytes when a backup of unknown size is expanded there: a
/// twentieth, which ext4 also keeps for root, up to a gigabyte, which is more than other programs' logs and
/// journals take in a while.
pub fn margin(total: u64) -> u64 {
    (total / 20).min(1 << 30)
}

/// The first `most` bytes of a text, cut at a character boundary.
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
