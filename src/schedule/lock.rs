//! The schedule's lock, and the error if it is held for too long.
//!
//! # Promise
//!
//! A call that finds the lock held leaves the work to its holder, silently, for as long as a job may take
//! ([`LONGEST`]). After that it is an error that names the holder if the system knows it: a hanging process,
//! or a stranger who may open the file and locks it, would stop the schedule forever.
//!
//! # How
//!
//! Each call that gets the lock sets its file's time. A begun job is also recorded in the log, which counts
//! if the file belongs to another user and its time cannot be set. A future time comes from a wrong clock,
//! and does not count as recent.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ffi};

use super::job::JOBS;
use super::log::read::job_record;
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::files::{self, Directory, FileLock, Ownership};
use crate::progress::{RETRY, Watch};

/// Longer than any job: enough for a backup, a check and a VACUUM of a terabyte.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// Retries, for holders that cannot set the time and only check whether something is due.
const MOMENT: u32 = 20;

/// Takes the lock of the schedule of `file`; `None` while another process works. Fails with `SQLITE_PROTOCOL`
/// if it has been held for too long.
pub fn take(caller: &Caller, file: &Path) -> Result<Option<FileLock>> {
    let live = caller.live_files()?;
    let directory = Directory::open(files::parent_of(file))?;
    // Whoever may use the database may take the lock, and nobody else.
    let like = Ownership::of_replaced(&directory, file);
    let path = files::with_suffix(file, "-schedule");
    let mut watch = Watch::new(caller, None);
    for _ in 0..MOMENT {
        if let Some(lock) = FileLock::take_if_free(&directory, &path, &live, like.as_ref())? {
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

/// Whether the lock was taken, or a job begun, recently.
fn is_at_work(conn: &Connection, path: &Path) -> Result<bool> {
    let taken = files::look(path)?.and_then(|found| found.modified().ok()).map(DateTime::<Utc>::from);
    if taken.is_none_or(is_recent) {
        return Ok(true);
    }
    for job in &JOBS {
        let record = job_record(conn, job.name)?;
        let begun = record.last_run.as_deref().and_then(clock::parse);
        if record.last_status.as_deref() == Some("running") && begun.is_some_and(is_recent) {
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
