//! The pipeline: passes pages from the thread that reads the snapshot to a worker thread.
//!
//! # Promise
//!
//! - The worker gets every page once, in the order of [`Pipeline::put`], in [`Batch`]es.
//! - Memory is bounded: at most [`BATCHES`] batches of [`BATCH`] bytes exist; a walker that is faster than
//!   the worker waits.
//! - An error or panic of the worker becomes an error of the next [`Pipeline::put`] or of [`Pipeline::wait`].
//! - Dropping the pipeline stops the worker after its current batch, and waits for that.
//! - If no thread can be started (`ulimit -u`), the walking thread does the work itself.
//!
//! # How
//!
//! Only the walking thread calls SQLite, so work without SQLite (hashing, writing, compressing) has its own
//! thread. Batches circulate: the walker fills one, the worker and whoever it passes the batch to process it,
//! and it is sent back to the walker.

pub mod batch;
pub mod buffer;
pub mod early_sync;
pub mod sha256;
pub mod threads;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use self::batch::{BATCH, Batch};
use self::threads::{panicked, spawn, wait_for};
use super::artifact::kind::Geometry;
use super::snapshot::visitor::Fill;
use crate::error::{Error, Result};
use crate::host::threads::lock;
use crate::progress::Watch;

/// Batches in circulation.
const BATCHES: usize = 12;

/// Sends batches back to the walker.
pub type Return = Sender<Batch>;

/// Processes the pages.
pub trait Worker: Send + 'static {
    type Outcome: Send + 'static;

    /// Processes a batch, and sends it back or has it sent back.
    fn work(&mut self, batch: Batch, back: &Return) -> Result<()>;

    /// Ends the work after the last page.
    fn end(self, geometry: Geometry) -> Result<Self::Outcome>;
}

enum Parcel {
    Pages(Batch),
    End(Geometry),
}

/// Processes a parcel; returns whether it takes more.
type Attend = Box<dyn FnMut(Parcel) -> bool + Send>;

/// The receiver of parcels.
enum To {
    Thread(SyncSender<Parcel>),
    /// Without a thread.
    Hand(Attend),
    Nobody,
}

/// The walker's end.
pub struct Pipeline<T> {
    current: Option<Batch>,
    to: To,
    from: Receiver<Batch>,
    made: usize,
    stop: Arc<AtomicBool>,
    outcome: Receiver<Result<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Pipeline<T> {
    /// Starts `worker`.
    pub fn start(worker: impl Worker<Outcome = T>) -> Result<Self> {
        let (to, parcels) = sync_channel(BATCHES);
        let (back, from) = channel();
        let (answer, outcome) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        // A failed spawn drops its closure, so the worker is passed through a slot that survives it.
        let waiting = Arc::new(Mutex::new(Some(attending(worker, back, answer))));
        let (stopped, handed) = (Arc::clone(&stop), Arc::clone(&waiting));
        let thread = spawn("queuekeeper-backup", move || {
            let Some(mut attend) = lock(&handed).take() else { return };
            let _ = parcels.iter().all(|parcel| !stopped.load(Ordering::Relaxed) && attend(parcel));
        })?;
        let to = match &thread {
            Some(_) => To::Thread(to),
            None => lock(&waiting).take().map_or(To::Nobody, To::Hand),
        };
        Ok(Self { current: None, to, from, made: 0, stop, outcome, thread })
    }

    /// Appends a page.
    pub fn put(&mut self, number: u32, content: &[u8]) -> Result<()> {
        if self.current.as_mut().is_some_and(|batch| batch.take(number, content)) {
            return Ok(());
        }
        self.send_current()?;
        let mut batch = self.empty()?;
        if !batch.take(number, content) {
            return Err(Error::internal("a page is larger than a batch of pages"));
        }
        self.current = Some(batch);
        Ok(())
    }

    /// Appends pages from `first` on, at most `most` and as many as fit a batch, which `fill` writes into its
    /// buffer; returns their count.
    pub fn run(&mut self, first: u32, most: u32, page_size: usize, fill: Fill<'_>) -> Result<u32> {
        self.send_current()?;
        let mut batch = self.empty()?;
        let count = most.min(u32::try_from(BATCH / page_size.max(1)).unwrap_or(u32::MAX));
        fill(first, batch.room(first, count, page_size)?)?;
        self.send(Parcel::Pages(batch))?;
        Ok(count)
    }

    /// Ends the pages. The worker completes its work in the background, until [`Pipeline::wait`].
    pub fn end(&mut self, geometry: Geometry) -> Result<()> {
        self.send_current()?;
        self.send(Parcel::End(geometry))?;
        self.to = To::Nobody;
        Ok(())
    }

    /// Waits for the worker's outcome.
    pub fn wait(&mut self, watch: &mut Watch<'_>) -> Result<T> {
        wait_for(&self.outcome, watch)?
    }

    /// The worker's outcome, if it comes within [`threads::MOMENT`].
    #[cfg(test)]
    pub fn ended(&self) -> Option<Result<T>> {
        threads::in_a_moment(&self.outcome).map(Result::flatten)
    }

    /// A free batch: a new one while more may exist, else a returned one.
    fn empty(&mut self) -> Result<Batch> {
        let returned = if self.made < BATCHES { self.from.try_recv().ok() } else { self.from.recv().ok() };
        match returned {
            Some(mut batch) => {
                batch.clear();
                Ok(batch)
            }
            None if self.made < BATCHES => {
                let batch = Batch::new()?;
                self.made += 1;
                Ok(batch)
            }
            None => Err(self.failure()),
        }
    }

    fn send_current(&mut self) -> Result<()> {
        match self.current.take() {
            Some(batch) => self.send(Parcel::Pages(batch)),
            None => Ok(()),
        }
    }

    fn send(&mut self, parcel: Parcel) -> Result<()> {
        let is_last = matches!(parcel, Parcel::End(_));
        let sent = match &mut self.to {
            To::Thread(to) => to.send(parcel).is_ok(),
            To::Hand(attend) => attend(parcel) || is_last,
            To::Nobody => false,
        };
        if sent {
            return Ok(());
        }
        self.to = To::Nobody;
        Err(self.failure())
    }

    /// The error that ended the worker.
    fn failure(&self) -> Error {
        match self.outcome.recv() {
            Ok(Err(error)) => error,
            _ => panicked(),
        }
    }
}

impl<T> Drop for Pipeline<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.to = To::Nobody;
        if let Some(thread) = self.thread.take() {
            // A panic was reported already, or the work was cancelled.
            let _ = thread.join();
        }
    }
}

/// Passes parcels to `worker`, and its outcome or error to `answer`.
fn attending<W: Worker>(worker: W, back: Return, answer: SyncSender<Result<W::Outcome>>) -> Attend {
    let mut worker = Some(worker);
    Box::new(move |parcel| {
        let outcome = match (parcel, &mut worker) {
            (Parcel::Pages(batch), Some(worker)) => worker.work(batch, &back).err().map(Err),
            (Parcel::End(geometry), worker) => worker.take().map(|worker| worker.end(geometry)),
            (Parcel::Pages(_), None) => return false,
        };
        let Some(outcome) = outcome else { return true };
        // The receiver is gone if the walk was cancelled.
        let _ = answer.send(outcome);
        false
    })
}

#[cfg(test)]
mod tests;
