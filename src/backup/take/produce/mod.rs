//! Making the artifact's file, under a temporary name: the three kinds, plain or compressed.
//!
//! # Promise
//!
//! What comes out is complete, durable, and of one snapshot; its hashes and its checksum are of what lies on disk. It has the
//! permissions and the owner of the database ([`Likeness`](crate::files::Likeness)).
//!
//! # How
//!
//! `full` and `incremental` are walks of the snapshot's pages ([`pages`]), `snapshot` is SQLite's own `VACUUM INTO`
//! ([`vacuum_into`]). A file whose SHA-256 was not made while it was written is synced and read back from the page cache at the same
//! time.

mod pages;
mod task_counts;
mod vacuum_into;

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ffi};

use self::task_counts::Counts;
use super::options::Wish;
use crate::backup::artifact::compression::{self, Compression};
use crate::backup::artifact::kind::{Geometry, Kind};
use crate::backup::artifact::{self, Fingerprint, PageHash};
use crate::backup::catalog::Catalog;
use crate::backup::find::source::Source;
use crate::backup::json::bounded;
use crate::backup::pipeline;
use crate::backup::pipeline::early_sync;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, Staged};
use crate::host::{self, disk_errors};
use crate::memory;
use crate::progress::Watch;
use crate::queue::counts;

/// What to make, and where.
pub struct Order<'a> {
    /// Who asks; its main database is the source.
    pub caller: &'a Caller,
    /// What is asked for.
    pub wish: &'a Wish,
    /// The directory that the artifact is to lie in.
    pub catalog: &'a Catalog<'a>,
    /// What the caller's database is known as.
    pub source: &'a Source,
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
    pub task_counts: Counts,
    /// When the snapshot was taken.
    pub taken_at: DateTime<Utc>,
    /// How long writers may have waited.
    pub blocked_ms: u64,
    /// What the caller should know.
    pub notes: Vec<String>,
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

    /// The file itself, or its compressed copy.
    fn compressed(&self, plain: Staged, watch: &mut Watch<'_>) -> Result<Staged> {
        if self.wish.compression.0 == Compression::None {
            return Ok(plain);
        }
        let staged = Staged::new(self.catalog.opened()?)?;
        compression::compress_file(&plain.handle()?, &staged.handle()?, self.wish.compression, self.shown, watch)?;
        Ok(staged)
    }

    fn check_space(&self, needed: u64) -> Result<()> {
        let advice = "free some space there or choose another directory";
        files::require_space(self.catalog.directory(), needed, "backup", advice)
    }

    /// Gives the file the permissions of the database, and its owner.
    fn permit(&self, staged: &Staged) -> Result<()> {
        self.caller.likeness().map_or(Ok(()), |like| staged.permit(&like))
    }

    /// Makes the file durable and reads it for its fingerprint, both at once.
    fn settle(&self, staged: &Staged, watch: &mut Watch<'_>) -> Result<Fingerprint> {
        self.permit(staged)?;
        let mut file = staged.handle()?;
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("queuekeeper-sync".into());
            let syncing =
                memory::look_for(pipeline::STACK).and_then(|()| thread.spawn_scoped(scope, || staged.sync()));
            let fingerprint = artifact::fingerprint(&mut file, self.shown, watch);
            if fingerprint.is_err() {
                early_sync::give_up(&file);
            }
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

/// The tasks by status.
fn counts(conn: &Connection, notes: &mut Vec<String>, watch: &mut Watch<'_>) -> Result<Counts> {
    known(watch.over(conn, || counts::by_status(conn))?.map_err(|error| disk_errors::told(conn, error)), notes)
}

/// What keeps the tasks from being counted must not keep the database from being saved, but be known.
fn known(counted: Result<Counts>, notes: &mut Vec<String>) -> Result<Counts> {
    match counted {
        Err(error) if !matches!(error.primary_code(), ffi::SQLITE_NOMEM | ffi::SQLITE_INTERRUPT) => {
            notes.push(format!("the tasks could not be counted: {error}"));
            Ok(None)
        }
        Ok(Some(counts)) if bounded::has_too_many(&counts) => {
            notes.push(format!(
                "the tasks are not counted: there are {} statuses; look whether column_status names the right column",
                counts.len()
            ));
            Ok(None)
        }
        counts => counts,
    }
}

/// The version of the SQLite that made it.
pub fn database_version() -> String {
    format!("SQLite {}", host::sqlite_version())
}
