//! Checkpoints that never race a commit.
//!
//! # Promise
//!
//! SQLite 3.7.0 to 3.51.2 (but for 3.50.7 and 3.44.6) can lose committed pages when a checkpoint overlaps another one and a
//! commit that resets the WAL (<https://www.sqlite.org/releaselog/3_51_3.html>). So while one sidecar copies the WAL into the
//! database, another holds the write lock: nobody commits meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::connection::{Caller, Sidecar};
use crate::error::{Error, Result};
use crate::progress::Watch;

/// Waiting for a writer longer than this is not worth it: the next checkpoint will do.
const PATIENCE: Duration = Duration::from_millis(500);

/// Copies what it can of the WAL of `file` into the database, without waiting for readers. True when all of it was copied.
///
/// # Errors
///
/// `SQLITE_BUSY` when a writer keeps the lock, or what SQLite says.
pub fn passive(caller: &Caller, file: &Path, watch: &mut Watch<'_>) -> Result<bool> {
    let holder = Sidecar::open_writer(caller, file)?;
    let worker = Sidecar::open_writer(caller, file)?;
    holder.begin_immediate(Instant::now() + PATIENCE, watch)?;
    let copied = worker.connection().query_row("PRAGMA main.wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    holder.connection().execute_batch("ROLLBACK")?;
    let (busy, log, checkpointed) =
        copied.map_err(|error| Error::from(error).context("cannot checkpoint the WAL"))?;
    Ok(busy == 0 && log == checkpointed)
}
