//! Replaces the content of a database that may be in use, in one transaction.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::ffi;

use super::jobs::{self, Keep};
use super::state::State;
use crate::backup::catalog::entry::Entry;
use crate::backup::find::directory;
use crate::backup::take::options::Options;
use crate::backup::verify::newer_sqlite;
use crate::backup::{artifact, delete, take};
use crate::checkpoint::{self, Mode};
use crate::connection::{Caller, Sidecar, encrypted, read_pragma};
use crate::error::{Error, Result};
use crate::files::{self, Staged};
use crate::host::{self, Transaction, disk_errors};
use crate::phase::Phase;
use crate::progress::{RETRY, Watch};

/// How often to repeat the safety backup when others commit before the content is replaced.
const MOST_ATTEMPTS: usize = 10;

/// SQLite's own busy timeout, during which an interrupt has no effect.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Pages between two checks of the clock and the caller.
const STEP: i32 = 1024;

/// A database whose content will be replaced.
pub struct Target<'a> {
    caller: &'a Caller,
    path: PathBuf,
    writer: Sidecar,
    pub state: State,
}

impl<'a> Target<'a> {
    /// Opens the database at `path`; `None` if it is broken. Fails with `SQLITE_BUSY` if the caller blocks
    /// itself, for a database that is or may be encrypted, and for a schema that only another SQLite can
    /// read.
    pub fn open(caller: &'a Caller, path: &Path, watch: &mut Watch<'_>) -> Result<Option<Self>> {
        if caller.file().is_some_and(|own| files::same_file(&own, path)) {
            check_caller(caller)?;
        } else {
            host::one_sqlite::refuse_other(path)?;
        }
        let writer = Sidecar::open_writer(caller, path)?;
        let deadline = Instant::now() + caller.patience();
        let state = loop {
            let read = State::read(writer.connection());
            // Not after a transient I/O error: a sound database must not be moved away from its users.
            match read.map_err(|error| disk_errors::told(writer.connection(), error)) {
                Ok(state) => break state,
                Err(error) if error.primary_code() == ffi::SQLITE_NOTADB => {
                    newer_sqlite::refuse_format(&disk_errors::beginning(writer.connection()), path)?;
                    refuse_perhaps_encrypted(caller, path)?;
                    return Ok(None);
                }
                Err(error)
                    if newer_sqlite::is_of_schema(&error) && newer_sqlite::can_be_read(writer.connection()) =>
                {
                    return Err(newer_sqlite::refusal_of_target(path, &error));
                }
                Err(error) if error.is_damage() => return Ok(None),
                Err(error) if error.primary_code() == ffi::SQLITE_BUSY && Instant::now() < deadline => {
                    watch.pause(RETRY)?
                }
                Err(error) => return Err(error.context(format!("cannot restore into '{}'", path.display()))),
            }
        };
        Ok(Some(Self { caller, path: path.to_path_buf(), writer, state }))
    }

