//! Warns of lost tasks: a backup, or the database, may have nothing in it.
//!
//! # Promise
//!
//! A truncated queue, or a path to the wrong database, yields sound backups. So there is a warning if
//!
//! - the task table is missing, although an earlier backup of this database had one, or a setting names one.
//!   If only the schedule indicates a queue, only the first backup warns: databases without tasks may be
//!   backed up, too;
//! - there is no task, although the newest earlier backup with a count had some. A queue that was emptied on
//!   purpose warns only with its first backup.
//!
//! # How
//!
//! [`judge`] is pure; the earlier counts are the catalog's `task_counts`. A backup of the same path counts
//! whatever the queue's name was: if the content is lost, so is the name.

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

/// The task counts of earlier backups, newest first; `None` if not counted.
pub type Earlier = Vec<Option<u64>>;

/// What indicates that a database has a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    None,
    /// Jobs were run in it.
    Schedule,
    /// A setting names the task table.
    Setting,
}

/// The current task table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    name: String,
    there: bool,
    sign: Sign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The task table, with its last count of tasks, if known.
    Table(Option<u64>),
    /// All tasks, with their last count.
    Tasks(u64),
}

impl Table {
    fn read(conn: &Connection) -> Result<Self> {
        let settings = Settings::of(conn)?;
        let name = settings.text(&setting::TASK_TABLE)?.unwrap_or_default();
        let named = [&setting::TASK_TABLE, &setting::PRESET].iter().any(|named| settings.stored(named).is_some());
        let sign = match named {
            true => Sign::Setting,
            false if schema::has_table(conn, schema::jobs::TABLE)? => Sign::Schedule,
            false => Sign::None,
        };
        Ok(Self { there: schema::has_table(conn, &name)?, name, sign })
    }
}

/// Task counts of earlier backups of the same queue or path; `entries` are newest first.
pub fn earlier(entries: &[Entry], source: &Source) -> Earlier {
    let own = entries
        .iter()
        .filter(|entry| source.owns(*entry) || (!source.path().is_empty() && entry.source_path == source.path()));
    own.map(|entry| entry.task_counts.as_ref().map(|counts| total(&counts.fields()))).collect()
}

/// The tasks of all statuses.
pub fn total(counts: &Counts) -> u64 {
    counts.values().filter_map(serde_json::Value::as_u64).sum()
}

/// Compares the current count (`None`: not counted) with earlier ones.
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

/// The warning for a backup with these counts, if any. Errors are ignored: others report them.
pub fn warning(caller: &Caller, counts: Option<&Counts>, earlier: &Earlier, watch: &mut Watch<'_>) -> Option<String> {
    let table = source::read(caller, watch, Table::read).ok()?;
    let there = table.there || counts.is_some();
    judge(there, counts.map(total), table.sign, earlier).map(|missing| missing.words(&table.name))
}

/// The lost tasks of the caller's database, with the warning; the first part is `None` if no queue is
/// expected.
pub fn now(caller: &Caller) -> Result<(Option<u64>, Option<String>)> {
    let conn = caller.connection();
    let table = Table::read(conn)?;
    let earlier = by_default_catalog(caller)?;
    let missing = if table.there {
        let sql = format!("SELECT 1 FROM main.{} LIMIT 1", schema::quoted(&table.name));
        // Only if that state was backed up: between two backups a queue may well be empty.
        match (conn.prepare(&sql)?.exists([])?, earlier.split_first()) {
            (false, Some((Some(0), before))) => judge(true, Some(0), table.sign, before),
            _ => None,
        }
    } else {
        // The schedule counts here however many backups there are.
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
    let source = Source::of(caller, &mut watch)?.resolved_in(entries.iter().map(Made::from))?;
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
