//! Cuts a stream into frames and compresses them on all processors.
//!
//! # Promise
//!
//! The output depends only on the input, not on the number of processors. Memory is bounded: [`MOST_THREADS`]
//! threads at most, and two more chunks than threads, with their frames. If no thread can be started, the
//! caller's compresses.
//!
//! # How
//!
//! The stream is cut into chunks. Any free thread compresses a chunk to one frame; the frames are written in
//! the order of the chunks. The buffers of a written frame are reused for the next chunk.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::Compression;
use super::frames::{Frames, Piece};
use crate::backup::pipeline::threads;
use crate::error::{Error, Result};
use crate::host::threads::lock;
use crate::memory;
use crate::progress::Watch;

/// Bytes per frame: large enough that splitting costs at most a percent of the size.
const CHUNK: usize = 2 << 20;

/// More would compress faster than disks write, and use more memory than a backup should.
const MOST_THREADS: usize = 8;

type Answer = io::Result<Piece>;
type Job = (Piece, SyncSender<Answer>);

/// Compresses chunks on all processors, and writes the frames in order.
pub struct Compressor {
    jobs: Option<SyncSender<Job>>,
    waiting: VecDeque<Receiver<Answer>>,
    threads: Vec<JoinHandle<()>>,
    /// Compresses without threads.
    own: Option<io::Result<Frames>>,
    piece: Piece,
    spare: Vec<Piece>,
    stop: Arc<AtomicBool>,
}

impl Compressor {
    /// Compresses with [`Compression::Gzip`] or [`Compression::Zstd`], at a level in its range.
    pub fn new(compression: Compression, level: i32) -> Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let (jobs, queue) = sync_channel::<Job>(count);
        let queue = Arc::new(Mutex::new(queue));
        let stop = Arc::new(AtomicBool::new(false));
        let mut started = Self {
            jobs: Some(jobs),
            waiting: VecDeque::new(),
            threads: Vec::with_capacity(count),
            own: None,
            piece: Piece::default(),
            spare: Vec::new(),
            stop: Arc::clone(&stop),
        };
        for _ in 0..count {
            let (queue, stop) = (Arc::clone(&queue), Arc::clone(&stop));
            // After an error, `started` ends the threads that run.
            let thread = threads::spawn("queuekeeper-compress", move || work(&queue, &stop, compression, level))?;
            started.threads.extend(thread);
        }
        started.own = started.threads.is_empty().then(|| Frames::new(compression, level));
        Ok(started)
    }

    /// Appends to the stream; writes the finished frames to `out`.
    pub fn write(&mut self, mut content: &[u8], out: &mut impl Write) -> io::Result<()> {
        while !content.is_empty() {
            let room = CHUNK - self.piece.chunk.len();
            let (now, later) = content.split_at(room.min(content.len()));
            self.piece.chunk.try_reserve(now.len())?;
            self.piece.chunk.extend_from_slice(now);
            content = later;
            if self.piece.chunk.len() == CHUNK {
                self.send(out)?;
            }
        }
        Ok(())
    }

    /// Ends the stream and writes the rest.
    pub fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !self.piece.chunk.is_empty() {
            self.send(out)?;
        }
        while !self.waiting.is_empty() {
            self.receive(out)?;
        }
        Ok(())
    }

    fn send(&mut self, out: &mut impl Write) -> io::Result<()> {
        if let Some(frames) = &mut self.own {
            frames.as_mut().map_err(|error| copy(error))?.make(&mut self.piece)?;
            out.write_all(&self.piece.frame)?;
            self.piece.chunk.clear();
            return Ok(());
        }
        // One for each thread, one queued, and one being written.
        if self.waiting.len() >= self.threads.len() + 2 {
            self.receive(out)?;
        }
        let piece = std::mem::replace(&mut self.piece, self.spare.pop().unwrap_or_default());
        let (answer, waiting) = sync_channel(1);
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send((piece, answer)).map_err(|_| gone())?;
        self.waiting.push_back(waiting);
        Ok(())
    }

    fn receive(&mut self, out: &mut impl Write) -> io::Result<()> {
        let Some(waiting) = self.waiting.pop_front() else { return Ok(()) };
        let mut piece = waiting.recv().map_err(|_| gone())??;
        out.write_all(&piece.frame)?;
        piece.chunk.clear();
        self.spare.push(piece);
        Ok(())
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // Without a sender the threads end after their current chunk.
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic was an error already: its chunk had no answer.
            let _ = thread.join();
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("a compressing thread has ended")
}

fn work(queue: &Mutex<Receiver<Job>>, stop: &AtomicBool, compression: Compression, level: i32) {
    let mut frames = Frames::new(compression, level);
    loop {
        // The lock is held while receiving: the other threads wait for it instead of for the queue.
        let job = lock(queue).recv();
        let Ok((mut piece, answer)) = job else { return };
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let made = frames.as_mut().map_err(|error| copy(error)).and_then(|frames| frames.make(&mut piece));
        // The receiver is gone if the work was cancelled.
        let _ = answer.send(made.map(|()| piece));
    }
}

/// `io::Error` is not `Clone`.
fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// Compresses a whole file into another, both from their beginning; `path` is for errors.
pub fn compress_file(
    mut from: &File,
    to: &File,
    (compression, level): (Compression, i32),
    path: &Path,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let mut compressor = Compressor::new(compression, level)?;
    let mut out = to;
    let failed = |error: io::Error| Error::io("write the backup", path, &error);
    let mut buffer = memory::zeros(CHUNK).map_err(failed)?;
    from.rewind().map_err(failed)?;
    loop {
        let read = from.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return compressor.finish(&mut out).map_err(failed);
        }
        compressor.write(&buffer[..read], &mut out).map_err(failed)?;
        watch.advance(read as u64)?;
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
    fn a_frame_does_not_depend_on_those_before_it() {
        let mut chance = fastrand::Rng::with_seed(7);
        for (compression, level) in
            [(Compression::Gzip, 6), (Compression::Zstd, 1), (Compression::Zstd, 3), (Compression::Zstd, 12)]
        {
            let mut used = Frames::new(compression, level).unwrap();
            let mut piece = Piece::default();
            for _ in 0..12 {
                let alphabet = chance.u8(2..=255);
                let length = chance.usize(1..300_000);
                piece.chunk = std::iter::repeat_with(|| chance.u8(..alphabet)).take(length).collect();
                used.make(&mut piece).unwrap();
                let mut fresh = Piece { chunk: piece.chunk.clone(), frame: Vec::new() };
                Frames::new(compression, level).unwrap().make(&mut fresh).unwrap();
                assert!(piece.frame == fresh.frame, "{compression:?} {level}");
                assert!(plain(&piece.frame, compression) == piece.chunk);
            }
        }
    }

    #[test]
    fn giving_up_in_the_middle_ends_the_threads() {
        let mut compressor = Compressor::new(Compression::Zstd, 1).unwrap();
        compressor.write(&vec![1; 5 * CHUNK], &mut Vec::new()).unwrap();
        drop(compressor);
    }
}
