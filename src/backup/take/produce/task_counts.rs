//! Counts a snapshot's tasks while its pages are read.
//!
//! # Promise
//!
//! The count is of that very snapshot. Dropping a [`Counting`] ends it at once, with its thread and
//! connection.
//!
//! # How
//!
//! A million tasks are counted in some hundredths of a second with an index; without one it takes as long as
//! reading them all. So a second connection with the same snapshot
//! ([`Snapshot::twin`](crate::backup::snapshot::Snapshot::twin)) counts them on its own thread.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rusqlite::InterruptHandle;

use crate::backup::pipeline::threads;
use crate::connection::Sidecar;
use crate::error::Result;
use crate::progress::Watch;
use crate::queue::counts;

/// The tasks by status; `None` without a task table with a status.
pub type Counts = Option<counts::Counts>;

/// A count in progress.
pub struct Counting {
    answer: Receiver<Result<Counts>>,
    interrupt: InterruptHandle,
    thread: Option<JoinHandle<()>>,
}

impl Counting {
    /// Starts counting on `twin`. `None` if no thread can be started.
    pub fn start(twin: Sidecar) -> Option<Self> {
        let interrupt = twin.connection().get_interrupt_handle();
        let (send, answer) = sync_channel(1);
        let thread = threads::spawn("queuekeeper-count", move || {
            let counts = counts::by_status(twin.connection());
            drop(twin);
            // The receiver is gone if the backup was cancelled.
            let _ = send.send(counts);
        });
        Some(Self { answer, interrupt, thread: Some(thread.ok()??) })
    }

    /// Waits for the count. Fails if interrupted; a failed count is the inner error.
    pub fn finish(self, watch: &mut Watch<'_>) -> Result<Result<Counts>> {
        threads::wait_for(&self.answer, watch)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.interrupt.interrupt();
        if let Some(thread) = self.thread.take() {
            // The receiver notices a panic.
            let _ = thread.join();
        }
    }
}
