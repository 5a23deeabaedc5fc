//! Restores a backup into a database.
//!
//! # Promise
//!
//! - The backup is rebuilt in a temporary file and checked (checksums, digest, `quick_check`) before the
//!   target is touched; if anything is wrong, the target is unchanged. A backup that is damaged is marked as
//!   such in its catalog, if that can be written, and the error names [another one](alternative).
//! - Into a **live database** SQLite writes the content in one transaction: readers keep their snapshot, a
//!   kill in the middle leaves the old content, no stale WAL can be replayed over the new. The old content is
//!   first saved as a backup named `before_restore`. Each committed write is in that backup or follows the
//!   restore: in WAL mode the write lock is held from before that backup to the commit. A rollback journal
//!   does not allow that; there a commit in between is detected, and the backup is repeated.
//! - A target that is **no longer a database** is moved aside, with its `-wal`, `-shm` and `-journal`, as
//!   `NAME.corrupt-YYYYMMDD_HHMMSS`. Nothing is deleted or replaced, and nothing is moved while anyone else
//!   is known to have one of these files open or locked.
//! - No job of the schedule becomes due that had run, see [`jobs`].
//! - **Root** does not restore as `latest` a backup that is the database's only by its rows, into a file of
//!   another user, unless that user owns the backup: else whoever can write the rows could read any backup
//!   that root can.
//! - A **new target** appears complete or not at all, with journal mode `delete`. It gets the permissions,
//!   and from root the owner, of the file that it replaces, else of the caller's database, else of the
//!   backup.
//!
//! # How
//!
//! `dry_run` finds the backup and the target as a restore would, and opens neither.
//!
//! The page size must be the target's, since a WAL database cannot change its own. A rebuilt copy with
//! another one is converted by VACUUM first, which may renumber the rows of tables without an INTEGER PRIMARY
//! KEY; a note says so. The target keeps its journal mode, since artifacts have no WAL marks.

mod destination;
mod identity;
mod jobs;
mod live;
mod prepare;
mod space;
mod state;

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::artifact::kind::Level;
use super::catalog::Backup;
use super::catalog::entry::Entry;
use super::find::{self, Found};
use super::rebuild;
use super::verify::{self, alternative, findings, newer_sqlite};
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, Directory, Ownership, Placed, Staged};
use crate::phase::Phase;
use crate::progress::{Listener, Watch};
use crate::queue::requeue;
use destination::Place;
use jobs::Keep;
use prepare::{change, convert, grow};

const AS_IT_WAS: &str = "the target is as it was, call again to start over";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"requeue_leases\": true}")]
pub struct Options {
    dir: Option<String>,
    overwrite: Option<bool>,
    requeue_leases: Option<bool>,
    dry_run: Option<bool>,
}

/// The result of a restore.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    pub id: String,
    pub backup_path: String,
    /// The snapshot's time.
    pub created_at: String,
    /// The age of the restored data; negative if it is from the future.
    pub age_seconds: Option<i64>,
    /// The restored database.
    pub target_path: String,
    /// The safety backup; `null` if there was nothing to save.
    pub safety_backup: Option<String>,
    /// The new path of a broken target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_aside: Option<String>,
    /// The count of requeued leases, if requested.
    pub requeued: Option<usize>,
    pub page_count: u32,
    pub page_size: u32,
    pub duration_ms: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Outcome {
    fn add_note(&mut self, note: String) {
        self.note = Some(self.note.take().map_or(note.clone(), |first| format!("{first}; {note}")));
    }
}

