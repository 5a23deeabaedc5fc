//! A chunk of a stream as one frame of gzip or zstd.

use std::io::{self, Write};

use super::Compression;
use super::zstandard::Encoder;
use crate::memory;

/// What the deflate of flate2 needs for itself; it panics when it does not get that.
const DEFLATE: usize = 512 << 10;

/// A chunk and its frame, or the room for it.
#[derive(Default)]
pub struct Piece {
    pub chunk: Vec<u8>,
    pub frame: Vec<u8>,
}

/// Makes each chunk one frame, with a checksum of its own.
pub enum Frames {
    Gzip(flate2::Compression),
    Zstd(Encoder),
}

impl Frames {
    /// For this compression and level.
    pub fn new(compression: Compression, level: i32) -> io::Result<Self> {
        match compression {
            Compression::Zstd => Encoder::new(level).map(Self::Zstd),
            Compression::Gzip => Ok(Self::Gzip(flate2::Compression::new(u32::try_from(level).unwrap_or(6)))),
            Compression::None => Err(io::Error::other("nothing to compress with")),
        }
    }

    /// Makes the frame of a piece from its chunk.
    pub fn make(&mut self, Piece { chunk, frame }: &mut Piece) -> io::Result<()> {
        frame.clear();
        match self {
            Self::Gzip(level) => {
                // What cannot be compressed grows by five bytes for each stored block of deflate, and a head and a tail.
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
