//! Expands a compressed file piece by piece.
//!
//! # Promise
//!
//! The caller's interrupt ends it at any time, even in a file of empty frames, of which a decoder reads any
//! number before it returns.

use std::io::{self, Read};
use std::path::Path;

use super::Compression;
use crate::error::{Error, Result};
use crate::memory;
use crate::progress::Watch;

const BUFFER: usize = 1 << 20;

/// Passes a file's plain content to `take`; `path` is for errors.
pub fn expand(
    file: impl Read,
    compression: Compression,
    path: &Path,
    watch: &mut Watch<'_>,
    take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut file = Watched { file, watch, ended: None };
    let outcome = pieces(&mut file, compression, path, take);
    file.ended.map_or(outcome, Err)
}

fn pieces(
    file: impl Read,
    compression: Compression,
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let unreadable = |error: io::Error| Error::io("read", path, &error);
    let mut plain = super::reader(file, compression).map_err(unreadable)?;
    let mut buffer = memory::zeros(BUFFER).map_err(unreadable)?;
    loop {
        match plain.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if super::is_no_damage(&error) => return Err(unreadable(super::as_io_error(error))),
            Err(error) => return Err(Error::corrupt(format!("'{}' is damaged ({error})", path.display()))),
        }
    }
}

/// Reports each read, and so checks for an interrupt.
struct Watched<'w, 'a, R> {
    file: R,
    watch: &'w mut Watch<'a>,
    ended: Option<Error>,
}

impl<R: Read> Read for Watched<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.watch.advance(length as u64).map_err(|error| {
            self.ended = Some(error);
            io::Error::other("ended")
        })?;
        Ok(length)
    }
}
