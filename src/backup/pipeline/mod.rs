//! The pipeline: pages from the thread that reads the snapshot to a thread that works on them.
//!
//! # Promise
//!
//! - The worker gets every page once, in the order in which they were put into the pipeline, in [`Batch`]es.
//! - Memory is bounded: at most [`BATCHES`] batches of [`BATCH`] bytes exist; who walks faster than the worker works, waits.
//! - An error of the worker, or a panic, is an error of the next [`Pipeline::put`] or of [`Pipeline::wait`].
//! - A pipeline that is dropped stops its worker after the batch that it is at, and waits for that.
//! - Where the system gives no thread (`ulimit -u`), the walking thread does the work itself.
//!
//! # How
//!
//! SQLite is called by the walking thread only, so work that can do without it (hashing, writing, compressing) has a thread of
//! its own. A batch goes round: filled by the walker, worked on by the worker and by whoever it hands the batch on to, and sent
//! back to the walker.

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

/// The way back to the walker.
pub type Return = Sender<Batch>;

/// What works at the end of the pipeline.
pub trait Worker: Send + 'static {
    /// What there is in the end.
    type Outcome: Send + 'static;

    /// Works on a batch, and sends it back or lets somebody else do so.
    ///
    /// # Errors
    ///
    /// Whatever ends the work.
    fn work(&mut self, batch: Batch, back: &Return) -> Result<()>;

    /// Ends the work: there are no more pages.
    fn end(self, geometry: Geometry) -> Result<Self::Outcome>;
}

enum Parcel {
    Pages(Batch),
    End(Geometry),
}

/// What a worker does with a parcel; whether it takes more.
type Attend = Box<dyn FnMut(Parcel) -> bool + Send>;

/// Where parcels go.
enum To {
    Thread(SyncSender<Parcel>),
    /// There is no thread.
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
    /// Puts `worker` to work.
    pub fn start(worker: impl Worker<Outcome = T>) -> Result<Self> {
        let (to, parcels) = sync_channel(BATCHES);
        let (back, from) = channel();
        let (answer, outcome) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        // A thread that cannot be had takes what it was given with it, so the worker is handed over when it runs.
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

    /// Puts a page into the pipeline.
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

    /// Puts pages from `first` on into the pipeline, at most `most` and as many as a batch has room for; how many. `fill` puts them into
    /// the batch itself.
    ///
    /// # Errors
    ///
    /// The worker's, or that of `fill`.
    pub fn run(&mut self, first: u32, most: u32, page_size: usize, fill: Fill<'_>) -> Result<u32> {
        self.send_current()?;
        let mut batch = self.empty()?;
        let count = most.min(u32::try_from(BATCH / page_size.max(1)).unwrap_or(u32::MAX));
        fill(first, batch.room(first, count, page_size)?)?;
        self.send(Parcel::Pages(batch))?;
        Ok(count)
    }

    /// There are no more pages. The worker ends its work while the caller does something else, and then [waits](Self::wait).
    pub fn end(&mut self, geometry: Geometry) -> Result<()> {
        self.send_current()?;
        self.send(Parcel::End(geometry))?;
        self.to = To::Nobody;
        Ok(())
    }

    /// Waits for the worker's end.
    ///
    /// # Errors
    ///
    /// The worker's, or `SQLITE_INTERRUPT`.
    pub fn wait(&mut self, watch: &mut Watch<'_>) -> Result<T> {
        wait_for(&self.outcome, watch)?
    }

    /// What the worker came to, if it does so in a moment.
    #[cfg(test)]
    pub fn ended(&self) -> Option<Result<T>> {
        threads::in_a_moment(&self.outcome).map(Result::flatten)
    }

    /// A batch that is free: a new one as long as there may be more, or one that has come round.
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

    /// Why the worker is no longer there.
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
            // A panic was an error already, or the work was given up anyway.
            let _ = thread.join();
        }
    }
}

/// Takes parcels to `worker`, and what it comes to, or its error, to `answer`.
fn attending<W: Worker>(worker: W, back: Return, answer: SyncSender<Result<W::Outcome>>) -> Attend {
    let mut worker = Some(worker);
    Box::new(move |parcel| {
        let outcome = match (parcel, &mut worker) {
            (Parcel::Pages(batch), Some(worker)) => worker.work(batch, &back).err().map(Err),
            (Parcel::End(geometry), worker) => worker.take().map(|worker| worker.end(geometry)),
            (Parcel::Pages(_), None) => return false,
        };
        let Some(outcome) = outcome else { return true };
        // Nobody listens any more when the walk was given up.
        let _ = answer.send(outcome);
        false
    })
}

#[cfg(test)]
mod tests;
