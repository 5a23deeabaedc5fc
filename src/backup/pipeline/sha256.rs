//! Computes a file's SHA-256 while the file is written.
//!
//! # Promise
//!
//! [`Sha256Writer`] wraps a reader or writer and hashes what passes through. [`DigestThread`] hashes batches
//! of pages on its own thread, since SHA-256 takes longer than everything else in a plain backup; pages that
//! are never delivered count as zeros, as in a file with a hole. Both hash strictly from start to end: after
//! rewriting a part, the file must be read for its fingerprint.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

use super::batch::Batch;
use crate::backup::artifact::{self, Fingerprint};
use crate::backup::pipeline::{Return, threads};
use crate::backup::snapshot::visitor;
use crate::error::Result;

/// Hashes what is read or written.
pub struct Sha256Writer<T> {
    pub inner: T,
    digest: Sha256,
    length: u64,
}

impl<T> Sha256Writer<T> {
    pub fn new(inner: T) -> Self {
        Self { inner, digest: Sha256::new(), length: 0 }
    }

    /// The count of bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The SHA-256 so far.
    pub fn sha256(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    /// The fingerprint so far.
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

/// A batch, its offset in the file, and its return channel.
type Piece = (u64, Batch, Return);

/// Hashes a file of pages.
pub struct DigestThread {
    pieces: Option<SyncSender<Piece>>,
    thread: Option<JoinHandle<Sha256Writer<io::Sink>>>,
}

impl DigestThread {
    /// Starts with the file's first page. `None` if no thread can be started.
    pub fn start(first: &[u8]) -> Result<Option<Self>> {
        let mut digest = Sha256Writer::new(io::sink());
        digest.count(first);
        // More than there are batches: the sender never waits.
        let (pieces, incoming) = sync_channel(64);
        let thread = threads::spawn("queuekeeper-digest", move || digest_all(digest, &incoming))?;
        Ok(thread.map(|thread| Self { pieces: Some(pieces), thread: Some(thread) }))
    }

    /// Hashes a batch at `offset`. Offsets ascend.
    pub fn take(&self, offset: u64, batch: Batch, back: &Return) -> Result<()> {
        let sent = self.pieces.as_ref().is_some_and(|pieces| pieces.send((offset, batch, back.clone())).is_ok());
        if sent { Ok(()) } else { Err(threads::panicked()) }
    }

    /// The fingerprint of the file of `size` bytes.
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
            // The work was cancelled; the digest is not needed.
            let _ = thread.join();
        }
    }
}

fn digest_all(mut digest: Sha256Writer<io::Sink>, pieces: &Receiver<Piece>) -> Sha256Writer<io::Sink> {
    for (offset, batch, back) in pieces {
        fill(&mut digest, offset);
        digest.count(batch.bytes());
        // The walker is gone if the work was cancelled.
        let _ = back.send(batch);
    }
    digest
}

/// Hashes zeros up to `offset`.
fn fill(digest: &mut Sha256Writer<io::Sink>, offset: u64) {
    visitor::zeros(offset.saturating_sub(digest.length)).for_each(|piece| digest.count(piece));
}
