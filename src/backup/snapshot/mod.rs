//! Passes every page of one snapshot to a visitor, without a copy of the database on disk.
//!
//! # Promise
//!
//! - The pages are those of **one commit**, whatever other connections commit meanwhile.
//! - The walk **always finishes**: it never restarts. `sqlite3 .backup` and `Connection.backup(pages=100, …)`
//!   restart whenever another process has committed, since they release the database between their steps
//!   (<https://www.sqlite.org/backup.html>); here one read transaction spans all pages.
//! - In WAL mode other connections read and write undisturbed; only the WAL cannot be reset until the walk
//!   ends, so a budget ends the walk if the WAL grows by more. With a rollback journal, writers wait until
//!   the walk ends.
//! - The caller's interrupt ends it between two steps (at most a few megabytes).
//!
//! # How
//!
//! A sidecar begins a read transaction, which pins the snapshot. Its pages are read directly from the files
//! that SQLite has open (see [`direct`] for why that is safe). If that is not possible, the sidecar is the
//! source of SQLite's backup API, with a [`Sink`] as the destination. Databases without a file, without
//! locks (`nolock`), and those in `locking_mode=EXCLUSIVE`, are read through the caller's own connection: during our function its mutex is
//! held, so no one else can use it.
//!
//! Both ways deliver the same pages: page 1 comes last, as SQLite's backup API would write it.

pub mod backup_api;
mod direct;
mod reader_vfs;
pub mod visitor;
mod wal_frames;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use self::backup_api::Sink;
use self::direct::DirectReader;
use self::visitor::PageVisitor;
use super::artifact::kind::Geometry;
use crate::connection::{Caller, CallerState, Sidecar, encrypted, read_pragma};
use crate::error::{Error, Result};
use crate::files;
use crate::host::{Transaction, threads};
use crate::progress::Watch;
use crate::settings::{self, Settings};

/// Bytes between two checks of the clock, the caller and the WAL: about a millisecond's work.
const STEP_BYTES: u32 = 4 << 20;
/// The byte that SQLite locks; its page has no content: <https://www.sqlite.org/fileformat2.html>, section
/// 1.4.
const LOCK_BYTE: u32 = 1 << 30;

/// The page of the lock byte, which SQLite never uses: no artifact contains it.
pub(super) fn lock_byte_page(page_size: u32) -> u32 {
    LOCK_BYTE / page_size + 1
}

/// A snapshot, held until dropped.
pub struct Snapshot<'c> {
    source: Source<'c>,
    straight: Option<DirectReader>,
    wal: Option<WalBudget>,
    pub taken_at: DateTime<Utc>,
    /// The caller's state at that time.
    pub caller_state: CallerState,
    /// In bytes.
    pub page_size: u32,
    pub page_count: u32,
    since: Instant,
}

enum Source<'c> {
    Sidecar(Sidecar),
    Caller(&'c Connection),
}

struct WalBudget {
    path: PathBuf,
    limit: u64,
    budget_mb: u64,
}

impl WalBudget {
    /// The limit of a database's WAL from now on.
    fn of(database: &Path, budget_mb: u64) -> Result<Self> {
        let path = files::with_suffix(database, "-wal");
        let limit = files::length(&path)?.saturating_add(budget_mb.saturating_mul(1 << 20));
        Ok(Self { path, limit, budget_mb })
    }
}

impl<'c> Snapshot<'c> {
    /// Takes a snapshot of the caller's main database. Fails with `SQLITE_BUSY` if the caller blocks itself,
    /// or others block it for longer than its busy timeout.
    pub fn take(caller: &'c Caller, watch: &mut Watch<'_>) -> Result<Self> {
        let mut caller_state = caller.state()?;
        let file = caller.file();
        let own = file.is_none()
            || (caller_state.excludes_others() && caller_state.transaction != Transaction::Write)
            || caller_state.unlocked;
        let source = if own {
            if caller_state.transaction == Transaction::Write {
                let reason = caller_state.in_the_way().filter(|_| file.is_some());
                return Err(Error::busy(reason.unwrap_or_else(|| {
                    "this in-memory database has an open write transaction; COMMIT or ROLLBACK it and call again"
                        .into()
                })));
            }
            encrypted::refuse(caller)?;
            caller.refuse_unseen()?;
            Source::Caller(caller.connection())
        } else {
            let sidecar = open(caller, &caller_state)?;
            sidecar.begin_read(caller, &mut caller_state, watch)?;
            Source::Sidecar(sidecar)
        };
        let taken_at = caller.now();
        let conn = source.connection();
        let wal_budget_mb = Settings::of(conn)?.positive(&settings::WAL_BUDGET_MB)?;
        let wal = file.filter(|_| caller_state.wal()).map(|file| WalBudget::of(&file, wal_budget_mb)).transpose()?;
        let page_size = read_pragma(conn, "page_size")?;
        let page_count = read_pragma(conn, "page_count")?;
        let straight = match &source {
            Source::Sidecar(sidecar) if page_count > 0 => {
                DirectReader::find(sidecar.connection(), caller_state.wal(), page_size)?
            }
            _ => None,
        };
        Ok(Self { page_size, page_count, source, straight, wal, taken_at, caller_state, since: Instant::now() })
    }

    /// A connection that sees the snapshot, for reading other data to be recorded.
    pub fn connection(&self) -> &Connection {
        self.source.connection()
    }

    /// The size of all pages.
    pub fn bytes(&self) -> u64 {
        u64::from(self.page_count) * u64::from(self.page_size)
    }

    /// Page 1 as the walk will deliver it, if it can be predicted.
    pub fn expected_page_one(&self) -> Result<Option<Vec<u8>>> {
        let Some(straight) = &self.straight else { return Ok(None) };
        let page = straight.page_one(self.connection())?;
        Ok(Some(backup_api::expected_page_one(page, self.page_count)))
    }

