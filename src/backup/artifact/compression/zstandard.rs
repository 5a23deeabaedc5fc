//! zstd's contexts, asked for in a way that can fail: the crate's own encoders and decoders panic when they are refused one.

use std::io::{self, BufReader, Read};

use zstd::stream::raw::{InBuffer, Operation, OutBuffer};
use zstd::stream::zio;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, DParameter, ResetDirective, SafeResult, WriteBuf, get_error_name};

use crate::bounds;

/// A reader of all frames of a file, one behind the other.
pub fn reader<R: Read>(file: R) -> io::Result<impl Read> {
    let mut context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
    // Each frame says how much memory it takes.
    told(context.set_parameter(DParameter::WindowLogMax(bounds::ZSTD_WINDOW_LOG)))?;
    Ok(zio::Reader::new(BufReader::with_capacity(DCtx::in_size(), file), Decoding(context)))
}

struct Decoding(DCtx<'static>);

impl Operation for Decoding {
    fn run<C: WriteBuf + ?Sized>(
        &mut self,
        input: &mut InBuffer<'_>,
        output: &mut OutBuffer<'_, C>,
    ) -> io::Result<usize> {
        told(self.0.decompress_stream(output, input))
    }

    fn reinit(&mut self) -> io::Result<()> {
        told(self.0.reset(ResetDirective::SessionOnly)).map(drop)
    }

    fn finish<C: WriteBuf + ?Sized>(&mut self, _: &mut OutBuffer<'_, C>, complete: bool) -> io::Result<usize> {
        if complete { Ok(0) } else { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "incomplete frame")) }
    }
}

/// Makes each piece one frame, with a checksum. Its tables are large, and kept from one frame to the next.
pub struct Encoder(CCtx<'static>);

impl Encoder {
    /// One for this level.
    pub fn new(level: i32) -> io::Result<Self> {
        let mut context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        told(context.set_parameter(CParameter::CompressionLevel(level)))?;
        told(context.set_parameter(CParameter::ChecksumFlag(true)))?;
        Ok(Self(context))
    }

    /// The frame of a piece, in a buffer that is empty and has room.
    pub fn compress(&mut self, piece: &[u8], frame: &mut Vec<u8>) -> io::Result<usize> {
        told(self.0.compress2(frame, piece))
    }
}

fn told(result: SafeResult) -> io::Result<usize> {
    result.map_err(|code| super::told(io::Error::other(get_error_name(code))))
}
