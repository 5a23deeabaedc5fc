//! Writes a `full` artifact: every page of the snapshot at its offset, plain or compressed.
//!
//! # Promise
//!
//! The file's plain content is the database. There is no intermediate copy: pages go directly into the file
//! or the compressor. A writer dropped before [`FullWriter::wait`] has returned leaves an empty file and no
//! thread. Threads only add speed: if one cannot be started, the walking thread does its work.
//!
//! # How
//!
//! The walking thread only fills batches. Hashing, writing or compressing, the file's SHA-256 and the early
//! sync have their own threads (see [`pipeline`](crate::backup::pipeline),
//! [`sha256`](crate::backup::pipeline::sha256) and [`early_sync`]).
//!
//! Page 1 is delivered last, but is first in the file. Its content can usually be predicted (see
//! [`Snapshot::expected_page_one`](crate::backup::snapshot::Snapshot::expected_page_one)). Then it is written
//! first, and the SHA-256 is computed while writing. A compressed file has it in a
//! [`stored_frame`](compression::stored_frame), whose length is known. If the prediction was wrong, page 1 is
//! rewritten and the file is read for its SHA-256. The lock-byte page is never delivered; it is a hole in a
//! plain file and zeros in a compressed one.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compression::{self, Compression, Compressor};
use super::kind::Geometry;
use crate::backup::artifact::{Fingerprint, HashList, PageHash};
use crate::backup::pipeline::batch::Batch;
use crate::backup::pipeline::early_sync::{self, EarlySync};
use crate::backup::pipeline::sha256::{DigestThread, Sha256Writer};
use crate::backup::pipeline::{Pipeline, Return, Worker};
use crate::backup::snapshot::visitor::{self, Fill, PageVisitor};
use crate::error::{Error, Result};
use crate::memory;
use crate::progress::Watch;

const BUFFER: usize = 1 << 20;

/// Writes a snapshot's pages to an artifact.
pub struct FullWriter {
    pipeline: Pipeline<Written>,
    file: Arc<File>,
    complete: bool,
}

/// The result of writing.
pub struct Written {
    /// Of all pages.
    pub hashes: Vec<PageHash>,
    /// As by [`fingerprint`](crate::backup::artifact::fingerprint); `None` if the file must be read for it.
    pub fingerprint: Option<Fingerprint>,
}

impl FullWriter {
    /// Writes to the empty `file`; `path` is for errors. `expected` is the predicted page 1.
    pub fn start(
        file: File,
        path: &Path,
        (compression, level): (Compression, i32),
        expected: Option<Vec<u8>>,
    ) -> Result<Self> {
        let failed = |error: io::Error| Error::io("write the backup", path, &error);
        let shared = Arc::new(file.try_clone().map_err(failed)?);
        let early = EarlySync::start(Arc::clone(&shared))?;
        let form = match compression {
            Compression::None => {
                let digest = expected.as_deref().map(DigestThread::start).transpose()?.flatten();
                Output::Plain { file, digest }
            }
            _ => {
                memory::require(BUFFER)?;
                let out = Sha256Writer::new(BufWriter::with_capacity(BUFFER, file));
                Output::Framed { out, compressor: Box::new(Compressor::new(compression, level)?), compression }
            }
        };
        let (path, page_one, hashes) = (path.to_path_buf(), Vec::new(), HashList::default());
        let pipeline = Pipeline::start(FullWorker { form, early, path, position: 0, expected, page_one, hashes })?;
        Ok(Self { pipeline, file: shared, complete: false })
    }

    /// Ends the walk. The file is completed in the background, until [`FullWriter::wait`].
    pub fn end(&mut self, geometry: Geometry) -> Result<()> {
        self.pipeline.end(geometry)
    }

    /// Waits until the file is complete; it may not be durable yet.
    pub fn wait(&mut self, watch: &mut Watch<'_>) -> Result<Written> {
        let written = self.pipeline.wait(watch)?;
        self.complete = true;
        Ok(written)
    }
}

impl Drop for FullWriter {
    fn drop(&mut self) {
        if !self.complete {
            early_sync::give_up(&self.file);
        }
    }
}

impl PageVisitor for FullWriter {
    fn page(&mut self, number: u32, content: &[u8]) -> Result<()> {
        self.pipeline.put(number, content)
    }

    fn run(&mut self, first: u32, most: u32, page_size: usize, fill: Fill<'_>) -> Result<u32> {
        self.pipeline.run(first, most, page_size, fill)
    }
}

