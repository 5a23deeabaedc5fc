//! Writes the artifact under a temporary name: full, incremental or snapshot, plain or compressed.
//!
//! # Promise
//!
//! The artifact is complete, durable, and of one snapshot; its hashes and checksum describe the file on disk.
//! It has the permissions and the owner of the database ([`Ownership`](crate::files::Ownership)).
//!
//! # How
//!
//! `full` and `incremental` read the snapshot's pages ([`pages`]), `snapshot` is SQLite's `VACUUM INTO`
//! ([`vacuum_into`]). A file that was not hashed while it was written is synced, and at the same time read
//! back from the page cache.

mod pages;
mod task_counts;
mod vacuum_into;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ffi};

use self::task_counts::Counts;
use super::Job;
use crate::backup::artifact::compression::{self, Compression};
use crate::backup::artifact::kind::{Geometry, Kind};
use crate::backup::artifact::{self, Fingerprint, PageHash};
use crate::backup::catalog::bounded;
use crate::backup::catalog::entry::Entry;
use crate::backup::pipeline::early_sync;
use crate::backup::pipeline::threads;
use crate::clock;
use crate::error::{Error, Result};
use crate::files::{self, Staged};
use crate::host::{self, disk_errors};
use crate::json::object::Object;
use crate::memory;
use crate::phase::Phase;
use crate::progress::Watch;
use crate::queue::counts;

/// An artifact that is not yet published.
pub struct Produced {
    pub staged: Staged,
    /// Complete but for what publishing adds: name, path and hash file.
    pub entry: Entry,
    /// One for each page.
    pub hashes: Vec<PageHash>,
    /// For how long writers may have been blocked.
    pub blocked_ms: u64,
    pub notes: Vec<String>,
    /// The entries among which its chain is; empty if it builds on none.
    pub known: Vec<Entry>,
}

/// What is read from the snapshot before it is closed.
struct Noted {
    task_counts: Counts,
    taken_at: DateTime<Utc>,
    blocked_ms: u64,
}

impl Job<'_> {
    /// Produces the artifact. A failure leaves nothing behind.
    pub(super) fn produce(&self, watch: &mut Watch<'_>) -> Result<Produced> {
        match self.options.kind {
            Kind::Snapshot => self.vacuum_into(watch),
            Kind::Full | Kind::Incremental => self.walk(watch),
        }
    }

    /// The entry of an artifact with all pages.
    fn entry(&self, kind: Kind, noted: &Noted, geometry: Geometry, digest: String, file: Fingerprint) -> Entry {
        let compression = self.options.compression.0;
        Entry {
            id: uuid::Uuid::new_v4().to_string(),
            backup_type: kind.word().into(),
            name: self.options.name.clone(),
            queue_name: self.source.name().map(str::to_owned),
            source_path: self.source.path().to_owned(),
            created_at: clock::rfc3339(noted.taken_at),
            size_bytes: file.size,
            compressed: compression != Compression::None,
            compression: compression.word().into(),
            checksum: file.checksum,
            database_version: Some(database_version()),
            page_count: Some(geometry.page_count),
            page_size: Some(geometry.page_size),
            content_digest: Some(digest),
            pages_stored: Some(geometry.page_count),
            task_counts: noted.task_counts.as_ref().map(Object::from),
            ..Entry::default()
        }
    }

    /// Compresses the file, if requested.
    fn compressed(&self, plain: Staged, page_size: u32, watch: &mut Watch<'_>) -> Result<Staged> {
        if self.options.compression.0 == Compression::None {
            return Ok(plain);
        }
        let staged = Staged::new(self.catalog.opened()?)?;
        watch.begin(Phase::Compressing, plain.length()?, page_size)?;
        compression::compress_file(
            &plain.handle()?,
            &staged.handle()?,
            self.options.compression,
            &self.target.shown,
            watch,
        )?;
        Ok(staged)
    }

    fn check_space(&self, needed: u64) -> Result<()> {
        let advice = "free some space there or choose another directory";
        files::require_space(self.catalog.directory(), needed, "backup", advice)
    }

    /// Sets the database's permissions and owner.
    fn permit(&self, staged: &Staged) -> Result<()> {
        self.caller.ownership().map_or(Ok(()), |like| staged.permit(&like))
    }

    /// Syncs the file and hashes it at the same time.
    fn sync_and_hash(&self, staged: &Staged, page_size: u32, watch: &mut Watch<'_>) -> Result<Fingerprint> {
        self.permit(staged)?;
        let mut file = staged.handle()?;
        watch.begin(Phase::Syncing, staged.length()?, page_size)?;
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("queuekeeper-sync".into());
            let syncing =
                memory::look_for(threads::STACK).and_then(|()| thread.spawn_scoped(scope, || staged.sync()));
            let fingerprint = artifact::fingerprint(&mut file, &self.target.shown, watch);
            if fingerprint.is_err() {
                early_sync::give_up(&file);
            }
            let synced = match syncing {
                Ok(syncing) => syncing.join(),
                // Without a thread, one after the other.
                Err(_) => Ok(staged.sync()),
            };
            match synced {
                Ok(synced) => synced.and(fingerprint),
                Err(_) => Err(Error::internal("the thread that syncs the backup panicked")),
            }
        })
    }
}

/// Counts the tasks by status.
fn counts(conn: &Connection, notes: &mut Vec<String>, watch: &mut Watch<'_>) -> Result<Counts> {
    known(watch.run(conn, || counts::by_status(conn))?.map_err(|error| disk_errors::told(conn, error)), notes)
}

/// Turns a failed count into a note: it must not fail the backup.
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

/// The version of SQLite that made the backup.
pub fn database_version() -> String {
    format!("SQLite {}", host::sqlite_version())
}
