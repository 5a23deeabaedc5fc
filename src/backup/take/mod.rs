//! Takes a backup: from the arguments to an entry in the catalog.
//!
//! # Promise
//!
//! - The artifact is one snapshot (see [`snapshot`](super::snapshot)). It is durable before it is renamed
//!   into place, and listed in the catalog right after. A crash leaves the old state or the new one, and at
//!   worst files that the next run removes or completes.
//! - A failure leaves no file and no directory behind, and never changes the database.
//! - With `verify`, an artifact that fails the verification is never renamed into place.
//!
//! # How
//!
//! 1. Check the arguments, the target and the catalog.
//! 2. [`produce`] the artifact under a temporary name, and its entry.
//! 3. Verify both, if requested.
//! 4. [`publish`] both under the catalog's lock.
//! 5. If the target is not in the default directory, record it [`elsewhere`].
//!
//! Between 2 and 4 another process's rotation may delete an incremental's parent. Then a full backup is made
//! instead.

pub mod destination;
pub mod names;
pub mod options;
pub mod parent;
pub mod produce;
pub mod publish;

use std::path::PathBuf;
use std::time::Instant;

use rusqlite::ffi;
use serde_json::json;

use self::destination::Target;
use self::options::{Options, ResolvedOptions};
use self::produce::Produced;
use super::artifact::kind::Kind;
use super::catalog::entry::Entry;
use super::catalog::{Backup, Catalog};
use super::find::elsewhere;
use super::find::source::{Made, Source};
use super::verify::findings;
use super::warnings::lost_tasks;
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, MadeDirectories};
use crate::json::object::Object;
use crate::progress::{Listener, Watch};

pub struct Taken {
    /// With an absolute path.
    pub entry: Entry,
    /// The artifact's path; the entry's is text.
    pub place: PathBuf,
    /// For how long writers may have been blocked; 0 in WAL mode.
    pub blocked_ms: u64,
    pub notes: Vec<String>,
    /// Set if tasks are missing.
    pub warning: Option<String>,
}

impl Taken {
    /// The entry as JSON, with `blocked_writers_ms`, and `note` and `warning` if there are any. A warning is
    /// in the note, too.
    pub fn json(mut self) -> Result<String> {
        self.entry.others.insert("blocked_writers_ms", &json!(self.blocked_ms));
        if self.entry.queue_name.is_none() {
            self.entry.others.insert("queue_name", &json!(null));
        }
        if let Some(warning) = self.warning {
            self.entry.others.insert("warning", &json!(warning));
            self.notes.insert(0, warning);
        }
        if !self.notes.is_empty() {
            self.entry.others.insert("note", &json!(self.notes.join("; ")));
        }
        crate::json::text(&self.entry)
    }
}

/// A backup in progress: its arguments, and what is read before the pages.
pub struct Job<'a> {
    /// Its main database is the source.
    caller: &'a Caller,
    options: ResolvedOptions,
    target: Target,
    catalog: &'a Catalog<'a>,
    /// The entries before the lock was taken.
    listed: Vec<Entry>,
    source: Source,
    started: Instant,
    /// Whether it saves a database before a restore.
    of_restore: bool,
    /// Why a full backup replaces an incremental.
    instead: Option<&'static str>,
}

const UNMADE: &str = "no backup was made, call again to start over";

const PARENT_WENT: &str = "a full backup instead of an incremental: what it would build on was deleted in the meantime, or would be overwritten";

/// Backs up the caller's main database.
pub fn backup<'a>(
    caller: &'a Caller,
    path: Option<&str>,
    options: &Options,
    listener: Option<Listener<'a>>,
) -> Result<Taken> {
    watched(caller, path, options, &mut Watch::new(caller, listener))
}

/// The same as part of another operation. The watch's caller may be another one.
pub fn watched(caller: &Caller, path: Option<&str>, options: &Options, watch: &mut Watch<'_>) -> Result<Taken> {
    let started = Instant::now();
    let target = Target::resolve(caller, path, watch)?;
    let resolved = options.resolve(target.file_name.as_deref())?;
    let live = caller.live_files()?;
    target.check(&live, resolved.overwrite)?;
    let made = MadeDirectories::make(&target.directory, caller.ownership().as_ref())?;
    let catalog = Catalog::of(&target.directory, &live)?;
    // Fail early on an unusable manifest.
    let listed = catalog.read()?.backups;
    let source = source_among(caller, options, &listed, watch)?;
    // A crash's leftovers may be what fills the disk.
    files::sweep(catalog.opened()?, &live);
    let of_restore = options.is_of_a_restore();
    let mut job = Job {
        caller,
        options: resolved,
        target,
        catalog: &catalog,
        listed,
        source,
        started,
        of_restore,
        instead: None,
    };
    let mut taken = loop {
        if let Some(taken) = job.attempt(watch).map_err(|error| error.if_interrupted(UNMADE))? {
            break taken;
        }
        (job.options.kind, job.instead) = (Kind::Full, Some(PARENT_WENT));
    };
    made.keep();
    taken.notes.extend(elsewhere::add_pointer(caller, &taken.entry, &taken.place, &live, watch));
    if !of_restore {
        let counts = taken.entry.task_counts.as_ref().map(Object::fields);
        let earlier = lost_tasks::earlier(&job.listed, &job.source);
        taken.warning = lost_tasks::warning(caller, counts.as_ref(), &earlier, watch);
    }
    Ok(taken)
}

/// The database's identity in this catalog. A copy that a restore saves is identified by its path.
fn source_among(caller: &Caller, options: &Options, listed: &[Entry], watch: &mut Watch<'_>) -> Result<Source> {
    let source = Source::of(caller, watch)?;
    match source.clone().resolved_in(listed.iter().map(Made::from)) {
        Err(_) if options.is_of_a_restore() => Ok(source.unnamed()),
        settled => settled,
    }
}

impl Job<'_> {
    /// Takes the backup; `None` if it must be a full one.
    fn attempt(&self, watch: &mut Watch<'_>) -> Result<Option<Taken>> {
        let mut produced = self.produce(watch)?;
        if let Err(error) = self.verify(&mut produced, watch) {
            let may_lack_parent = produced.entry.parent_id.is_some() && error.primary_code() != ffi::SQLITE_INTERRUPT;
            // Without its parent it can be neither verified nor published.
            let lacks_parent = may_lack_parent
                && self.catalog.read().is_ok_and(|listing| parent::is_gone(&produced.entry, &listing.backups));
            return if lacks_parent { Ok(None) } else { Err(error) };
        }
        produced.notes.extend(self.instead.map(str::to_owned));
        self.publish(produced, watch)
    }

    /// Verifies the staged artifact, if requested.
    fn verify(&self, produced: &mut Produced, watch: &mut Watch<'_>) -> Result<()> {
        let Some(level) = self.options.verify else { return Ok(()) };
        let Produced { staged, entry, notes, known, .. } = produced;
        let backup = Backup { catalog: self.catalog, known, entry, staged: Some(staged) };
        let found = findings::check_backup(&backup, level, watch)?.soundness;
        notes.extend(found.verification_note());
        let Some((first, others)) = found.findings.split_first() else {
            let now = clock::rfc3339(self.caller.now());
            entry.record(Some((&now, found.level(level).word())), &now);
            return Ok(());
        };
        let more = match others.len() {
            0 => String::new(),
            count => format!(" (and {count} more findings)"),
        };
        Err(Error::corrupt(format!(
            "the copy of the database is not sound, so it was not kept: {first}{more}; check the database itself with \
             PRAGMA integrity_check"
        )))
    }
}
