//! Taking a backup: from the caller's words to an entry in the catalog.
//!
//! # Promise
//!
//! - The artifact is one snapshot (see [`snapshot`](super::snapshot)), durable on disk before it gets its name, and in
//!   the catalog as soon as it has it. At any crash there is the old state or the new one, and at worst files that the next
//!   run sweeps or completes.
//! - A failure leaves no file and no directory behind, and never touches the database.
//! - With `verify`, an artifact that fails the verification never gets a name.
//!
//! # How
//!
//! 1. Read and refuse: arguments, target, catalog.
//! 2. [`produce`](self::produce) the artifact's file under a temporary name.
//! 3. Verify it, if asked.
//! 4. [`publish`](self::publish) it under the catalog's lock.
//! 5. Leave a pointer to one that was put [`elsewhere`](super::find::elsewhere).
//!
//! Between 2 and 4 a rotation elsewhere may delete the parent of an incremental. Then it is made again, as a full one.

pub mod destination;
pub mod names;
pub mod options;
pub mod parent;
pub mod produce;
pub mod publish;

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use self::destination::Target;
use self::options::{Options, Wish};
use self::produce::{Order, Produced};
use super::artifact::kind::{Kind, Level};
use super::catalog::Catalog;
use super::catalog::entry::Entry;
use super::find::elsewhere;
use super::find::source::{Made, Source};
use super::json::object::Object;
use super::verify::findings;
use super::warnings::lost_tasks;
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, MadeDirectories};
use crate::progress::{Listener, Watch};

/// A backup that was taken.
pub struct Taken {
    /// The catalog object, with an absolute path.
    pub entry: Entry,
    /// Where the artifact lies: the object's path is text.
    pub place: PathBuf,
    /// How long writers may have waited, in milliseconds: 0 in WAL mode.
    pub blocked_ms: u64,
    /// What the caller should know.
    pub notes: Vec<String>,
    /// That tasks are missing.
    pub warning: Option<String>,
}

impl Taken {
    /// The catalog object as JSON, with `blocked_writers_ms`, and perhaps a `note` and a `warning`, which is in the note, too.
    ///
    /// # Errors
    ///
    /// None that is known.
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

/// What an interrupt leaves behind.
const UNMADE: &str = "no backup was made, call again to start over";

/// Backs up the caller's main database.
///
/// # Errors
///
/// Anything that the parts say; see the module's head for what an error leaves behind.
pub fn backup<'a>(
    caller: &'a Caller,
    path: Option<&str>,
    options: &Options,
    listener: Option<Listener<'a>>,
) -> Result<Taken> {
    let started = Instant::now();
    let mut watch = Watch::new(caller, listener);
    let target = Target::resolve(caller, path, &mut watch)?;
    let mut wish = options.wish(target.file_name.as_deref())?;
    let live = caller.live_files()?;
    target.check(&live, wish.overwrite)?;
    let made = MadeDirectories::make(&target.directory, caller.likeness().as_ref())?;
    let catalog = Catalog::of(&target.directory, &live)?;
    // A directory whose catalog is none must be refused before the work, not after it.
    let source = source_in(caller, options, &catalog, &mut watch)?;
    // What a crash left may be what fills the disk.
    files::sweep(catalog.opened()?, &live);
    let earlier = lost_tasks::earlier(&catalog.backups()?, &source);
    let mut parent_went = None;
    loop {
        let unmade = |error: Error| error.if_interrupted(UNMADE);
        let produced = order(caller, &wish, &catalog, &source, &target).produce(&mut watch).map_err(unmade)?;
        let (blocked_ms, mut notes) = (produced.blocked_ms, produced.notes.clone());
        let verified = check(caller, &produced, &wish, &catalog, &source, &mut notes, &mut watch).map_err(unmade)?;
        notes.extend(parent_went.take());
        let job = publish::Job {
            caller,
            wish: &wish,
            target: &target,
            catalog: &catalog,
            source: &source,
            started,
            verified,
        };
        if let Some(entry) = job.publish(produced, &mut notes, &mut watch).map_err(unmade)? {
            made.keep();
            let place = entry.place(catalog.directory());
            let entry = entry.shown(catalog.directory());
            notes.extend(elsewhere::leave(caller, &entry, &place, &live, &mut watch));
            let asked = !options.is_of_a_restore();
            let counts = entry.task_counts.as_ref().map(Object::fields);
            let warning = asked.then(|| lost_tasks::warning(caller, counts.as_ref(), &earlier, &mut watch)).flatten();
            return Ok(Taken { entry, place, blocked_ms, notes, warning });
        }
        wish.kind = Kind::Full;
        parent_went =
            Some("a full backup instead of an incremental: what it would build on was deleted in the meantime, or would be overwritten".to_owned());
    }
}

/// What the database is known as in this catalog. What a restore saves of a copy is known by its path.
fn source_in(caller: &Caller, options: &Options, catalog: &Catalog<'_>, watch: &mut Watch<'_>) -> Result<Source> {
    let entries = catalog.backups()?;
    let source = Source::of(caller, watch)?;
    match source.clone().among(entries.iter().map(Made::from)) {
        Err(_) if options.is_of_a_restore() => Ok(source.unnamed()),
        settled => settled,
    }
}

fn order<'a>(
    caller: &'a Caller,
    wish: &'a Wish,
    catalog: &'a Catalog<'a>,
    source: &'a Source,
    target: &'a Target,
) -> Order<'a> {
    Order { caller, wish, catalog, source, shown: &target.shown }
}

/// Verifies the artifact where it lies; when that was, and the level that was reached.
fn check(
    caller: &Caller,
    produced: &Produced,
    wish: &Wish,
    catalog: &Catalog<'_>,
    source: &Source,
    notes: &mut Vec<String>,
    watch: &mut Watch<'_>,
) -> Result<Option<(String, Level)>> {
    let Some(level) = wish.verify else { return Ok(None) };
    let entry = publish::entry_of(produced, wish, source);
    let found = findings::findings(catalog, &entry, Some(&produced.staged), level, watch)?.soundness;
    notes.extend(found.verification_note());
    match found.findings.as_slice() {
        [] => Ok(Some((clock::rfc3339(caller.now()), found.level(level)))),
        [first, others @ ..] => {
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
}
