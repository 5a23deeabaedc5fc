//! Writing a `full` artifact: every page of the snapshot at its place, plain or compressed.
//!
//! # Promise
//!
//! The plain content of the file is the database. No copy of it is made on the way: pages go straight into the file or into
//! the compressor. A writer that is dropped before [`FullWriter::wait`] has answered leaves an empty file and no thread. Each thread is
//! a matter of speed alone: where the system gives none, the walking thread does its work.
//!
//! # How
//!
//! The walk's thread only fills batches; hashing, writing or compressing, the file's SHA-256 and the early sync have threads of
//! their own (see [`pipeline`](crate::backup::pipeline), [`sha256`](crate::backup::pipeline::sha256) and [`early_sync`](crate::backup::pipeline::early_sync)).
//!
//! Page 1 comes last but stands first. What it is going to be is mostly known beforehand (see
//! [`Snapshot::expected_page_one`](crate::backup::snapshot::Snapshot::expected_page_one)): then it is written first, and the SHA-256 is
//! made on the way. In a compressed file it gets a [`stored_frame`](compression::stored_frame) of its own, whose length is known. If
//! in the end it was something else, it is written again, and the file has to be read for its SHA-256. The lock-byte page never
//! comes; it is a hole in a plain file and zeros in a compressed one.

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

/// Takes the pages of a snapshot and has the artifact written.
pub struct FullWriter {
    pipeline: Pipeline<Written>,
    file: Arc<File>,
    complete: bool,
}

/// What is known of a file that was written.
pub struct Written {
    /// The hashes of all pages.
    pub hashes: Vec<PageHash>,
    /// What `fingerprint` would find, unless the file has to be read to know it.
    pub fingerprint: Option<Fingerprint>,
}

impl FullWriter {
    /// Writes to `file`, which is empty; errors speak of `path`. `expected` is what page 1 is likely to be.
    ///
    /// # Errors
    ///
    /// When there is no memory for threads and buffers.
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
                Form::Plain { file, digest }
            }
            _ => {
                memory::require(BUFFER)?;
                let out = Sha256Writer::new(BufWriter::with_capacity(BUFFER, file));
                Form::Framed { out, compressor: Box::new(Compressor::new(compression, level)?), compression }
            }
        };
        let (path, page_one, hashes) = (path.to_path_buf(), Vec::new(), HashList::default());
        let pipeline = Pipeline::start(Writing { form, early, path, position: 0, expected, page_one, hashes })?;
        Ok(Self { pipeline, file: shared, complete: false })
    }

    /// Hears that the walk has ended. The file is completed in the background, until [`FullWriter::wait`].
    pub fn end(&mut self, geometry: Geometry) -> Result<()> {
        self.pipeline.end(geometry)
    }

    /// Waits for the file to be complete. It may not be durable yet.
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

/// How the pages are stored.
enum Form {
    Plain { file: File, digest: Option<DigestThread> },
    Framed { out: Sha256Writer<BufWriter<File>>, compressor: Box<Compressor>, compression: Compression },
}

/// The work on the other thread.
struct Writing {
    form: Form,
    early: EarlySync,
    path: PathBuf,
    /// Where the next page would go, in plain bytes.
    position: u64,
    expected: Option<Vec<u8>>,
    page_one: Vec<u8>,
    hashes: HashList,
}

impl Worker for Writing {
    type Outcome = Written;

    fn work(&mut self, batch: Batch, back: &Return) -> Result<()> {
        for (number, content) in batch.pages() {
            self.hashes.put(number, content)?;
        }
        if batch.first == 1 {
            self.page_one = batch.bytes().to_vec();
            // Batches are let go of when the walk is.
            let _ = back.send(batch);
            return Ok(());
        }
        self.begin(batch.page_size).map_err(|error| self.failed(&error))?;
        let offset = u64::from(batch.first - 1) * batch.page_size as u64;
        self.put(offset, batch.bytes()).map_err(|error| self.failed(&error))?;
        match &self.form {
            Form::Plain { digest: Some(digest), .. } => digest.take(offset, batch, back),
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
            Form::Plain { digest: Some(digest), .. } if as_expected => Some(digest.finish(size)?),
            Form::Framed { out, .. } if as_expected => Some(out.fingerprint()),
            _ => None,
        };
        Ok(Written { hashes: self.hashes.finish(geometry.page_count), fingerprint })
    }
}

impl Writing {
    /// The place of page 1 comes first.
    fn begin(&mut self, page_size: usize) -> io::Result<()> {
        if self.position > 0 {
            return Ok(());
        }
        self.position = page_size as u64;
        let expected = self.expected.take_if(|page| page.len() == page_size);
        let first = expected.clone().unwrap_or_else(|| vec![0; page_size]);
        self.expected = expected;
        match &mut self.form {
            Form::Plain { file, .. } => file.write_all(&first),
            Form::Framed { out, compression, .. } => out.write_all(&compression::stored_frame(*compression, &first)),
        }
    }

    fn put(&mut self, offset: u64, content: &[u8]) -> io::Result<()> {
        match &mut self.form {
            Form::Plain { file, .. } => {
                if offset != self.position {
                    file.seek(SeekFrom::Start(offset))?;
                }
                file.write_all(content)?;
                self.early.wrote(content.len() as u64);
            }
            Form::Framed { out, compressor, .. } => {
                let before = out.length();
                zeros(offset - self.position, compressor, out)?;
                compressor.write(content, out)?;
                self.early.wrote(out.length() - before);
            }
        }
        self.position = offset + content.len() as u64;
        Ok(())
    }

    /// Page 1 is known, and so is the length.
    fn complete(&mut self, size: u64, as_expected: bool) -> io::Result<()> {
        self.begin(self.page_one.len())?;
        let compression = match &mut self.form {
            Form::Plain { .. } => Compression::None,
            Form::Framed { out, compressor, compression } => {
                zeros(size.saturating_sub(self.position), compressor, out)?;
                compressor.finish(out)?;
                out.flush()?;
                *compression
            }
        };
        let file = match &mut self.form {
            Form::Plain { file, .. } => file,
            Form::Framed { out, .. } => out.inner.get_mut(),
        };
        if !as_expected {
            file.rewind()?;
            file.write_all(&compression::stored_frame(compression, &self.page_one))?;
        }
        if compression == Compression::None {
            file.set_len(size)?;
        }
        self.early.finish()?;
        // Unless the file is to be read, which is done at the same time, the disk may begin with the rest.
        if as_expected { file.sync_data() } else { Ok(()) }
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::io("write the backup", &self.path, error)
    }
}

/// Puts this many zero bytes into the stream: a page that never comes.
fn zeros(count: u64, compressor: &mut Compressor, out: &mut impl Write) -> io::Result<()> {
    visitor::zeros(count).try_for_each(|piece| compressor.write(piece, out))
}

#[cfg(test)]
#[path = "full_tests.rs"]
mod tests;
