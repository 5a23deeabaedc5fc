//! Cutting a stream into frames, and compressing them on all processors.
//!
//! # Promise
//!
//! The output is the same for the same input, whatever the number of processors. Memory is bounded: a few chunks of [`CHUNK`]
//! bytes for each processor.
//!
//! # How
//!
//! The stream is cut into chunks; each is compressed by itself, as one frame, by whichever thread is free; the frames are
//! written in the order of the chunks.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Compression;
use crate::error::{Error, Result};
use crate::progress::Watch;

/// Bytes compressed as one frame: large enough that cutting costs no more than a percent of the size.
const CHUNK: usize = 2 << 20;

type Answer = io::Result<Vec<u8>>;
type Job = (Vec<u8>, SyncSender<Answer>);

/// Compresses chunks on all processors and gives the frames back in order.
pub struct Compressor {
    jobs: Option<SyncSender<Job>>,
    waiting: VecDeque<Receiver<Answer>>,
    threads: Vec<JoinHandle<()>>,
    chunk: Vec<u8>,
}

impl Compressor {
    /// A compressor for [`Compression::Gzip`] or [`Compression::Zstd`] at a level that is in its range.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn new(compression: Compression, level: i32) -> Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let (jobs, queue) = sync_channel::<Job>(count);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new()
                .name("queuekeeper-compress".into())
                .spawn(move || work(&queue, compression, level))
                .map_err(|error| {
                    Error::new(rusqlite::ffi::SQLITE_NOMEM, format!("no thread to compress: {error}"))
                })?;
            threads.push(thread);
        }
        Ok(Self { jobs: Some(jobs), waiting: VecDeque::new(), threads, chunk: Vec::with_capacity(CHUNK) })
    }

    /// Takes more of the stream; writes the frames that are ready to `out`.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn write(&mut self, mut content: &[u8], out: &mut impl Write) -> io::Result<()> {
        while !content.is_empty() {
            let room = CHUNK - self.chunk.len();
            let (now, later) = content.split_at(room.min(content.len()));
            self.chunk.extend_from_slice(now);
            content = later;
            if self.chunk.len() == CHUNK {
                self.send(out)?;
            }
        }
        Ok(())
    }

    /// Ends the stream and writes all that is left.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !self.chunk.is_empty() {
            self.send(out)?;
        }
        while !self.waiting.is_empty() {
            self.receive(out)?;
        }
        Ok(())
    }

    fn send(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.waiting.len() >= 2 * self.threads.len() {
            self.receive(out)?;
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        let (answer, waiting) = sync_channel(1);
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send((chunk, answer)).map_err(|_| gone())?;
        self.waiting.push_back(waiting);
        Ok(())
    }

    fn receive(&mut self, out: &mut impl Write) -> io::Result<()> {
        let Some(waiting) = self.waiting.pop_front() else { return Ok(()) };
        let frame = waiting.recv().map_err(|_| gone())??;
        out.write_all(&frame)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // Without a sender the threads end, after what they are at.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has left its chunk unanswered, which was an error already.
            let _ = thread.join();
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("a compressing thread has ended")
}

fn work(queue: &Mutex<Receiver<Job>>, compression: Compression, level: i32) {
    let mut frames = Frames::new(compression, level);
    loop {
        // The lock is held while waiting: the others wait for it instead of for the queue.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((chunk, answer)) = job else { return };
        // Nobody listens any more when the work was given up.
        let _ = answer.send(frames.as_mut().map_err(|error| copy(error)).and_then(|frames| frames.make(&chunk)));
    }
}

/// The same error once more.
fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// Makes each chunk one frame, with a checksum of its own.
enum Frames {
    Gzip(flate2::Compression),
    /// Its tables are large, and kept from one frame to the next.
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Frames {
    fn new(compression: Compression, level: i32) -> io::Result<Self> {
        match compression {
            Compression::Zstd => {
                let mut encoder = zstd::bulk::Compressor::new(level)?;
                encoder.include_checksum(true)?;
                Ok(Self::Zstd(Box::new(encoder)))
            }
            Compression::Gzip => Ok(Self::Gzip(flate2::Compression::new(u32::try_from(level).unwrap_or(6)))),
            Compression::None => Err(io::Error::other("nothing to compress with")),
        }
    }

    fn make(&mut self, chunk: &[u8]) -> Answer {
        match self {
            Self::Gzip(level) => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(chunk.len() / 2), *level);
                encoder.write_all(chunk)?;
                encoder.finish()
            }
            Self::Zstd(encoder) => encoder.compress(chunk),
        }
    }
}

/// Compresses a whole file into another, both from their beginning; errors speak of `path`.
///
/// # Errors
///
/// What either file says, or `SQLITE_INTERRUPT`.
pub fn compress_file(
    mut from: &File,
    to: &File,
    (compression, level): (Compression, i32),
    path: &Path,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let mut compressor = Compressor::new(compression, level)?;
    let mut out = to;
    let mut buffer = vec![0; CHUNK];
    let failed = |error: io::Error| Error::io("write the backup", path, &error);
    from.rewind().map_err(failed)?;
    loop {
        watch.check()?;
        let read = from.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return compressor.finish(&mut out).map_err(failed);
        }
        compressor.write(&buffer[..read], &mut out).map_err(failed)?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader;
    use super::*;

    fn plain(frames: &[u8], compression: Compression) -> Vec<u8> {
        let mut content = Vec::new();
        reader(frames, compression).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn a_stream_comes_back_whole_and_in_order() {
        let content: Vec<u8> = (0..3 * CHUNK + 12_345).map(|place| (place / 1000 % 256) as u8).collect();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut compressor = Compressor::new(compression, 1).unwrap();
            let mut out = Vec::new();
            for piece in content.chunks(100_001) {
                compressor.write(piece, &mut out).unwrap();
            }
            compressor.finish(&mut out).unwrap();
            assert!(out.len() < content.len() / 10);
            assert!(plain(&out, compression) == content);
        }
    }

    #[test]
    fn giving_up_in_the_middle_ends_the_threads() {
        let mut compressor = Compressor::new(Compression::Zstd, 1).unwrap();
        compressor.write(&vec![1; 5 * CHUNK], &mut Vec::new()).unwrap();
        drop(compressor);
    }
}
