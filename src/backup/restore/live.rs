//! Replacing the content of a database that others may be using, as one transaction.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::ffi;

use crate::backup::options::Options;
use crate::backup::verify::is_damage;
use crate::backup::{artifact, create};
use crate::connection::{Caller, RETRY, Sidecar, read_pragma};
use crate::error::{Error, Result};
use crate::files;
use crate::host::Transaction;
use crate::progress::Watch;
use crate::upkeep::checkpoint;

/// Pages between two looks at the clock and the caller.
const STEP: i32 = 1024;

/// A database whose content is to be replaced.
pub struct Target<'a> {
    caller: &'a Caller,
    path: PathBuf,
    writer: Sidecar,
    wal: bool,
}

impl<'a> Target<'a> {
    /// Opens the database at `path`; `None` when it is too broken to be one.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` when the caller itself is in the way; what SQLite says to opening it.
    pub fn open(caller: &'a Caller, path: &Path, watch: &mut Watch<'_>) -> Result<Option<Self>> {
        if caller.file().is_some_and(|own| files::same_file(&own, path)) {
            check_caller(caller)?;
        }
        let writer = Sidecar::open_writer(caller, path)?;
        let deadline = Instant::now() + caller.patience();
        let journal: String = loop {
            match read_pragma(writer.connection(), "journal_mode").and_then(|mode| {
                let tables: i64 =
                    writer.connection().query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
                Ok((mode, tables))
            }) {
                Ok((mode, _)) => break mode,
                Err(error) if is_damage(&error) => return Ok(None),
                Err(error) if error.primary_code() == ffi::SQLITE_BUSY && Instant::now() < deadline => {
                    watch.pause(RETRY)?
                }
                Err(error) => return Err(error.context(format!("cannot restore into '{}'", path.display()))),
            }
        };
        let wal = journal.eq_ignore_ascii_case("wal");
        Ok(Some(Self { caller, path: path.to_path_buf(), writer, wal }))
    }

    /// Its page size.
    ///
    /// # Errors
    ///
    /// What SQLite says.
    pub fn page_size(&self) -> Result<u32> {
        read_pragma(self.writer.connection(), "page_size")
    }

    /// Saves what the database holds, then gives it the content of the plain database at `source`; the path of what was
    /// saved.
    ///
    /// # Errors
    ///
    /// What the parts say; the database then has its old content.
    pub fn receive(mut self, source: &Path, watch: &mut Watch<'_>) -> Result<String> {
        let source = artifact::open_immutable(source)?;
        let deadline = Instant::now() + self.caller.patience();
        let saved = if self.wal {
            let backup = Backup::new(&source, self.writer.connection_mut())?;
            // The first page takes the write lock; nobody commits from here on.
            step(&backup, 1, deadline, watch)?;
            let saved = save(self.caller, &self.path)?;
            pour(&backup, deadline, watch)?;
            saved
        } else {
            self.writer.begin_immediate(deadline, watch)?;
            let saved = save(self.caller, &self.path);
            self.writer.connection().execute_batch("ROLLBACK")?;
            let saved = saved?;
            let backup = Backup::new(&source, self.writer.connection_mut())?;
            pour(&backup, deadline, watch)?;
            saved
        };
        if self.wal {
            // The content is safe in the WAL; a checkpoint that cannot be made now will be made by the next writer.
            let _ = checkpoint::passive(self.caller, &self.path, watch);
        }
        Ok(saved)
    }
}

/// What the caller holds must not be what we would wait for.
fn check_caller(caller: &Caller) -> Result<()> {
    let standing = match caller.standing() {
        Ok(standing) => standing,
        // The target is broken, which is found out again and dealt with.
        Err(error) if is_damage(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let reads_in_rollback = standing.transaction == Transaction::Read && !standing.wal();
    if standing.exclusive || standing.transaction == Transaction::Write || reads_in_rollback {
        let reason = standing.in_the_way().unwrap_or_else(|| {
            "this connection's own open write transaction is in the way; COMMIT or ROLLBACK it and call again".into()
        });
        return Err(Error::busy(format!("cannot restore into this connection's own database: {reason}")));
    }
    Ok(())
}

/// Backs up what the database at `path` holds, as `before_restore`; where.
fn save(caller: &Caller, path: &Path) -> Result<String> {
    let other;
    let holder = if caller.file().is_some_and(|own| files::same_file(&own, path)) {
        caller
    } else {
        other = caller.beside(path)?;
        &other
    };
    let taken = create::backup(holder, None, &Options::named("before_restore"), None)
        .map_err(|error| error.context("cannot save the present content first, so nothing was restored"))?;
    Ok(taken.entry.backup_path)
}

fn pour(backup: &Backup<'_, '_>, deadline: Instant, watch: &mut Watch<'_>) -> Result<()> {
    while !step(backup, STEP, deadline, watch)? {
        let progress = backup.progress();
        let total = u64::try_from(progress.pagecount).unwrap_or_default();
        let left = u64::try_from(progress.remaining).unwrap_or_default();
        watch.progress(total.saturating_sub(left), total)?;
    }
    Ok(())
}

/// One step; true when all is done and committed. Locks of others are waited for here, since the backup API's busy handler gives
/// up in the middle.
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
