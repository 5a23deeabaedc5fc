//! Compression: a stream of bytes as standard gzip or zstd frames, made on all processors.
//!
//! # Promise
//!
//! - What comes out is what `gzip -dc` and `zstd -dc` read: both formats allow frames one behind another, and both
//!   programs join them. (Readers that stop after the first frame see the beginning only.)
//! - The output is the same for the same input, whatever the number of processors.
//! - Memory is bounded: a few chunks of [`CHUNK`] bytes for each processor.
//! - [`stored_frame`] wraps a page into a frame of a size that is known beforehand. So the place of page 1, which is known
//!   last, can be kept free at the front of the file.
//!
//! # How
//!
//! The stream is cut into chunks; each is compressed by itself, as one frame, by whichever thread is free; the frames are
//! written in the order of the chunks. The stored frames follow RFC 8878 (zstd: a raw block, 12 bytes around the content)
//! and RFC 1951/1952 (gzip: stored blocks, 18 bytes and 5 for each begun 65,535).

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::progress::Watch;

/// Bytes compressed as one frame: large enough that cutting costs no more than a percent of the size.
pub const CHUNK: usize = 2 << 20;

/// How an artifact is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// gzip members.
    Gzip,
    /// zstd frames.
    Zstd,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Gzip, Self::Zstd];

    /// The word for it in options and in the catalog.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The compression of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.word() == word)
    }

    /// What a file name has behind it.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The compression that a file name asks for.
    pub fn of_name(name: &str) -> Self {
        let asked = [Self::Gzip, Self::Zstd].into_iter().find(|compression| name.ends_with(compression.suffix()));
        asked.unwrap_or(Self::None)
    }

    /// The lowest, the default and the highest level.
    pub fn levels(self) -> (i32, i32, i32) {
        match self {
            Self::None => (0, 0, 0),
            Self::Gzip => (1, 6, 9),
            Self::Zstd => (1, 3, 19),
        }
    }
}

/// A reader of the plain content of a file.
///
/// # Errors
///
/// When there is no memory for the decoder.
pub fn reader<'a>(file: impl Read + 'a, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 17, file))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
    })
}

/// The length of [`stored_frame`] for content of this length.
pub fn stored_length(compression: Compression, content: usize) -> usize {
    match compression {
        Compression::None => content,
        Compression::Gzip => content + 18 + 5 * content.div_ceil(0xffff).max(1),
        Compression::Zstd => content + 12,
    }
}

/// `content` (a page: 65,536 bytes at most) as a frame that does not compress it.
pub fn stored_frame(compression: Compression, content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(stored_length(compression, content.len()));
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    match compression {
        Compression::None => frame.extend_from_slice(content),
        Compression::Gzip => {
            // Deflate, no name, no time, no hint, system unknown.
            frame.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
            let blocks = content.len().div_ceil(0xffff).max(1);
            for (place, block) in content.chunks(0xffff).enumerate() {
                let size = u16::try_from(block.len()).unwrap_or(u16::MAX);
                frame.push(u8::from(place + 1 == blocks));
                frame.extend_from_slice(&size.to_le_bytes());
                frame.extend_from_slice(&(!size).to_le_bytes());
                frame.extend_from_slice(block);
            }
            let mut crc = flate2::Crc::new();
            crc.update(content);
            frame.extend_from_slice(&crc.sum().to_le_bytes());
            frame.extend_from_slice(&length.to_le_bytes());
        }
        Compression::Zstd => {
            // Magic; single segment with a content size of four bytes; one last raw block.
            frame.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000]);
            frame.extend_from_slice(&length.to_le_bytes());
            frame.extend_from_slice(&(length << 3 | 1).to_le_bytes()[..3]);
            frame.extend_from_slice(content);
        }
    }
    frame
}

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
    loop {
        // The lock is held while waiting: the others wait for it instead of for the queue.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((chunk, answer)) = job else { return };
        // Nobody listens any more when the work was given up.
        let _ = answer.send(frame(compression, level, &chunk));
    }
}

/// One chunk as one frame, with a checksum of its own.
fn frame(compression: Compression, level: i32, chunk: &[u8]) -> Answer {
    match compression {
        Compression::None => Ok(chunk.to_vec()),
        Compression::Gzip => {
            let level = flate2::Compression::new(u32::try_from(level).unwrap_or(6));
            let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(chunk.len() / 2), level);
            encoder.write_all(chunk)?;
            encoder.finish()
        }
        Compression::Zstd => {
            let mut encoder = zstd::bulk::Compressor::new(level)?;
            encoder.include_checksum(true)?;
            encoder.compress(chunk)
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
    use super::*;

    fn plain(frames: &[u8], compression: Compression) -> Vec<u8> {
        let mut content = Vec::new();
        reader(frames, compression).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn stored_frames_have_the_length_that_was_reserved_and_join_others() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            for size in [512, 1024, 4096, 32768, 65536] {
                let page: Vec<u8> = (0..size).map(|byte| (byte % 251) as u8).collect();
                let mut frames = stored_frame(compression, &page);
                assert_eq!(frames.len(), stored_length(compression, size));
                frames.extend(frame(compression, 1, b"and more").unwrap());
                let content = plain(&frames, compression);
                assert_eq!(content[..size], page);
                assert_eq!(&content[size..], b"and more");
            }
        }
        assert_eq!(stored_length(Compression::Zstd, 4096), 4108);
        assert_eq!(stored_length(Compression::Gzip, 4096), 4119);
        assert_eq!(stored_length(Compression::Gzip, 65536), 65564);
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

    #[test]
    fn names_and_words() {
        assert_eq!(Compression::of_name("a.db.zst"), Compression::Zstd);
        assert_eq!(Compression::of_name("a.gz"), Compression::Gzip);
        assert_eq!(Compression::of_name("a.db"), Compression::None);
        for compression in Compression::ALL {
            assert_eq!(Compression::from_word(compression.word()), Some(compression));
        }
    }
}
