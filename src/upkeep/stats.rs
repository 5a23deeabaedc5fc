//! The database in numbers.
//!
//! # Promise
//!
//! One row. `_mb` are units of 2^20 bytes. `size_bytes` and `total_size_mb` are pages times page size: the
//! size as this connection sees it, part of which may still be in the WAL. `fragmentation_pct` is the share
//! of free pages. `path` and `free_disk_bytes` are NULL for a database without a file. Files are only
//! examined by `stat`, and reading takes microseconds.

use serde::Serialize;

use crate::connection::Caller;
use crate::error::Result;
use crate::{files, host};

const MB: f64 = 1_048_576.0;

/// The columns and JSON keys of `queue_stats()`, in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    pub page_count: i64,
    pub page_size: i64,
    /// Pages times page size, in 2^20 bytes.
    pub total_size_mb: f64,
    /// Free pages.
    pub freelist_count: i64,
    /// 1 in WAL mode, else 0.
    pub wal_mode: i64,
    /// Length of the `-wal` file, in 2^20 bytes.
    pub wal_size_mb: f64,
    pub path: Option<String>,
    /// Pages times page size.
    pub size_bytes: i64,
    /// Length of the `-wal` file.
    pub wal_size_bytes: i64,
    /// Free pages in percent of all.
    pub fragmentation_pct: f64,
    /// What this process may still write beside the database.
    pub free_disk_bytes: Option<i64>,
    pub journal_mode: String,
    pub sqlite_version: String,
}

#[allow(clippy::cast_precision_loss)] // Sizes of databases stay far below 2^53.
pub fn stats(caller: &Caller) -> Result<Stats> {
    let page_count: i64 = caller.pragma("page_count")?;
    let page_size: i64 = caller.pragma("page_size")?;
    let freelist_count: i64 = caller.pragma("freelist_count")?;
    let journal_mode: String = caller.pragma("journal_mode")?;
    let file = caller.file();
    let wal = file.as_ref().map_or(Ok(0), |file| files::length(&files::with_suffix(file, "-wal")))?;
    let wal_size_bytes = i64::try_from(wal).unwrap_or(i64::MAX);
    // Unknown if the directory is gone, or on another machine.
    let free = file.as_ref().and_then(|file| files::free_space(files::parent_of(file)).ok());
    let size_bytes = page_count * page_size;
    Ok(Stats {
        page_count,
        page_size,
        total_size_mb: size_bytes as f64 / MB,
        freelist_count,
        wal_mode: i64::from(journal_mode.eq_ignore_ascii_case("wal")),
        wal_size_mb: wal_size_bytes as f64 / MB,
        path: file.map(|file| files::text_of(&file)),
        size_bytes,
        wal_size_bytes,
        fragmentation_pct: match page_count {
            0 => 0.0,
            count => freelist_count as f64 * 100.0 / count as f64,
        },
        free_disk_bytes: free.map(|free| i64::try_from(free).unwrap_or(i64::MAX)),
        journal_mode,
        sqlite_version: host::sqlite_version(),
    })
}
