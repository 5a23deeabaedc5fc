//! Making the artifact's file, under a temporary name: the three kinds, plain or compressed.
//!
//! # Promise
//!
//! What comes out is complete, durable, and of one snapshot; its hashes and its checksum are of what lies on disk. It has the
//! permissions of the database.
//!
//! # How
//!
//! `full` and `incremental` are walks of the snapshot's pages; nothing but the artifact is written. (A compressed delta is
//! written plain first: it is small.) `snapshot` is SQLite's own `VACUUM INTO` on a sidecar, which does not sync its file and
//! renumbers the rows of tables without an INTEGER PRIMARY KEY; so we sync, and name such tables in a note.
//!
//! The file is synced and read back from the page cache for its SHA-256 at the same time. Page 1 comes last, so hashing while
//! writing is not possible; a disk is slower than the hash, so it costs next to nothing.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ffi};
use serde_json::{Map, Value};

use super::artifact::{self, Fingerprint, PageHash};
use super::catalog::Catalog;
use super::delta::{DeltaWriter, Parent};
use super::frames::{self, Compression};
use super::full::FullWriter;
use super::options::{Kind, Wish};
use super::parent;
use super::sink::Geometry;
use super::snapshot::Snapshot;
use crate::connection::{Caller, Sidecar, read_pragma};
use crate::error::{Error, Result};
use crate::files::{self, Staged};
use crate::host;
use crate::progress::Watch;
use crate::queue::depth;
use crate::schema;
use crate::settings::{self, Settings};

/// What to make, and where.
pub struct Order<'a> {
    /// Who asks; its main database is the source.
    pub caller: &'a Caller,
    /// What is asked for.
    pub wish: &'a Wish,
    /// The directory that the artifact is to lie in.
    pub catalog: &'a Catalog<'a>,
    /// What errors call the file.
    pub shown: &'a Path,
}

/// An artifact without a name yet.
pub struct Produced {
    /// Its file.
    pub staged: Staged,
    /// What it became: an incremental may have had to be full.
    pub kind: Kind,
    /// The shape of the database.
    pub geometry: Geometry,
    /// The hash of each page.
    pub hashes: Vec<PageHash>,
    /// The file's checksum and length.
    pub fingerprint: Fingerprint,
    /// The pages' digest.
    pub content_digest: String,
    /// Pages in the file.
    pub pages_stored: u32,
    /// What it builds on.
    pub parent_id: Option<String>,
    /// Tasks by status.
    pub task_counts: Option<Map<String, Value>>,
    /// When the snapshot was taken.
    pub taken_at: DateTime<Utc>,
    /// How long writers may have waited.
    pub blocked_ms: u64,
    /// What the caller should know.
    pub notes: Vec<String>,
}

/// The source's path as SQLite names it, empty for a database without a file.
pub fn source_path(caller: &Caller) -> String {
    caller.file().map_or_else(String::new, |file| file.to_string_lossy().into_owned())
}