    pub fn page_size(&self) -> u32 {
        self.state.page_size
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.state.page_size) * u64::from(self.state.page_count)
    }

    pub fn is_wal(&self) -> bool {
        self.state.wal
    }

    /// Refuses a source of another text encoding, which open connections to the target could not use. A
    /// target without any content has no encoding yet.
    pub fn refuse_encoding(&self, source: &Staged, entry: &Entry) -> Result<()> {
        let own = &self.state.encoding;
        let other: String = read_pragma(&artifact::open_immutable(source.handle()?, source.path())?, "encoding")?;
        if *own == other || self.state.empty {
            return Ok(());
        }
        Err(Error::usage(format!(
            "'{}' has the text encoding {other}, and '{}' has {own}; connections that are open would fail until they are opened anew, so \
             nothing was restored; restore into a new file, and put that in its place while nobody has it open",
            entry.backup_path,
            self.path.display()
        )))
    }

    /// The directory of the safety backup.
    pub fn safety_directory(&self, watch: &mut Watch<'_>) -> Result<PathBuf> {
        as_caller(self.caller, &self.path, |holder| directory::default_directory(holder, watch))
    }

    /// Saves the database's content, then replaces it by that of the plain database in `keep`; returns the
    /// safety backup's path, and the count of pages. Adds to `notes`. A failure leaves the old content.
    pub fn replace_content(
        mut self,
        keep: &Keep<'_>,
        notes: &mut Vec<String>,
        watch: &mut Watch<'_>,
    ) -> Result<(PathBuf, u32)> {
        let saved = match self.state.wal {
            true => self.receive_wal(keep, watch)?,
            false => self.receive_rollback(keep, notes, watch)?,
        };
        if self.state.wal {
            // The content is durable in the WAL; if this checkpoint fails, the next writer makes one.
            let _ = checkpoint::afterwards(self.caller, &self.path, Mode::Passive, Transaction::None, watch);
        }
        Ok(saved)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.caller.patience()
    }

    fn receive_wal(&mut self, keep: &Keep<'_>, watch: &mut Watch<'_>) -> Result<(PathBuf, u32)> {
        let deadline = self.deadline();
        let reader = Sidecar::open_writer(self.caller, &self.path)?;
        let rows = |watch: &mut Watch<'_>| {
            watch.run_with_lock(reader.connection(), deadline, || jobs::rows(reader.connection()))?
        };
        for _ in 0..MOST_ATTEMPTS {
            let before = rows(watch)?;
            let source = keep.source(&before, watch)?;
            let backup = Backup::new(&source, self.writer.connection_mut())?;
            // The first page takes the write lock: no one else can commit from here on.
            if step(&backup, 1, deadline, watch)? {
                return Err(Error::internal("a copy of one page was committed before the target was saved"));
            }
            // A job may have ended just before.
            if rows(watch)? == before {
                let saved = save(self.caller, &self.path, watch)?;
                let pages = pour(&backup, self.state.page_size, Instant::now() + self.caller.patience(), watch)?;
                return Ok((saved, pages));
            }
        }
        Err(Error::busy(
            "jobs of the schedule begin and end faster than that is recorded; nothing was restored; try again",
        ))
    }

    /// With a rollback journal the safety backup's lock cannot be kept for the copy, so others may commit in
    /// between. That is detected when the copy has its lock; then everything is repeated.
    fn receive_rollback(
        &self,
        keep: &Keep<'_>,
        notes: &mut Vec<String>,
        watch: &mut Watch<'_>,
    ) -> Result<(PathBuf, u32)> {
        let mut outdated: Option<PathBuf> = None;
        let alone = host::locks_alone(self.writer.connection());
        for _ in 0..MOST_ATTEMPTS {
            self.writer.begin_immediate(self.deadline(), watch)?;
            let version = host::data_version(self.writer.connection());
            let source = keep.source(&jobs::rows(self.writer.connection())?, watch)?;
            if alone {
                // Our own lock would block the backup's reads.
                self.writer.connection().execute_batch("ROLLBACK")?;
            }
            let saved = save(self.caller, &self.path, watch);
            // Still under the lock, unless `alone`: others may commit between it and the copy.
            if let Some(outdated) = outdated.take_if(|_| saved.is_ok()) {
                notes.extend(discard(self.caller, &outdated));
            }
            // SQLite's own wait for readers keeps the lock that blocks writers; our retries would release it.
            self.writer.connection().busy_timeout(self.caller.patience().min(LONGEST_WAIT))?;
            if !alone {
                self.writer.connection().execute_batch("ROLLBACK")?;
            }
            let saved = saved?;
            let deadline = self.deadline();
            let mut target = host::alias(self.writer.connection())?;
            let backup = Backup::new(&source, target.connection_mut())?;
            if step(&backup, 1, deadline, watch)? {
                return Err(Error::internal("a copy of one page was committed before the target was compared"));
            }
            self.writer.connection().busy_timeout(Duration::ZERO)?;
            if host::data_version(self.writer.connection()) == version {
                let pages = pour(&backup, self.state.page_size, Instant::now() + self.caller.patience(), watch)?;
                return Ok((saved, pages));
            }
            outdated = Some(saved);
        }
        Err(Error::busy(
            "other connections commit faster than the present content can be saved; it was saved, but nothing was restored; try \
             again at a quieter time",
        ))
    }
}

