//! Backups by other tools in a backup directory, recognized by their names.
//!
//! # Promise
//!
//! A regular file that is in no catalog, is no live database, and whose name matches one of these patterns is
//! listed with `backup_type` `adopted` and the time in its name (taken as UTC):
//!
//! - `queue_backup_[NAME_]YYYYMMDD_HHMMSS…`: ours, and the PrismQ backend's;
//! - `backup_YYYYMMDD_HHMMSS_…`;
//! - `backup-YYYY-MM-DD-HHMMSS.db`;
//! - `queue_YYYY-MM-DD.db`.
//!
//! Only the name and length of such a file are known. Retention ignores it unless the policy says `"adopted":
//! true`.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::entry::Entry;
use super::hash_file;
use crate::backup::artifact::compression::Compression;
use crate::bounds;
use crate::clock;
use crate::error::{Error, Result};
use crate::files::{Directory, LiveFiles};
use crate::memory;

/// The `backup_type`.
pub const ADOPTED: &str = "adopted";

/// The adopted files of a directory whose catalog has `entries`, including those being deleted. Fails if
/// there are more than a catalog may have.
pub fn list<'e>(
    directory: &Directory,
    live: &LiveFiles,
    entries: impl Iterator<Item = &'e Entry>,
) -> Result<Vec<Entry>> {
    let listed: HashSet<&str> = entries.map(|entry| entry.backup_path.as_str()).collect();
    let names = directory.readable_names()?.into_iter();
    let files = names.filter_map(|name| {
        let name = name.into_string().ok()?;
        let time = time_in(&name)?;
        // Not followed: a link's target is not in this directory.
        let path = directory.path().join(&name);
        let found = directory.metadata_of(&path).ok()??;
        let known = listed.contains(name.as_str());
        let fine = found.is_file() && !known && !live.contains_in(directory, &path);
        fine.then(|| Ok::<_, Error>(describe(name, time, found.length())))
    });
    let mut found = memory::collected(files.take(bounds::CATALOG_ENTRIES + 1))?;
    memory::check()?;
    if found.len() > bounds::CATALOG_ENTRIES {
        return Err(Error::usage(format!(
            "'{}' has more than {} files beside its catalog that have names of backups; move those away that are none",
            directory.path().display(),
            bounds::CATALOG_ENTRIES
        )));
    }
    found.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| b.backup_path.cmp(&a.backup_path)));
    Ok(found)
}

fn describe(name: String, time: DateTime<Utc>, size_bytes: u64) -> Entry {
    let compression = Compression::of_name(&name);
    Entry {
        id: name.clone(),
        backup_type: ADOPTED.into(),
        backup_path: name,
        created_at: clock::rfc3339(time),
        size_bytes,
        compressed: compression != Compression::None,
        compression: compression.word().into(),
        ..Entry::default()
    }
}

/// The time in a file name that matches a pattern.
pub fn time_in(name: &str) -> Option<DateTime<Utc>> {
    // A backup's journal or hash file is not a backup.
    let companions = ["-wal", "-shm", "-journal", hash_file::SUFFIX];
    if companions.iter().any(|companion| name.ends_with(companion)) {
        return None;
    }
    if let Some(rest) = name.strip_prefix("queue_backup_") {
        return stamp_in(stem_of(rest));
    }
    if let Some(rest) = name.strip_prefix("backup_") {
        let (stamp, behind) = rest.split_at_checked(15)?;
        return behind.starts_with('_').then(|| parse_stamp(stamp)).flatten();
    }
    if let Some(rest) = name.strip_prefix("backup-") {
        let (date, time) = rest.strip_suffix(".db")?.split_at_checked(10)?;
        return at(parse_date(date)?, parse_time(time.strip_prefix('-')?)?);
    }
    let date = name.strip_prefix("queue_")?.strip_suffix(".db")?;
    at(parse_date(date)?, NaiveTime::MIN)
}

/// The name without the endings of databases, deltas and compressed files.
fn stem_of(name: &str) -> &str {
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    let name = name.strip_suffix(".db").unwrap_or(name);
    name.strip_suffix(".delta").unwrap_or(name)
}

fn stamp_in(stem: &str) -> Option<DateTime<Utc>> {
    let last = |text: &str| -> Option<DateTime<Utc>> {
        let start = text.len().checked_sub(15)?;
        let (before, stamp) = text.split_at_checked(start)?;
        (before.is_empty() || before.ends_with('_')).then(|| parse_stamp(stamp)).flatten()
    };
    last(stem).or_else(|| {
        let (before, count) = stem.rsplit_once('_')?;
        let counts = !count.is_empty() && count.bytes().all(|digit| digit.is_ascii_digit());
        counts.then(|| last(before)).flatten()
    })
}

fn parse_stamp(stamp: &str) -> Option<DateTime<Utc>> {
    let (date, time) = stamp.split_once('_')?;
    at(digits(date, 8).and_then(|date| NaiveDate::parse_from_str(date, "%Y%m%d").ok())?, parse_time(time)?)
}

fn parse_date(date: &str) -> Option<NaiveDate> {
    (date.len() == 10).then(|| NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()).flatten()
}

fn parse_time(time: &str) -> Option<NaiveTime> {
    digits(time, 6).and_then(|time| NaiveTime::parse_from_str(time, "%H%M%S").ok())
}

fn digits(text: &str, count: usize) -> Option<&str> {
    (text.len() == count && text.bytes().all(|digit| digit.is_ascii_digit())).then_some(text)
}

fn at(date: NaiveDate, time: NaiveTime) -> Option<DateTime<Utc>> {
    Some(NaiveDateTime::new(date, time).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(name: &str) -> Option<String> {
        time_in(name).map(clock::sqlite_text)
    }

    #[test]
    fn the_patterns_and_their_times() {
        let same = Some("2025-11-05 14:30:22".to_owned());
        for name in [
            "queue_backup_20251105_143022.db",
            "queue_backup_daily_20251105_143022.db",
            "queue_backup_before_restore_20251105_143022_2.db",
            "queue_backup_20251105_143022.db.zst",
            "queue_backup_x_20251105_143022_12.delta.db.gz",
            "backup_20251105_143022_1a2b3c4d.db.gz",
            "backup-2025-11-05-143022.db",
        ] {
            assert_eq!(time(name), same, "{name}");
        }
        assert_eq!(time("queue_2025-11-05.db").as_deref(), Some("2025-11-05 00:00:00"));
    }

    #[test]
    fn anything_else_is_nobodys_backup() {
        for name in [
            "queue.db",
            "queue_backup.db",
            "queue_backup_20251305_143022.db",
            "queue_backup_20251105_253022.db",
            "queue_backup_x20251105_143022.db",
            "queue_backup_20251105_143022_.db",
            "queue_backup_20251105_143022.db-wal",
            "queue_backup_20251105_143022.db.hashes",
            "backup_20251105_143022.db",
            "backup_20251105_1430_x.db",
            "backup-2025-11-05.db",
            "queue_2025-11-05.db-journal",
            "queue_20251105.db",
            "täglich_20251105_143022.db",
            "backup_ääääääääääääää",
            "",
        ] {
            assert_eq!(time(name), None, "{name}");
        }
    }
}