impl Order<'_> {
    /// Makes the artifact.
    ///
    /// # Errors
    ///
    /// What the parts say. Nothing is left behind.
    pub fn produce(&self, watch: &mut Watch<'_>) -> Result<Produced> {
        match self.wish.kind {
            Kind::Snapshot => self.vacuum_into(watch),
            Kind::Full | Kind::Incremental => self.walk(watch),
        }
    }

    fn walk(&self, watch: &mut Watch<'_>) -> Result<Produced> {
        let snapshot = Snapshot::take(self.caller, watch)?;
        let mut notes: Vec<String> = snapshot.note().into_iter().map(str::to_owned).collect();
        let mut parent = None;
        if self.wish.kind == Kind::Incremental {
            let full_every = Settings::of(snapshot.connection())?.positive(&settings::FULL_EVERY)?;
            let (source, name) = (source_path(self.caller), self.wish.name.as_deref());
            match parent::find(self.catalog, &source, name, snapshot.page_size, full_every)? {
                Ok(found) => parent = Some(found),
                Err(reason) => notes.push(format!("a full backup instead of an incremental: {reason}")),
            }
        }
        let task_counts = counts(snapshot.connection(), &mut notes, watch)?;
        let taken_at = snapshot.taken_at;
        let walked = match parent {
            Some(parent) => self.walk_delta(snapshot, parent, watch)?,
            None => self.walk_full(snapshot, watch)?,
        };
        let staged = walked.staged;
        let fingerprint = self.settle(&staged, watch)?;
        Ok(Produced {
            kind: if walked.parent_id.is_some() { Kind::Incremental } else { Kind::Full },
            staged,
            geometry: walked.geometry,
            hashes: walked.hashes,
            fingerprint,
            content_digest: walked.content_digest,
            pages_stored: walked.pages_stored,
            parent_id: walked.parent_id,
            task_counts,
            taken_at,
            blocked_ms: walked.blocked_ms,
            notes,
        })
    }

    fn walk_full(&self, snapshot: Snapshot<'_>, watch: &mut Watch<'_>) -> Result<Walked> {
        if self.wish.compression.0 == Compression::None {
            self.check_space(u64::from(snapshot.page_count) * u64::from(snapshot.page_size))?;
        }
        let staged = Staged::new(self.catalog.directory())?;
        let writer = FullWriter::new(staged.handle()?, self.shown, self.wish.compression)?;
        let writer = Arc::new(Mutex::new(writer));
        let geometry = snapshot.walk(Box::new(Arc::clone(&writer)), watch)?;
        let blocked_ms = released(snapshot);
        let hashes = lock(&writer).finish(geometry)?;
        Ok(Walked {
            content_digest: artifact::content_digest(geometry, &hashes),
            staged,
            geometry,
            hashes,
            pages_stored: geometry.page_count,
            parent_id: None,
            blocked_ms,
        })
    }

    fn walk_delta(&self, snapshot: Snapshot<'_>, parent: Parent, watch: &mut Watch<'_>) -> Result<Walked> {
        let parent_id = parent.id.clone();
        let plain = Staged::new(self.catalog.directory())?;
        let writer = Arc::new(Mutex::new(DeltaWriter::new(plain.path(), self.shown, parent)?));
        let geometry = snapshot.walk(Box::new(Arc::clone(&writer)), watch)?;
        let blocked_ms = released(snapshot);
        let hashes = lock(&writer).hashes(geometry);
        let content_digest = artifact::content_digest(geometry, &hashes);
        let pages_stored = lock(&writer).finish(geometry, &content_digest)?;
        drop(writer);
        Ok(Walked {
            staged: self.compressed(plain, watch)?,
            geometry,
            hashes,
            content_digest,
            pages_stored,
            parent_id: Some(parent_id),
            blocked_ms,
        })
    }

    fn vacuum_into(&self, watch: &mut Watch<'_>) -> Result<Produced> {
        let mut standing = self.caller.standing()?;
        if standing.alone() {
            let reason = standing.in_the_way().unwrap_or_default();
            return Err(Error::busy(format!("type snapshot needs a second connection: {reason}; or use type full")));
        }
        let sidecar = Sidecar::open_reader(self.caller, &standing)?;
        sidecar.begin_read(self.caller, &mut standing, watch)?;
        let conn = sidecar.connection();
        let size = read_pragma::<i64>(conn, "page_count")? * read_pragma::<i64>(conn, "page_size")?;
        self.check_space(size.unsigned_abs())?;
        let mut notes: Vec<String> = standing.note().into_iter().map(str::to_owned).collect();
        notes.extend(renumbered(conn)?);
        // VACUUM holds a read transaction of its own, and refuses to run inside another.
        conn.execute_batch("COMMIT; PRAGMA query_only=OFF")?;
        let plain = Staged::new(self.catalog.directory())?;
        let (taken_at, since) = (self.caller.now(), Instant::now());
        sidecar.vacuum_into(self.caller, plain.path(), watch)?;
        let held = if standing.wal() { 0 } else { since.elapsed().as_millis() };
        drop(sidecar);
        let copy = artifact::open_immutable(plain.path())?;
        let task_counts = counts(&copy, &mut notes, watch)?;
        let page_size: u32 = read_pragma(&copy, "page_size")?;
        drop(copy);
        let hashes = artifact::page_hashes(&mut plain.handle()?, self.shown, page_size, watch)?;
        let page_count = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
        let geometry = Geometry { page_size, page_count };
        let staged = self.compressed(plain, watch)?;
        Ok(Produced {
            fingerprint: self.settle(&staged, watch)?,
            kind: Kind::Snapshot,
            staged,
            geometry,
            content_digest: artifact::content_digest(geometry, &hashes),
            hashes,
            pages_stored: page_count,
            parent_id: None,
            task_counts,
            taken_at,
            blocked_ms: u64::try_from(held).unwrap_or(u64::MAX),
            notes,
        })
    }

    /// The file itself, or its compressed copy.
    fn compressed(&self, plain: Staged, watch: &mut Watch<'_>) -> Result<Staged> {
        if self.wish.compression.0 == Compression::None {
            return Ok(plain);
        }
        let staged = Staged::new(self.catalog.directory())?;
        frames::compress_file(&plain.handle()?, &staged.handle()?, self.wish.compression, self.shown, watch)?;
        Ok(staged)
    }

    fn check_space(&self, needed: u64) -> Result<()> {
        let advice = "free some space there or choose another directory";
        files::require_space(self.catalog.directory(), needed, "backup", advice)
    }

    /// Makes the file durable and hashes it, both at once.
    fn settle(&self, staged: &Staged, watch: &mut Watch<'_>) -> Result<Fingerprint> {
        if let Some(found) = self.caller.file().and_then(|file| fs::metadata(file).ok()) {
            staged.permit(found.permissions())?;
        }
        let mut file = staged.handle()?;
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("queuekeeper-sync".into());
            let syncing = thread.spawn_scoped(scope, || staged.sync());
            let fingerprint = artifact::fingerprint(&mut file, self.shown, watch);
            let synced = match syncing {
                Ok(syncing) => syncing.join(),
                // No thread to be had: one after the other, then.
                Err(_) => Ok(staged.sync()),
            };
            match synced {
                Ok(synced) => synced.and(fingerprint),
                Err(_) => Err(Error::internal("the thread that syncs the backup panicked")),
            }
        })
    }
}