/// Without its key, an encrypted database looks broken. If there may be such databases, none is taken for
/// broken.
fn refuse_perhaps_encrypted(caller: &Caller, path: &Path) -> Result<()> {
    if !encrypted::host_encrypts(caller.connection())? {
        return Ok(());
    }
    Err(Error::usage(format!(
        "cannot restore into '{}': it is encrypted with a key that a second connection does not have, or no database any more; if \
         it is broken, move it away, with its -wal and -shm, and call again",
        path.display()
    )))
}

/// Fails if the caller holds locks that the restore would wait for.
fn check_caller(caller: &Caller) -> Result<()> {
    let caller_state = match caller.state() {
        Ok(caller_state) => caller_state,
        // The target is broken, which `open` detects again and handles.
        Err(error) if error.is_damage() => return Ok(()),
        Err(error) => return Err(error),
    };
    caller.check_writable(&caller_state, "restore")?;
    let reads_in_rollback = caller_state.transaction == Transaction::Read && !caller_state.wal();
    if caller_state.exclusive || caller_state.transaction == Transaction::Write || reads_in_rollback {
        let reason = caller_state.in_the_way().unwrap_or_else(|| {
            "this connection's own open write transaction is in the way; COMMIT or ROLLBACK it and call again".into()
        });
        return Err(Error::busy(format!("cannot restore into this connection's own database: {reason}")));
    }
    Ok(())
}

/// Uses the caller if `path` is its own database, else a new caller.
fn as_caller<T>(caller: &Caller, path: &Path, work: impl FnOnce(&Caller) -> Result<T>) -> Result<T> {
    if caller.file().is_some_and(|own| files::same_file(&own, path)) {
        return work(caller);
    }
    caller.beside(path)?.serve(work)
}

/// Takes the backup `before_restore` of the database at `path`; returns its path.
fn save(caller: &Caller, path: &Path, watch: &mut Watch<'_>) -> Result<PathBuf> {
    let options = Options::of_restore();
    let taken = as_caller(caller, path, |holder| take::watched(holder, None, &options, watch))
        .map_err(|error| error.context("cannot save the present content first, so nothing was restored"))?;
    Ok(taken.place)
}

/// Deletes an outdated safety backup; a note, if that fails.
fn discard(caller: &Caller, place: &Path) -> Option<String> {
    let error = delete::at(caller, place).err()?;
    Some(format!("an outdated safety backup could not be deleted: {error}"))
}

/// Copies all pages and commits; returns their count.
fn pour(backup: &Backup<'_, '_>, page_size: u32, deadline: Instant, watch: &mut Watch<'_>) -> Result<u32> {
    let pages = |count| u64::try_from(count).unwrap_or_default();
    let (total, page) = (pages(backup.progress().pagecount), u64::from(page_size));
    watch.begin(Phase::Writing, total * page, page_size)?;
    loop {
        let left = pages(backup.progress().remaining);
        // The last step commits, after which nothing can be undone.
        let done = if left <= STEP.unsigned_abs().into() { total } else { total.saturating_sub(left) };
        watch.reach(done * page)?;
        if step(backup, STEP, deadline, watch)? {
            return Ok(u32::try_from(total).unwrap_or(u32::MAX));
        }
    }
}

/// Copies one step; returns whether the copy is committed. Waits for locks here, since the backup API's busy
/// handler gives up in the middle.
fn step(backup: &Backup<'_, '_>, pages: i32, deadline: Instant, watch: &mut Watch<'_>) -> Result<bool> {
    loop {
        match backup.step(pages).map_err(|error| Error::from(error).context("cannot write the target"))? {
            StepResult::Done => return Ok(true),
            StepResult::More => return Ok(false),
            _ if Instant::now() >= deadline => {
                return Err(Error::busy(
                    "the target is locked by another connection; it has its old content; try again later, or raise PRAGMA \
                     busy_timeout",
                ));
            }
            _ => watch.pause(RETRY)?,
        }
    }
}
