//! The SHA-256 of a file, made while the file is written.
//!
//! # Promise
//!
//! [`Sha256Writer`] is a writer, and knows the fingerprint of all that went through it. [`DigestThread`] does the same for batches
//! of pages on a thread of its own, since SHA-256 takes longer than everything else that a plain backup does; what never comes
//! counts as zeros, as in a file with a hole. Either sees a file from its front to its end: who writes somewhere again has to
//! read the file for its fingerprint.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

use super::batch::Batch;
use crate::backup::artifact::{self, Fingerprint};
use crate::backup::pipeline::{Return, threads};
use crate::backup::snapshot::visitor;
use crate::error::Result;

/// A reader or writer with the SHA-256 of what went through.
pub struct Sha256Writer<T> {
    /// What is read or written.
    pub inner: T,
    digest: Sha256,
    length: u64,
}

impl<T> Sha256Writer<T> {
    /// Nothing has gone through yet.
    pub fn new(inner: T) -> Self {
        Self { inner, digest: Sha256::new(), length: 0 }
    }

    /// How much has gone through.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest of all so far.
    pub fn sha256(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    /// The fingerprint of all so far.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint { checksum: artifact::hex(&self.sha256()), size: self.length }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
    }
}

impl<T: Write> Write for Sha256Writer<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Sha256Writer<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count(&buffer[..length]);
        Ok(length)
    }
}

/// A batch, its place in the file, and where it goes afterwards.
type Piece = (u64, Batch, Return);

/// The fingerprint of a file of pages.
pub struct DigestThread {
    pieces: Option<SyncSender<Piece>>,
    thread: Option<JoinHandle<Sha256Writer<io::Sink>>>,
}

impl DigestThread {
    /// Begins with the first page of the file. `None` when the system gives no thread.
    ///
    /// # Errors
    ///
    /// When there is no memory for one.
    pub fn start(first: &[u8]) -> Result<Option<Self>> {
        let mut digest = Sha256Writer::new(io::sink());
        digest.count(first);
        // More than there are batches: the writer never waits here.
        let (pieces, incoming) = sync_channel(64);
        let thread = threads::spawn("queuekeeper-digest", move || digest_all(digest, &incoming))?;
        Ok(thread.map(|thread| Self { pieces: Some(pieces), thread: Some(thread) }))
    }

    /// Takes a batch that stands at `offset` in the file; each stands behind the one before.
    pub fn take(&self, offset: u64, batch: Batch, back: &Return) -> Result<()> {
        let sent = self.pieces.as_ref().is_some_and(|pieces| pieces.send((offset, batch, back.clone())).is_ok());
        if sent { Ok(()) } else { Err(threads::panicked()) }
    }

    /// The fingerprint of the file, which has `size` bytes.
    pub fn finish(mut self, size: u64) -> Result<Fingerprint> {
        self.pieces = None;
        let thread = self.thread.take().ok_or_else(threads::panicked)?;
        let mut digest = thread.join().map_err(|_| threads::panicked())?;
        fill(&mut digest, size);
        Ok(digest.fingerprint())
    }
}

impl Drop for DigestThread {
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            // The work was given up; nobody needs the digest.
            let _ = thread.join();
        }
    }
}

fn digest_all(mut digest: Sha256Writer<io::Sink>, pieces: &Receiver<Piece>) -> Sha256Writer<io::Sink> {
    for (offset, batch, back) in pieces {
        fill(&mut digest, offset);
        digest.count(batch.bytes());
        // The walker does not wait for batches any more when the work was given up.
        let _ = back.send(batch);
    }
    digest
}

/// Zeros up to `offset`.
fn fill(digest: &mut Sha256Writer<io::Sink>, offset: u64) {
    visitor::zeros(offset.saturating_sub(digest.length)).for_each(|piece| digest.count(piece));
}
