//! Taking a backup: from the caller's words to an entry in the catalog.
//!
//! # Promise
//!
//! - The artifact is one snapshot (see [`snapshot`](super::snapshot)), durable on disk before it gets its name, and in
//!   the catalog as soon as it has it. At any crash there is the old state or the new one, and at worst a temporary
//!   file, which the next run sweeps.
//! - A failure leaves no file and no directory behind, and never touches the database.
//! - With `verify`, an artifact that fails the verification never gets a name.
//!
//! # How
//!
//! 1. Read and refuse: arguments, target, catalog.
//! 2. Snapshot: count the tasks, walk the pages into a temporary file in the target's directory, let go of the
//!    database.
//! 3. Sync the file to disk and, at the same time, read it back from the page cache for its SHA-256. Page 1 comes last,
//!    so hashing while writing is not possible; a disk is slower than the hash, so it costs next to nothing.
//! 4. Verify, if asked.
//! 5. Under the catalog's lock: write the new catalog aside, put the artifact in place, put the catalog in place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::artifact::{self, Fingerprint, PlainWriter};
use super::catalog::{Catalog, Writer};
use super::entry::Entry;
use super::sink::Geometry;
use super::snapshot::Snapshot;
use super::target::{self, Target};
use super::verify::{self, Expected, Level};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, LiveFiles, MadeDirectories, Staged};
use crate::progress::{Listener, Watch};
use crate::queue::depth;
use crate::{clock, settings};

/// The options of a backup, as JSON spells them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"name\": \"daily\"}")]
pub struct Options {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    compression: Option<String>,
    level: Option<i64>,
    verify: Option<String>,
    overwrite: Option<bool>,
}

impl Options {
    fn check(&self) -> Result<()> {
        if let Some(name) = &self.name {
            target::check_series(name)?;
        }
        allowed("type", self.kind.as_deref(), &["full"])?;
        allowed("compression", self.compression.as_deref(), &["none"])?;
        if self.level.is_some() {
            return Err(Error::usage("the option level is of use with a compression only; leave it out"));
        }
        allowed("verify", self.verify.as_deref(), &["none", "checksum", "quick", "full"])
    }

    fn verify_level(&self) -> Option<Level> {
        self.verify.as_deref().and_then(Level::from_word)
    }

    fn overwrite(&self) -> bool {
        self.overwrite.unwrap_or(false)
    }
}

fn allowed(option: &str, given: Option<&str>, words: &[&str]) -> Result<()> {
    match given {
        Some(given) if !words.contains(&given) => Err(Error::usage(format!(
            "the option {option} is '{}'; it can be {}",
            given.escape_debug(),
            words.join(", ")
        ))),
        _ => Ok(()),
    }
}

/// Backs up the caller's main database; the catalog object as JSON, with `blocked_writers_ms` (how long writers may have
/// waited: 0 in WAL mode) and perhaps a `note`.
///
/// # Errors
///
/// Anything that the parts say; see the module's head for what an error leaves behind.
pub fn backup<'a>(
    caller: &'a Caller,
    path: Option<&str>,
    options: &Options,
    listener: Option<Listener<'a>>,
) -> Result<String> {
    let started = Instant::now();
    options.check()?;
    let live = LiveFiles::of(caller)?;
    let target = Target::resolve(caller, path)?;
    target.check(&live, options.overwrite())?;
    let budget = settings::number(caller.connection(), settings::WAL_BUDGET_MB)?;
    let made = MadeDirectories::make(&target.directory)?;
    let catalog = Catalog::of(&target.directory, &live)?;
    // A directory whose catalog is none must be refused before the work, not after it.
    catalog.backups()?;
    let mut watch = Watch::new(caller, listener);
    let job = Job { caller, options, target: &target, started };
    let snapshot = Snapshot::take(caller, budget, &mut watch)?;
    let note = snapshot.note();
    let (copy, blocked) = job.copy(snapshot, &mut watch)?;
    let mut entry = job.entry(&copy);
    job.verify(&mut entry, &copy, &mut watch)?;
    let entry = job.publish(copy, entry, &catalog, &mut watch)?;
    made.keep();
    let mut shown = entry.shown(catalog.directory());
    shown.others.insert("blocked_writers_ms".into(), json!(blocked));
    shown.others.extend(note.map(|note| ("note".to_owned(), json!(note))));
    serde_json::to_string(&shown)
        .map_err(|error| Error::internal(format!("the result cannot be written as JSON ({error})")))
}

struct Job<'a> {
    caller: &'a Caller,
    options: &'a Options,
    target: &'a Target,
    started: Instant,
}

/// A snapshot on disk, without a name yet.
struct Copy {
    staged: Staged,
    geometry: Geometry,
    fingerprint: Fingerprint,
    content_digest: String,
    task_counts: Option<Map<String, Value>>,
    taken_at: chrono::DateTime<chrono::Utc>,
    database_version: String,
}