/// Restores the backup that `words` means into `target`, or into the caller's own database.
pub fn restore<'a>(
    caller: &'a Caller,
    words: Option<&str>,
    target: Option<&str>,
    options: &Options,
    listener: Option<Listener<'a>>,
) -> Result<Outcome> {
    let started = Instant::now();
    let live = caller.live_files()?;
    let place = Place::find(caller, &live, target, options.overwrite.unwrap_or(false))?;
    let mut watch = Watch::new(caller, listener);
    let targets = [files::parent_of(place.path())];
    let mut found = find::backup(caller, &live, words, options.dir.as_deref(), &targets, &mut watch)?;
    if !found.entry.is_intact() {
        let error = Error::corrupt(format!(
            "the catalog entry of '{}' is not as it was written, so it cannot be trusted; see queue_verify()",
            found.entry.backup_path
        ));
        return Err(alternative::named(error, caller, &found, &mut watch));
    }
    found.catalog.pass_on();
    if found.claimed {
        found.catalog.restrict(place.heir().or_else(|| files::heir(&caller.file()?)));
    }
    let job = Job { caller, found: &found, backup: found.backup(), entry: &found.entry, options };
    let dry_run = options.dry_run.unwrap_or(false);
    let done = if dry_run { job.outcome(place.path()) } else { job.run(&place, &mut watch) };
    let damaged = found.entry.damaged_at().filter(|_| dry_run);
    let mut outcome = Outcome { dry_run, ..done.map_err(|error| error.if_interrupted(AS_IT_WAS))? };
    outcome.note = found.note.into_iter().chain(outcome.note).reduce(|first, second| format!("{first}; {second}"));
    if let Some(found_at) = damaged {
        outcome.add_note(format!("this backup was found damaged at {found_at}, so a restore will check it and fail"));
    }
    outcome.duration_ms = clock::milliseconds(started.elapsed());
    Ok(outcome)
}

struct Job<'a> {
    caller: &'a Caller,
    found: &'a Found<'a>,
    backup: Backup<'a>,
    entry: &'a Entry,
    options: &'a Options,
}