enum Output {
    Plain { file: File, digest: Option<DigestThread> },
    Framed { out: Sha256Writer<BufWriter<File>>, compressor: Box<Compressor>, compression: Compression },
}

/// The worker's state.
struct FullWorker {
    form: Output,
    early: EarlySync,
    path: PathBuf,
    /// Offset of the next page in the plain content.
    position: u64,
    expected: Option<Vec<u8>>,
    page_one: Vec<u8>,
    hashes: HashList,
}

impl Worker for FullWorker {
    type Outcome = Written;

    fn work(&mut self, batch: Batch, back: &Return) -> Result<()> {
        for (number, content) in batch.pages() {
            self.hashes.put(number, content)?;
        }
        if batch.first == 1 {
            self.page_one = batch.bytes().to_vec();
            // The walker may have returned already.
            let _ = back.send(batch);
            return Ok(());
        }
        self.begin(batch.page_size).map_err(|error| self.failed(&error))?;
        let offset = u64::from(batch.first - 1) * batch.page_size as u64;
        self.put(offset, batch.bytes()).map_err(|error| self.failed(&error))?;
        match &self.form {
            Output::Plain { digest: Some(digest), .. } => digest.take(offset, batch, back),
            _ => {
                let _ = back.send(batch);
                Ok(())
            }
        }
    }

    fn end(mut self, geometry: Geometry) -> Result<Written> {
        let size = u64::from(geometry.page_size) * u64::from(geometry.page_count);
        let as_expected = self.expected.as_ref() == Some(&self.page_one);
        self.complete(size, as_expected).map_err(|error| self.failed(&error))?;
        let fingerprint = match self.form {
            Output::Plain { digest: Some(digest), .. } if as_expected => Some(digest.finish(size)?),
            Output::Framed { out, .. } if as_expected => Some(out.fingerprint()),
            _ => None,
        };
        Ok(Written { hashes: self.hashes.finish(geometry.page_count), fingerprint })
    }
}

impl FullWorker {
    /// Writes the expected page 1, or zeros in its place.
    fn begin(&mut self, page_size: usize) -> io::Result<()> {
        if self.position > 0 {
            return Ok(());
        }
        self.position = page_size as u64;
        let expected = self.expected.take_if(|page| page.len() == page_size);
        let first = expected.clone().unwrap_or_else(|| vec![0; page_size]);
        self.expected = expected;
        match &mut self.form {
            Output::Plain { file, .. } => file.write_all(&first),
            Output::Framed { out, compression, .. } => {
                out.write_all(&compression::stored_frame(*compression, &first))
            }
        }
    }

    fn put(&mut self, offset: u64, content: &[u8]) -> io::Result<()> {
        match &mut self.form {
            Output::Plain { file, .. } => {
                if offset != self.position {
                    file.seek(SeekFrom::Start(offset))?;
                }
                file.write_all(content)?;
                self.early.record(content.len() as u64);
            }
            Output::Framed { out, compressor, .. } => {
                let before = out.length();
                zeros(offset - self.position, compressor, out)?;
                compressor.write(content, out)?;
                self.early.record(out.length() - before);
            }
        }
        self.position = offset + content.len() as u64;
        Ok(())
    }

    /// Writes page 1, and sets the length.
    fn complete(&mut self, size: u64, as_expected: bool) -> io::Result<()> {
        self.begin(self.page_one.len())?;
        let compression = match &mut self.form {
            Output::Plain { .. } => Compression::None,
            Output::Framed { out, compressor, compression } => {
                zeros(size.saturating_sub(self.position), compressor, out)?;
                compressor.finish(out)?;
                out.flush()?;
                *compression
            }
        };
        let file = match &mut self.form {
            Output::Plain { file, .. } => file,
            Output::Framed { out, .. } => out.inner.get_mut(),
        };
        if !as_expected {
            file.rewind()?;
            file.write_all(&compression::stored_frame(compression, &self.page_one))?;
        }
        if compression == Compression::None {
            file.set_len(size)?;
        }
        self.early.finish()?;
        // A file that must be read is synced then; else the disk can start with the rest.
        if as_expected { file.sync_data() } else { Ok(()) }
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::io("write the backup", &self.path, error)
    }
}

/// Compresses this many zeros, for a page that is never delivered.
fn zeros(count: u64, compressor: &mut Compressor, out: &mut impl Write) -> io::Result<()> {
    visitor::zeros(count).try_for_each(|piece| compressor.write(piece, out))
}

#[cfg(test)]
#[path = "full_tests.rs"]
mod tests;
