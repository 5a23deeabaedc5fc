//! Compresses a chunk to one frame of gzip or zstd.

use std::io::{self, Write};

use super::Compression;
use super::zstandard::Encoder;
use crate::memory;

/// The memory for flate2's deflate, which panics without it.
const DEFLATE: usize = 512 << 10;

/// A chunk and its frame; both buffers are reused.
#[derive(Default)]
pub struct Piece {
    pub chunk: Vec<u8>,
    pub frame: Vec<u8>,
}

/// Compresses each chunk to one frame, with its own checksum.
pub enum Frames {
    Gzip(flate2::Compression),
    Zstd(Encoder),
}

impl Frames {
    pub fn new(compression: Compression, level: i32) -> io::Result<Self> {
        match compression {
            Compression::Zstd => Encoder::new(level).map(Self::Zstd),
            Compression::Gzip => Ok(Self::Gzip(flate2::Compression::new(u32::try_from(level).unwrap_or(6)))),
            Compression::None => Err(io::Error::other("nothing to compress with")),
        }
    }

    /// Fills the piece's frame from its chunk.
    pub fn make(&mut self, Piece { chunk, frame }: &mut Piece) -> io::Result<()> {
        frame.clear();
        match self {
            Self::Gzip(level) => {
                // Incompressible data grows by five bytes for each stored block of deflate, plus header and
                // trailer.
                frame.try_reserve(chunk.len() + chunk.len() / 1000 + 64)?;
                memory::look_for(DEFLATE)?;
                let mut encoder = flate2::write::GzEncoder::new(std::mem::take(frame), *level);
                encoder.write_all(chunk)?;
                *frame = encoder.finish()?;
            }
            Self::Zstd(encoder) => {
                frame.try_reserve(zstd::zstd_safe::compress_bound(chunk.len()))?;
                encoder.compress(chunk, frame)?;
            }
        }
        Ok(())
    }
}