impl Job<'_> {
    fn run(&self, place: &Place, watch: &mut Watch<'_>) -> Result<Outcome> {
        let opened = Directory::open(files::parent_of(place.path()))?;
        let directory = &opened;
        files::sweep(directory, self.backup.catalog.live());
        let mut outcome = self.outcome(place.path())?;
        match place {
            Place::New(path) => {
                space::for_new(directory.path(), self.entry)?;
                let rebuilt = self.rebuilt(directory, &mut outcome, watch)?;
                self.requeue(&rebuilt, &mut outcome, watch)?;
                self.keep(&rebuilt).merge(&[], watch)?;
                self.sync(&rebuilt, watch)?;
                self.place_new(rebuilt, path, self.ownership())?;
            }
            Place::Existing(path) => self.replace(path, directory, &mut outcome, watch)?,
        }
        Ok(outcome)
    }

    fn replace(
        &self,
        path: &Path,
        directory: &Directory,
        outcome: &mut Outcome,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let seen = directory.metadata_of(path)?.and_then(|found| found.identity());
        let target = live::Target::open(self.caller, path, watch)?;
        match &target {
            Some(target) => space::for_live(directory.path(), self.entry, target, &target.safety_directory(watch)?)?,
            None => space::for_new(directory.path(), self.entry)?,
        }
        let rebuilt = self.rebuilt(directory, outcome, watch)?;
        self.requeue(&rebuilt, outcome, watch)?;
        let keep = self.keep(&rebuilt);
        let Some(target) = target else {
            keep.merge(&[], watch)?;
            self.sync(&rebuilt, watch)?;
            let aside = destination::move_aside(self.caller, directory, path, seen, watch)?;
            outcome.moved_aside = Some(files::text_of(&aside));
            let like = Ownership::of_replaced(directory, &aside).or_else(|| self.ownership());
            return self
                .place_new(rebuilt, path, like)
                .map_err(|error| error.advice(destination::moved_aside_advice(&aside)));
        };
        target.refuse_encoding(&rebuilt, self.entry)?;
        if outcome.page_count == 1 {
            grow(&rebuilt, watch)?;
        }
        let page_size = target.page_size();
        if page_size != outcome.page_size {
            outcome.add_note(convert(&rebuilt, page_size, watch)?);
            outcome.page_size = page_size;
        }
        let mut notes = Vec::from_iter(identity::change(target.state.name.as_ref(), &rebuilt));
        let (saved, page_count) = target.replace_content(&keep, &mut notes, watch)?;
        outcome.safety_backup = Some(files::text_of(&saved));
        outcome.page_count = page_count;
        notes.into_iter().for_each(|note| outcome.add_note(note));
        Ok(())
    }

    fn keep<'a>(&'a self, rebuilt: &'a Staged) -> Keep<'a> {
        Keep { rebuilt, entry: self.entry, now: self.caller.now() }
    }

    /// Rebuilds the backup's database in `directory` and checks it.
    fn rebuilt(&self, directory: &Directory, outcome: &mut Outcome, watch: &mut Watch<'_>) -> Result<Staged> {
        let rebuilt = rebuild::rebuild(&self.backup, directory, watch).map_err(|error| self.damaged(error, watch))?;
        // A foreign backup may be marked for WAL mode; the target decides.
        let mut file = rebuilt.handle()?;
        let marked = file.seek(SeekFrom::Start(18)).and_then(|_| file.write_all(&[1, 1]));
        marked.map_err(|error| Error::io("rebuild", rebuilt.path(), &error))?;
        let found = findings::check_database(&rebuilt.handle()?, rebuilt.path(), self.entry, Level::Quick, watch);
        let error = match found {
            Ok(found) => {
                outcome.note = found.verification_note();
                let Some(first) = found.findings.first() else { return Ok(rebuilt) };
                Error::corrupt(format!(
                    "'{}' is not a sound database, so it was not restored: {first}",
                    self.entry.backup_path
                ))
            }
            Err(error) => error,
        };
        // Its pages are as written: only this older SQLite calls them damaged.
        let by_older = self.entry.content_digest.is_some() && newer_sqlite::is_newer(&rebuilt.handle()?, self.entry);
        Err(if by_older { error } else { self.damaged(error, watch) })
    }

    /// Records damage, and adds the name of a sound backup. A missing file may come back.
    fn damaged(&self, error: Error, watch: &mut Watch<'_>) -> Error {
        if error.is_damage() {
            let _ = verify::record_damage(self.found, self.caller, watch);
        }
        alternative::named(error, self.caller, self.found, watch)
    }

    fn requeue(&self, rebuilt: &Staged, outcome: &mut Outcome, watch: &mut Watch<'_>) -> Result<()> {
        if self.options.requeue_leases.unwrap_or(false) {
            let done = change(rebuilt, watch, |conn| requeue::requeue_all(conn, self.caller.now()))?;
            outcome.requeued = Some(done.requeued);
            if let Some(note) = done.note() {
                outcome.add_note(note);
            }
        }
        Ok(())
    }

    fn sync(&self, rebuilt: &Staged, watch: &mut Watch<'_>) -> Result<()> {
        watch.begin(Phase::Syncing, rebuilt.length()?, rebuild::geometry_of(self.entry)?.page_size)?;
        rebuilt.sync()?;
        watch.finish()
    }

    /// Renames the rebuilt database to a new target.
    fn place_new(&self, rebuilt: Staged, path: &Path, like: Option<Ownership>) -> Result<()> {
        if let Some(like) = like {
            rebuilt.permit(&like)?;
        }
        rebuilt.sync()?;
        match rebuilt.place(path, false)? {
            Placed::Durable => Ok(()),
            Placed::Fragile(error) => {
                Err(error.context(format!("'{}' is restored, but may not survive a power cut", path.display())))
            }
            Placed::Taken => Err(super::take::names::taken(path)),
        }
    }

    /// The owner and permissions for a new target: the caller's database's, else the backup's.
    fn ownership(&self) -> Option<Ownership> {
        let of_backup = || self.backup.catalog.metadata_of(&self.backup.path_of(self.entry)).ok().flatten();
        self.caller.ownership().or_else(|| of_backup().as_ref().map(Ownership::of_backup))
    }

    fn outcome(&self, target: &Path) -> Result<Outcome> {
        let geometry = rebuild::geometry_of(self.entry)?;
        Ok(Outcome {
            id: self.entry.id.clone(),
            backup_path: self.entry.shown(self.backup.catalog.directory()).backup_path,
            created_at: self.entry.created_at.clone(),
            age_seconds: clock::parse_rfc3339(&self.entry.created_at)
                .map(|made| (self.caller.now() - made).num_seconds()),
            target_path: files::text_of(target),
            page_count: geometry.page_count,
            page_size: geometry.page_size,
            ..Outcome::default()
        })
    }
}