/// What a walk leaves.
struct Walked {
    staged: Staged,
    geometry: Geometry,
    hashes: Vec<PageHash>,
    content_digest: String,
    pages_stored: u32,
    parent_id: Option<String>,
    blocked_ms: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn released(snapshot: Snapshot<'_>) -> u64 {
    u64::try_from(snapshot.release().as_millis()).unwrap_or(u64::MAX)
}

/// The tasks by status. What keeps them from being counted must not keep the database from being saved, but be known.
fn counts(conn: &Connection, notes: &mut Vec<String>, watch: &mut Watch<'_>) -> Result<Option<Map<String, Value>>> {
    match watch.over(conn, || depth::counts(conn))? {
        Err(error) if !matches!(error.primary_code(), ffi::SQLITE_NOMEM | ffi::SQLITE_INTERRUPT) => {
            notes.push(format!("the tasks could not be counted: {error}"));
            Ok(None)
        }
        counts => counts,
    }
}

/// A note on the tables whose rows `VACUUM INTO` may number anew.
fn renumbered(conn: &Connection) -> Result<Option<String>> {
    let tables = schema::tables_without_own_rowid(conn)?;
    Ok((!tables.is_empty()).then(|| {
        format!(
            "rows of tables without an INTEGER PRIMARY KEY may have got new rowids: {}; use type full where rowids matter",
            tables.join(", ")
        )
    }))
}

/// The version of the SQLite that made it.
pub fn database_version() -> String {
    format!("SQLite {}", host::sqlite_version())
}
