//! Checkpoints that never race a commit.
//!
//! # Promise
//!
//! - Modes and numbers are SQLite's (<https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>): `busy` is 1
//!   if the mode could not be completed, `log` counts the frames in the WAL, `checkpointed` those copied to
//!   the database; both are -1 if they are unknown. A note says why, and what to do.
//! - SQLite 3.7.0 to 3.51.2 (except 3.50.7 and 3.44.6) can lose committed pages when a checkpoint overlaps a
//!   commit that resets the WAL after another checkpoint has emptied it
//!   (<https://www.sqlite.org/wal.html#walresetbug>). On such a host, frames are copied only while a
//!   connection of ours or the caller holds the write lock, so that nobody commits.
//! - Waiting for a **writer** is limited by the caller's timeout, can be interrupted, and blocks nobody.
//!   Waiting for a **reader** happens under the write lock, so it ends after [`READERS`]; there is no such
//!   wait if the caller itself reads. Nothing waits for the caller.
//! - At the deadline the file is unchanged. SQLite's own FULL, RESTART and TRUNCATE would go on as PASSIVE
//!   without the lock, and so into the bug.
//!
//! # How
//!
//! One sidecar, the *holder*, takes the write lock with `BEGIN IMMEDIATE`; another, the *worker*, runs a
//! PASSIVE checkpoint. If the caller already has the write lock, the worker runs under that. The lock
//! prevents commits, so PASSIVE, repeated until readers of old snapshots are gone, does what FULL does.
//!
//! RESTART and TRUNCATE must also wait until nobody reads from the WAL, which only SQLite can do. Once all
//! frames are copied, new readers use the database alone, so the wait is short. The holder releases the lock,
//! and the worker runs the real mode, which takes the lock itself. Its busy handler cannot know what it waits
//! for: on expiry it interrupts its own worker, so that SQLite does not go on without the lock. Then the
//! holder tries the lock: if it is free, readers were in the way, else a writer, and everything is repeated.
//!
//! On a host without the bug, PASSIVE runs alone and waits for nobody, as documented; the rest is the same.

mod outcome;

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::ffi;

use outcome::{Counts, NOTHING, pragma};
pub use outcome::{Mode, Outcome, has_wal_reset_bug};

use crate::connection::{Caller, CallerState, Sidecar};
use crate::error::{Error, Result};
use crate::host::{self, Transaction};
use crate::progress::{Listener, Watch};

/// The longest wait for readers; writers wait meanwhile.
const READERS: Duration = Duration::from_millis(100);

/// Between two checks for readers.
const LOOK: Duration = Duration::from_millis(2);

/// The longest wait for a writer after an operation of ours: the next checkpoint will do.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// Checkpoints the caller's main database; PASSIVE by default. Fails if the caller has exclusive access and
/// an open transaction.
pub fn checkpoint<'a>(caller: &'a Caller, mode: Option<&str>, listener: Option<Listener<'a>>) -> Result<Outcome> {
    let mode = mode.map_or(Ok(Mode::Passive), Mode::from_word)?;
    let Some(file) = caller.file() else {
        return Ok(mode.nothing("a database without a file has no WAL"));
    };
    let mut watch = Watch::new(caller, listener);
    caller.check_in_place()?;
    let mut caller_state = caller.state()?;
    if caller_state.readonly {
        return Err(CallerState::read_only("checkpoint"));
    }
    if !caller_state.journal.is_empty() && !caller_state.wal() {
        return Ok(mode.no_wal(&caller_state));
    }
    if caller_state.unlocked {
        return alone(caller, &caller_state, mode);
    }
    let worker = Sidecar::open_writer(caller, &file)?;
    match worker.begin_read(caller, &mut caller_state, &mut watch) {
        Ok(()) => worker.connection().execute_batch("COMMIT")?,
        Err(error) if caller_state.exclusive && error.primary_code() == ffi::SQLITE_BUSY => {
            return alone(caller, &caller_state, mode);
        }
        Err(error) => return Err(error),
    }
    if !caller_state.wal() {
        return Ok(mode.no_wal(&caller_state));
    }
    Work::new(caller, &file, worker, caller_state.transaction, caller.patience())?
        .run(mode, &mut watch)
        .map_err(|error| error.if_interrupted("a part of the WAL may have been copied, call again for the rest"))
}

/// Checkpoints `file`, a database in WAL mode, after an operation of ours, with a short wait for others.
/// `own` is the caller's open transaction on it.
pub fn afterwards(
    caller: &Caller,
    file: &Path,
    mode: Mode,
    own: Transaction,
    watch: &mut Watch<'_>,
) -> Result<Outcome> {
    let worker = Sidecar::open_writer(caller, file)?;
    Work::new(caller, file, worker, own, AFTERWARDS)?.run(mode, watch)
}

/// Checkpoints on the caller's own connection, which has exclusive access.
fn alone(caller: &Caller, caller_state: &CallerState, mode: Mode) -> Result<Outcome> {
    if caller_state.transaction != Transaction::None {
        return Err(Error::busy(caller_state.in_the_way().unwrap_or_default()));
    }
    let counts = pragma(caller.connection(), mode)?;
    Ok(counts.outcome(mode, counts.busy, None))
}

