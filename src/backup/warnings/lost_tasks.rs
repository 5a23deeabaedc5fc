//! Tasks that were there and are not any more: whether a backup, or the database, is one of nothing.
//!
//! # Promise
//!
//! A queue that was cut to nothing, and a path that leads to the wrong database, make sound backups. So it is a warning if
//!
//! - the task table is missing, though an earlier backup of this database had one, or a setting names one; where only the schedule
//!   says that this is a queue, the first backup warns, and no other: databases without tasks may be backed up, too;
//! - there is no task, though the newest earlier backup that counted them had some. A queue that was emptied on purpose
//!   warns with its first backup only.
//!
//! # How
//!
//! [`judge`] is pure; the catalog's `task_counts` are the memory. A backup made of the same path counts whatever name the queue had
//! then: with the file's content its name is gone, too.

use rusqlite::Connection;

use crate::backup::catalog::Catalog;
use crate::backup::catalog::entry::Entry;
use crate::backup::find::directory;
use crate::backup::find::source::{self, Made, Source};
use crate::connection::Caller;
use crate::error::Result;
use crate::files;
use crate::progress::Watch;
use crate::queue::counts::Counts;
use crate::schema;
use crate::settings::{Settings, registry as setting};

/// What earlier backups had, newest first: how many tasks, if that was counted.
pub type Earlier = Vec<Option<u64>>;

/// What says that a database has a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Nothing does.
    None,
    /// Jobs were run in it.
    Schedule,
    /// A setting names the task table.
    Setting,
}

/// The task table now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    name: String,
    there: bool,
    sign: Sign,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The task table; how many tasks it had, if that is known.
    Table(Option<u64>),
    /// All of so many tasks.
    Tasks(u64),
}

impl Table {
    fn read(conn: &Connection) -> Result<Self> {
        let settings = Settings::of(conn)?;
        let name = settings.text(&setting::TASK_TABLE)?.unwrap_or_default();
        let named = [&setting::TASK_TABLE, &setting::PRESET].iter().any(|named| settings.stored(named).is_some());
        let sign = match named {
            true => Sign::Setting,
            false if schema::has_table(conn, schema::JOBS)? => Sign::Schedule,
            false => Sign::None,
        };
        Ok(Self { there: schema::has_table(conn, &name)?, name, sign })
    }
}

/// What earlier backups of the same queue, or of the same path, had; `entries` are newest first.
pub fn earlier(entries: &[Entry], source: &Source) -> Earlier {
    let own = entries
        .iter()
        .filter(|entry| source.owns(*entry) || (!source.path().is_empty() && entry.source_path == source.path()));
    own.map(|entry| entry.task_counts.as_ref().map(|counts| total(&counts.fields()))).collect()
}

/// How many tasks there are of all statuses.
pub fn total(counts: &Counts) -> u64 {
    counts.values().filter_map(serde_json::Value::as_u64).sum()
}

/// What is missing where there are so many tasks (`None`: not counted).
fn judge(there: bool, tasks: Option<u64>, sign: Sign, earlier: &[Option<u64>]) -> Option<Missing> {
    let had = earlier.iter().flatten().next().copied();
    if !there {
        let expected = had.is_some() || sign == Sign::Setting || (sign == Sign::Schedule && earlier.is_empty());
        return expected.then(|| Missing::Table(earlier.iter().flatten().copied().find(|&tasks| tasks > 0)));
    }
    match (tasks, had) {
        (Some(0), Some(had)) if had > 0 => Some(Missing::Tasks(had)),
        _ => None,
    }
}

/// What to tell about a backup with these counts, if anything; what cannot be read is told by others.
pub fn warning(caller: &Caller, counts: Option<&Counts>, earlier: &Earlier, watch: &mut Watch<'_>) -> Option<String> {
    let table = source::read(caller, watch, Table::read).ok()?;
    let there = table.there || counts.is_some();
    judge(there, counts.map(total), table.sign, earlier).map(|missing| missing.words(&table.name))
}