    /// A second connection with the same snapshot, for another thread. `None` if no second connection can be
    /// opened, or it cannot be proved to see the same snapshot.
    pub fn twin(&self, caller: &Caller) -> Option<Sidecar> {
        let Source::Sidecar(sidecar) = &self.source else { return None };
        if self.straight.is_none() || !threads::allowed() {
            return None;
        }
        let twin = open(caller, &self.caller_state).ok()?;
        if !twin.try_begin_read() {
            return None;
        }
        // With a rollback journal, this snapshot's lock has kept writers out.
        let same = !self.caller_state.wal() || reader_vfs::same_snapshot(sidecar.connection(), twin.connection());
        same.then_some(twin)
    }

    /// Passes every page to `visitor`. Fails with `SQLITE_FULL` if the WAL exceeds its budget.
    pub fn walk(&self, visitor: Box<dyn PageVisitor>, watch: &mut Watch<'_>) -> Result<Geometry> {
        match &self.straight {
            Some(straight) => self.walk_direct(straight, visitor, watch),
            None => self.walk_sqlite(visitor, watch),
        }
    }

    fn walk_direct(
        &self,
        straight: &DirectReader,
        mut visitor: Box<dyn PageVisitor>,
        watch: &mut Watch<'_>,
    ) -> Result<Geometry> {
        let conn = self.connection();
        let lock_byte_page = lock_byte_page(self.page_size);
        let mut next = 2;
        while next <= self.page_count {
            if next == lock_byte_page {
                next += 1;
                continue;
            }
            let end = if next < lock_byte_page { self.page_count.min(lock_byte_page - 1) } else { self.page_count };
            let mut fill = |first, buffer: &mut [u8]| straight.read(conn, first, buffer);
            next += visitor.run(next, end - next + 1, self.page_size as usize, &mut fill)?;
            watch.reach(u64::from(next - 1) * u64::from(self.page_size))?;
            self.check_wal()?;
        }
        let first = straight.page_one(conn)?;
        visitor.page(1, &backup_api::expected_page_one(first, self.page_count))?;
        Ok(Geometry { page_size: self.page_size, page_count: self.page_count })
    }

    fn walk_sqlite(&self, visitor: Box<dyn PageVisitor>, watch: &mut Watch<'_>) -> Result<Geometry> {
        let sink = Sink::new(visitor);
        let mut target = sink.connect()?;
        let copied = self.copy(&mut target, watch);
        if let Err(error) = copied {
            drop(target);
            return Err(sink.take_error().unwrap_or(error));
        }
        drop(target);
        let geometry = sink.finish()?;
        // An empty file is a database of no pages; its copy gets page 1.
        if geometry.page_count != self.page_count.max(1) {
            return Err(Error::internal(format!(
                "the page walk delivered {} of {} pages",
                geometry.page_count, self.page_count
            )));
        }
        Ok(geometry)
    }

    fn copy(&self, target: &mut Connection, watch: &mut Watch<'_>) -> Result<()> {
        let pages_a_step = match self.source {
            Source::Sidecar(_) => i32::try_from((STEP_BYTES / self.page_size.max(512)).max(16)).unwrap_or(16),
            // The caller's connection has no transaction of ours between steps, and a shared cache may have
            // other users. So there is only one step.
            Source::Caller(_) => -1,
        };
        let backup = Backup::new(self.source.connection(), target)
            .map_err(|error| encrypted::refused_backup(self.source.connection(), error.into()))?;
        loop {
            let step = backup
                .step(pages_a_step)
                .map_err(|error| Error::from(error).explained().context("cannot read the database"))?;
            let progress = backup.progress();
            let total = u64::try_from(progress.pagecount).unwrap_or_default();
            let left = u64::try_from(progress.remaining).unwrap_or_default();
            match step {
                StepResult::Done => return watch.finish(),
                StepResult::More => watch.reach(total.saturating_sub(left) * u64::from(self.page_size))?,
                _ => return Err(Error::busy("the database is locked although a snapshot of it is held")),
            }
            self.check_wal()?;
        }
    }

    fn check_wal(&self) -> Result<()> {
        let Some(wal) = &self.wal else { return Ok(()) };
        if files::length(&wal.path)? <= wal.limit {
            return Ok(());
        }
        Err(Error::new(
            rusqlite::ffi::SQLITE_FULL,
            format!(
                "the WAL '{}' grew by more than {} MB while the backup held its snapshot; back up to a faster disk or \
                 at a quieter time, or raise the setting wal_budget_mb",
                wal.path.display(),
                wal.budget_mb
            ),
        ))
    }

    /// Releases the snapshot; returns for how long writers may have been blocked (zero in WAL mode).
    pub fn release(self) -> Duration {
        let held = self.since.elapsed();
        if self.caller_state.wal() || matches!(self.source, Source::Caller(_)) { Duration::ZERO } else { held }
    }

    /// A note on the snapshot for the result.
    pub fn note(&self) -> Option<&'static str> {
        self.caller_state.note()
    }
}

/// Opens a sidecar, on the reader VFS if possible.
fn open(caller: &Caller, caller_state: &CallerState) -> Result<Sidecar> {
    match reader_vfs::name_over(caller.connection()) {
        Some(reader) => Sidecar::open_reader_on(caller, caller_state, Some(reader)),
        None => Sidecar::open_reader(caller, caller_state),
    }
}

impl Source<'_> {
    fn connection(&self) -> &Connection {
        match self {
            Self::Sidecar(sidecar) => sidecar.connection(),
            Self::Caller(conn) => conn,
        }
    }
}
