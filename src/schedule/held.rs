//! The lock of the schedule, and the news that somebody has held it for too long.
//!
//! # Promise
//!
//! Whoever finds the lock held leaves the work to its holder, in silence, for as long as a job may take ([`LONGEST`]). After that it is
//! an error, which names the holder as far as the system shows it: a process that hangs, or a stranger who may open the file and locks
//! it, would keep everything from being done for ever.
//!
//! # How
//!
//! Each call that gets the lock sets the time of its file. A job that has begun is in the ledger, too, which counts where the file
//! belongs to somebody else and its time cannot be set. A time in the future is a clock's that was wrong, and no reason for
//! silence.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ffi};

use super::job::JOBS;
use super::log::read::recall;
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, Directory, DirectoryLock, Likeness};
use crate::progress::{RETRY, Watch};

/// Longer than a job may take: a backup, a check and a VACUUM of a terabyte are done in that time.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// How long those may look only whether there is something to do who cannot set the time.
const MOMENT: u32 = 20;

/// Takes the lock of the schedule of the database `file`; `None` while another process is at work.
///
/// # Errors
///
/// `SQLITE_PROTOCOL` if it has been held for too long, `SQLITE_INTERRUPT`, or a lock file that cannot be made.
pub fn take(caller: &Caller, file: &Path) -> Result<Option<DirectoryLock>> {
    let live = caller.live_files()?;
    let directory = Directory::open(files::parent_of(file))?;
    // Whoever may use the database may take it, and nobody else.
    let like = Likeness::of_replaced(&directory, file);
    let path = files::with_suffix(file, "-schedule");
    let mut watch = Watch::new(caller, None);
    for _ in 0..MOMENT {
        if let Some(lock) = DirectoryLock::take_if_free(&directory, &path, &live, like.as_ref())? {
            lock.set_time(&path);
            return Ok(Some(lock));
        }
        if is_at_work(caller.connection(), &path)? {
            return Ok(None);
        }
        watch.pause(RETRY)?;
    }
    Err(too_long(&path))
}

/// Whether the lock was taken, or a job begun, not too long ago.
fn is_at_work(conn: &Connection, path: &Path) -> Result<bool> {
    let taken = files::look(path)?.and_then(|found| found.modified().ok()).map(DateTime::<Utc>::from);
    if taken.is_none_or(is_recent) {
        return Ok(true);
    }
    for job in &JOBS {
        let memory = recall(conn, job.name)?;
        let begun = memory.last_run.as_deref().and_then(clock::parse);
        if memory.last_status.as_deref() == Some("running") && begun.is_some_and(is_recent) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_recent(time: DateTime<Utc>) -> bool {
    (clock::now() - time).abs().to_std().is_ok_and(|age| age <= LONGEST)
}

fn too_long(path: &Path) -> Error {
    let holder = files::holder(&[path.to_path_buf()], true).unwrap_or_else(|| "nobody can be seen who has it".into());
    Error::new(
        ffi::SQLITE_PROTOCOL,
        format!(
            "no job can run: '{}' has been locked for more than {} hours, longer than jobs take ({holder}); end that process, or \
             take the right to open the file from whom it is none of the business",
            path.display(),
            LONGEST.as_secs() / 3600
        ),
    )
}