/// What is missing in the caller's database now, and what to tell about it; `None` as its first part where no queue is expected.
///
/// # Errors
///
/// What SQLite says, or a catalog that cannot be read.
pub fn now(caller: &Caller) -> Result<(Option<u64>, Option<String>)> {
    let conn = caller.connection();
    let table = Table::read(conn)?;
    let earlier = by_default_catalog(caller)?;
    let missing = if table.there {
        let sql = format!("SELECT 1 FROM main.{} LIMIT 1", schema::quoted(&table.name));
        // Only once that state was backed up: between two backups a queue may well be empty.
        match (conn.prepare(&sql)?.exists([])?, earlier.split_first()) {
            (false, Some((Some(0), before))) => judge(true, Some(0), table.sign, before),
            _ => None,
        }
    } else {
        // The schedule's word counts here however many backups there are.
        let sign = if table.sign == Sign::Schedule { Sign::Setting } else { table.sign };
        judge(false, None, sign, &earlier)
    };
    Ok(match missing {
        None => (table.there.then_some(0), None),
        Some(missing @ (Missing::Tasks(had) | Missing::Table(Some(had)))) => {
            (Some(had), Some(missing.words(&table.name)))
        }
        Some(missing) => (None, Some(missing.words(&table.name))),
    })
}

fn by_default_catalog(caller: &Caller) -> Result<Earlier> {
    let mut watch = Watch::new(caller, None);
    if caller.file().is_none() {
        return Ok(Vec::new());
    }
    let directory = directory::directory(caller, None, &mut watch)?;
    if !files::exists(&directory)? {
        return Ok(Vec::new());
    }
    let live = caller.live_files()?;
    let entries = Catalog::of(&directory, &live)?.read()?.backups;
    let source = Source::of(caller, &mut watch)?.among(entries.iter().map(Made::from))?;
    Ok(earlier(&entries, &source))
}

impl Missing {
    fn words(self, table: &str) -> String {
        let advice = "look whether this is the right database; queue_backups() shows in task_counts what earlier backups had, and \
                      queue_restore() brings one of them back";
        match self {
            Self::Table(None) => format!(
                "the database has no task table {table}; {advice}; queue_set('preset', …) or queue_set('task_table', …) name \
                 the table of another kind of queue"
            ),
            Self::Table(Some(had)) => {
                format!(
                    "the database has no task table {table} any more, and an earlier backup had {had} tasks in it; {advice}"
                )
            }
            Self::Tasks(had) => format!(
                "the table {table} has no tasks any more, and the backup before had {had}; if nobody emptied it on purpose, {advice}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_table_warns_where_a_queue_is_expected() {
        let table = |sign, earlier: &[Option<u64>]| judge(false, None, sign, earlier);
        assert_eq!(table(Sign::None, &[]), None);
        assert_eq!(table(Sign::None, &[None, None]), None);
        assert_eq!(table(Sign::Schedule, &[]), Some(Missing::Table(None)));
        assert_eq!(table(Sign::Schedule, &[None]), None);
        assert_eq!(table(Sign::Setting, &[None]), Some(Missing::Table(None)));
        assert_eq!(table(Sign::None, &[None, Some(0), Some(7)]), Some(Missing::Table(Some(7))));
        assert_eq!(table(Sign::None, &[Some(0)]), Some(Missing::Table(None)));
    }

    #[test]
    fn the_first_backup_without_tasks_warns() {
        let counted = |tasks, earlier: &[Option<u64>]| judge(true, tasks, Sign::Setting, earlier);
        assert_eq!(counted(Some(0), &[Some(7)]), Some(Missing::Tasks(7)));
        assert_eq!(counted(Some(0), &[None, Some(7)]), Some(Missing::Tasks(7)));
        for (tasks, earlier) in
            [(Some(0), vec![]), (Some(0), vec![Some(0), Some(7)]), (Some(1), vec![Some(7)]), (None, vec![Some(7)])]
        {
            assert_eq!(counted(tasks, &earlier), None, "{tasks:?} {earlier:?}");
        }
    }
}
