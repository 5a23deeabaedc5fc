//! Counting the tasks of a snapshot while its pages are read.
//!
//! # Promise
//!
//! What is counted is the very snapshot. A [`Counting`] that is dropped ends at once, and leaves no thread and no connection.
//!
//! # How
//!
//! A million tasks take some hundredths of a second to count along an index, and without one as long as reading them all. So a
//! second connection that sees the same snapshot ([`Snapshot::twin`](crate::backup::snapshot::Snapshot::twin)) counts them on a
//! thread of its own.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rusqlite::InterruptHandle;

use crate::backup::pipeline::threads;
use crate::connection::Sidecar;
use crate::error::Result;
use crate::progress::Watch;
use crate::queue::counts;

/// The tasks by status, `None` without a task table that has a status.
pub type Counts = Option<counts::Counts>;

/// Counting that is going on.
pub struct Counting {
    answer: Receiver<Result<Counts>>,
    interrupt: InterruptHandle,
    thread: Option<JoinHandle<()>>,
}

impl Counting {
    /// Begins to count what `twin` sees. `None` when the system gives no thread.
    pub fn start(twin: Sidecar) -> Option<Self> {
        let interrupt = twin.connection().get_interrupt_handle();
        let (send, answer) = sync_channel(1);
        let thread = threads::spawn("queuekeeper-count", move || {
            let counts = counts::by_status(twin.connection());
            drop(twin);
            // Nobody listens any more when the backup was given up.
            let _ = send.send(counts);
        });
        Some(Self { answer, interrupt, thread: Some(thread.ok()??) })
    }

    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// `SQLITE_INTERRUPT`; what counting itself came to is in the answer.
    pub fn finish(self, watch: &mut Watch<'_>) -> Result<Result<Counts>> {
        threads::wait_for(&self.answer, watch)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.interrupt.interrupt();
        if let Some(thread) = self.thread.take() {
            // A panic is known to who waits for the answer.
            let _ = thread.join();
        }
    }
}