impl Job<'_> {
    fn copy(&self, snapshot: Snapshot<'_>, watch: &mut Watch<'_>) -> Result<(Copy, u64)> {
        let directory = &self.target.directory;
        let needed = u64::from(snapshot.page_count) * u64::from(snapshot.page_size);
        let free = files::free_space(directory)?;
        if free < needed {
            return Err(Error::new(
                rusqlite::ffi::SQLITE_FULL,
                format!(
                    "the backup needs {needed} bytes, but '{}' has {free} left; free some space there or choose \
                     another directory",
                    directory.display()
                ),
            ));
        }
        let task_counts = depth::counts(snapshot.connection())?;
        let staged = Staged::new(directory)?;
        let writer = PlainWriter::new(staged.handle()?, &self.shown_target());
        let writer = Arc::new(Mutex::new(writer));
        let geometry = snapshot.walk(Box::new(Arc::clone(&writer)), watch)?;
        let (taken_at, database_version) = (snapshot.taken_at, snapshot.database_version());
        let blocked = snapshot.release();
        let hashes = writer.lock().unwrap_or_else(PoisonError::into_inner).finish(geometry)?;
        drop(writer);
        if let Some(permissions) = self.source_permissions() {
            staged.permit(permissions)?;
        }
        let fingerprint = self.settle(&staged, watch)?;
        let copy = Copy {
            fingerprint,
            content_digest: artifact::content_digest(geometry, &hashes),
            geometry,
            staged,
            task_counts,
            taken_at,
            database_version,
        };
        Ok((copy, u64::try_from(blocked.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Makes the file durable and hashes it, both at once.
    fn settle(&self, staged: &Staged, watch: &mut Watch<'_>) -> Result<Fingerprint> {
        let path = self.shown_target();
        let mut file = staged.handle()?;
        std::thread::scope(|scope| {
            let syncing = scope.spawn(|| staged.sync());
            let fingerprint = artifact::fingerprint(&mut file, &path, watch);
            match syncing.join() {
                Ok(synced) => synced.and(fingerprint),
                Err(_) => Err(Error::internal("the thread that syncs the backup panicked")),
            }
        })
    }

    fn source_permissions(&self) -> Option<fs::Permissions> {
        let file = self.caller.file()?;
        let found = fs::metadata(file).ok()?;
        Some(found.permissions())
    }

    /// What errors call the file: the name it was asked for, not the temporary one.
    fn shown_target(&self) -> PathBuf {
        match &self.target.file_name {
            Some(name) => self.target.directory.join(name),
            None => self.target.directory.clone(),
        }
    }

    fn entry(&self, copy: &Copy) -> Entry {
        let source = self.caller.file();
        Entry {
            id: uuid::Uuid::new_v4().to_string(),
            backup_type: "full".into(),
            name: self.options.name.clone(),
            source_path: source.map_or_else(String::new, |file| file.to_string_lossy().into_owned()),
            backup_path: String::new(),
            created_at: clock::rfc3339(copy.taken_at),
            size_bytes: copy.fingerprint.size,
            compressed: false,
            compression: "none".into(),
            checksum: copy.fingerprint.checksum.clone(),
            database_version: Some(copy.database_version.clone()),
            page_count: Some(copy.geometry.page_count),
            page_size: Some(copy.geometry.page_size),
            parent_id: None,
            content_digest: Some(copy.content_digest.clone()),
            hash_file_checksum: None,
            pages_stored: Some(copy.geometry.page_count),
            task_counts: copy.task_counts.clone(),
            duration_ms: None,
            verified_at: None,
            verified_level: None,
            object_digest: None,
            others: Map::new(),
        }
    }

    fn verify(&self, entry: &mut Entry, copy: &Copy, watch: &mut Watch<'_>) -> Result<()> {
        let Some(level) = self.options.verify_level() else {
            return Ok(());
        };
        let expected = Expected {
            checksum: &copy.fingerprint.checksum,
            size: copy.fingerprint.size,
            geometry: copy.geometry,
            content_digest: &copy.content_digest,
            task_counts: copy.task_counts.as_ref(),
        };
        let findings = verify::findings(copy.staged.path(), &expected, level, watch)?;
        if let Some(first) = findings.first() {
            return Err(Error::corrupt(format!(
                "the copy of the database is not sound, so it was not kept: {first}{}; check the database itself \
                 with PRAGMA integrity_check",
                match findings.len() {
                    1 => String::new(),
                    count => format!(" (and {} more findings)", count - 1),
                }
            )));
        }
        entry.verified_at = Some(clock::rfc3339(clock::now()));
        entry.verified_level = Some(level.word().into());
        Ok(())
    }

    fn publish(&self, copy: Copy, mut entry: Entry, catalog: &Catalog<'_>, watch: &mut Watch<'_>) -> Result<Entry> {
        let writer = catalog.open(watch)?;
        let overwrite = self.options.overwrite() && self.target.file_name.is_some();
        let name = self.free_name(copy.taken_at, &writer, catalog.directory(), overwrite)?;
        let path = catalog.directory().join(&name);
        entry.backup_path = name;
        let elapsed = self.started.elapsed().as_millis();
        entry.duration_ms = Some(u64::try_from(elapsed).unwrap_or(u64::MAX));
        let staged = writer.stage(&entry, self.source_permissions())?;
        if !copy.staged.place(&path, overwrite)? {
            return Err(target::taken(&path));
        }
        writer.commit(staged).inspect_err(|_| {
            // Without its entry the artifact would be nobody's. One that replaced another stays: it is all there is.
            if !overwrite {
                let _ = fs::remove_file(&path);
            }
        })
    }

    /// The first name that neither the directory nor the catalog has; the writers' lock keeps it free.
    fn free_name(
        &self,
        taken_at: chrono::DateTime<chrono::Utc>,
        writer: &Writer<'_>,
        directory: &Path,
        overwrite: bool,
    ) -> Result<String> {
        let catalogued = writer.backups();
        for name in self.target.names(self.options.name.as_deref(), taken_at) {
            let path = directory.join(&name);
            let exists = fs::symlink_metadata(&path).is_ok();
            let known = catalogued.iter().any(|entry| entry.backup_path == name);
            if overwrite || (self.target.file_name.is_some() && !exists) || !(exists || known) {
                return Ok(name);
            }
        }
        Err(target::taken(&self.shown_target()))
    }
}
