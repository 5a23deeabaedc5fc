//! zstd's contexts, created fallibly: the crate's own encoders and decoders panic if that fails.

use std::io::{self, BufReader, Read};

use zstd::stream::raw::{InBuffer, Operation, OutBuffer};
use zstd::stream::zio;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, DParameter, ResetDirective, SafeResult, WriteBuf, get_error_name};

use crate::bounds;

/// Reads all concatenated frames of a file.
pub fn reader<R: Read>(file: R) -> io::Result<impl Read> {
    let mut context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
    // Limits the memory, which each frame's header declares.
    translated(context.set_parameter(DParameter::WindowLogMax(bounds::ZSTD_WINDOW_LOG)))?;
    Ok(zio::Reader::new(BufReader::with_capacity(DCtx::in_size(), file), Decoding(context)))
}

struct Decoding(DCtx<'static>);

impl Operation for Decoding {
    fn run<C: WriteBuf + ?Sized>(
        &mut self,
        input: &mut InBuffer<'_>,
        output: &mut OutBuffer<'_, C>,
    ) -> io::Result<usize> {
        translated(self.0.decompress_stream(output, input))
    }

    fn reinit(&mut self) -> io::Result<()> {
        translated(self.0.reset(ResetDirective::SessionOnly)).map(drop)
    }

    fn finish<C: WriteBuf + ?Sized>(&mut self, _: &mut OutBuffer<'_, C>, complete: bool) -> io::Result<usize> {
        if complete { Ok(0) } else { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "incomplete frame")) }
    }
}

/// Compresses each piece to one frame with a checksum. Its large tables are reused.
pub struct Encoder(CCtx<'static>);

impl Encoder {
    pub fn new(level: i32) -> io::Result<Self> {
        let mut context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        translated(context.set_parameter(CParameter::CompressionLevel(level)))?;
        translated(context.set_parameter(CParameter::ChecksumFlag(true)))?;
        Ok(Self(context))
    }

    /// Compresses a piece into an empty buffer with enough capacity.
    pub fn compress(&mut self, piece: &[u8], frame: &mut Vec<u8>) -> io::Result<usize> {
        translated(self.0.compress2(frame, piece))
    }
}

fn translated(result: SafeResult) -> io::Result<usize> {
    result.map_err(|code| super::as_io_error(io::Error::other(get_error_name(code))))
}
