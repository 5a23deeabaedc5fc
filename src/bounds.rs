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
//! length is known beforehand it is compared before anything is read; elsewhere reading ends one byte behind the bound.
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
/// A text in a delta's table of properties. Ours are an id and digests.
pub const DELTA_TEXT: u32 = 1024;

/// What a new entry leaves of [`CATALOG_BYTES`] and [`ENTRY_BYTES`]: marks and errors of deletions are added to entries later.
pub const ROOM: usize = 4;