struct Work {
    holder: Sidecar,
    worker: Sidecar,
    own: Transaction,
    readers: Duration,
    patience: Duration,
    deadline: Instant,
}

impl Work {
    fn new(caller: &Caller, file: &Path, worker: Sidecar, own: Transaction, patience: Duration) -> Result<Self> {
        Ok(Self {
            holder: Sidecar::open_writer(caller, file)?,
            worker,
            own,
            readers: if own == Transaction::Read { Duration::ZERO } else { READERS },
            patience,
            deadline: Instant::now() + patience,
        })
    }

    fn run(&self, mode: Mode, watch: &mut Watch<'_>) -> Result<Outcome> {
        if mode == Mode::Passive && !has_wal_reset_bug(rusqlite::version_number()) {
            let counts = pragma(self.worker.connection(), mode)?;
            return Ok(counts.outcome(mode, counts.busy, counts.another_at_work()));
        }
        loop {
            if !self.lock(watch)? {
                return Ok(self.locked_out(mode));
            }
            let until = Instant::now() + self.readers;
            let counts = self.copy(mode, until, watch);
            self.unlock()?;
            let counts = counts?;
            if mode == Mode::Passive {
                return Ok(counts.outcome(mode, counts.busy, counts.another_at_work()));
            }
            if !counts.complete() || mode == Mode::Full {
                let busy = i64::from(!counts.complete());
                return Ok(counts.outcome(mode, busy, (busy != 0).then(|| self.reader(counts))));
            }
            if self.own == Transaction::Write {
                return Ok(counts.outcome(mode, 1, Some(OWN_WRITE.into())));
            }
            if let Some(counts) = self.restart(mode, until)? {
                return Ok(counts.outcome(mode, 0, None));
            }
            if !self.somebody_writes(watch)? || Instant::now() >= self.deadline {
                return Ok(counts.outcome(mode, 1, Some(self.reader(counts))));
            }
            watch.check()?;
        }
    }

    /// Takes the write lock; `false` if a writer keeps it.
    fn lock(&self, watch: &mut Watch<'_>) -> Result<bool> {
        if self.own == Transaction::Write {
            return Ok(true);
        }
        match self.holder.begin_immediate(self.deadline, watch) {
            Ok(()) => Ok(true),
            Err(error) if error.primary_code() == ffi::SQLITE_BUSY => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn unlock(&self) -> Result<()> {
        if self.own != Transaction::Write {
            self.holder.connection().execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    /// Copies under the write lock: once (PASSIVE), or until all is copied or the wait for readers is over.
    fn copy(&self, mode: Mode, until: Instant, watch: &mut Watch<'_>) -> Result<Counts> {
        loop {
            let counts = pragma(self.worker.connection(), Mode::Passive)?;
            if mode == Mode::Passive || counts.complete() || Instant::now() >= until {
                return Ok(counts);
            }
            watch.pause(LOOK)?;
        }
    }

    /// RESTART or TRUNCATE after all is copied; `None` if others were in the way.
    fn restart(&self, mode: Mode, until: Instant) -> Result<Option<Counts>> {
        let conn = self.worker.connection();
        let interrupt = conn.get_interrupt_handle();
        let mut again = |_attempts| {
            if Instant::now() < until {
                std::thread::sleep(LOOK);
                return true;
            }
            // Else SQLite would go on without the lock.
            interrupt.interrupt();
            false
        };
        match host::while_busy(conn, &mut again, || pragma(conn, mode)) {
            Ok(counts) => Ok((counts.busy == 0).then_some(counts)),
            Err(error) if error.primary_code() == ffi::SQLITE_INTERRUPT => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn somebody_writes(&self, watch: &mut Watch<'_>) -> Result<bool> {
        match self.holder.begin_immediate(Instant::now(), watch) {
            Ok(()) => self.unlock().map(|()| false),
            Err(error) if error.primary_code() == ffi::SQLITE_BUSY => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn locked_out(&self, mode: Mode) -> Outcome {
        let note = format!(
            "another connection kept the write lock for {} ms, so nothing was copied; try again when it has committed, or raise \
             PRAGMA busy_timeout",
            self.patience.as_millis()
        );
        NOTHING.outcome(mode, 1, Some(note))
    }

    /// The note on why it is incomplete although the write lock was free.
    fn reader(&self, counts: Counts) -> String {
        if let Some(note) = counts.another_at_work() {
            return note;
        }
        match self.own {
            Transaction::Read => {
                "this connection itself, or another one, still reads from the WAL; finish its open statements or transaction and \
                 call again"
            }
            _ => "another connection still reads from the WAL; call again when its transaction has ended",
        }
        .into()
    }
}

const OWN_WRITE: &str = "this connection's own open write transaction uses the WAL, so it cannot be started anew; COMMIT or \
                         ROLLBACK it and call again";
