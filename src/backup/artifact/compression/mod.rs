//! Compresses streams to standard gzip or zstd frames, on all processors.
//!
//! # Promise
//!
//! - `gzip -dc` and `zstd -dc` read the output: both formats allow concatenated frames, and both programs
//!   join them. (Readers that stop after the first frame see only the beginning.)
//! - The output of [`Compressor`] and [`compress_file`] depends only on the input, not on the number of
//!   processors.
//! - [`stored_frame`] wraps a page into a frame of predictable size. So space for page 1, which is known
//!   last, can be reserved at the front of the file.
//!
//! # How
//!
//! See [`compressor`] for cutting a stream into frames. The stored frames follow RFC 8878 (zstd: a raw block,
//! 12 bytes around the content) and RFC 1951/1952 (gzip: stored blocks, 18 bytes plus 5 for each started
//! 65,535).

mod compressor;
mod expanding;
mod frames;
mod zstandard;

use std::io::{self, Read};

pub use compressor::{Compressor, compress_file};
pub use expanding::expand;

use crate::memory;

/// How an artifact is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub const ALL: [Self; 3] = [Self::None, Self::Gzip, Self::Zstd];

    /// The word in options and in the catalog.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.word() == word)
    }

    /// The file name's suffix.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The compression that a file name implies.
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

/// zstd's message when an allocation fails.
const NO_MEMORY: &str = "not enough memory";

/// Memory for a decoder's buffer and state, without zstd's window, whose allocation can fail.
const DECODER: usize = 512 << 10;

/// Reads the plain content of a file.
pub fn reader<'a>(file: impl Read + 'a, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    memory::look_for(DECODER)?;
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 17, file))),
        Compression::Zstd => Box::new(zstandard::reader(file)?),
    })
}

/// Whether a reader's error comes from the system rather than from the content.
pub fn is_no_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
        || error.to_string().contains(NO_MEMORY)
        || error.kind() == io::ErrorKind::OutOfMemory
}

/// Turns zstd's out-of-memory error into an [`io::Error`] of that kind.
pub fn as_io_error(error: io::Error) -> io::Error {
    match error.to_string().contains(NO_MEMORY) {
        true => io::ErrorKind::OutOfMemory.into(),
        false => error,
    }
}

/// The length of [`stored_frame`] for content of this length.
pub fn stored_length(compression: Compression, content: usize) -> usize {
    match compression {
        Compression::None => content,
        Compression::Gzip => content + 18 + 5 * content.div_ceil(0xffff).max(1),
        Compression::Zstd => content + 12,
    }
}

/// Wraps `content` (a page: 65,536 bytes at most) in a frame without compressing it.
pub fn stored_frame(compression: Compression, content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(stored_length(compression, content.len()));
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    match compression {
        Compression::None => frame.extend_from_slice(content),
        Compression::Gzip => {
            // Deflate, no name, no time, no flags, system unknown.
            frame.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
            let blocks = content.len().div_ceil(0xffff).max(1);
            // Empty content takes a block, too.
            for (place, block) in content.chunks(0xffff).chain(content.is_empty().then_some(content)).enumerate() {
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
            for size in [0, 1, 512, 1024, 4096, 32768, 65536] {
                let page: Vec<u8> = (0..size).map(|byte| (byte % 251) as u8).collect();
                let mut frames = stored_frame(compression, &page);
                assert_eq!(frames.len(), stored_length(compression, size));
                let mut more = Compressor::new(compression, 1).unwrap();
                more.write(b"and more", &mut frames).unwrap();
                more.finish(&mut frames).unwrap();
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
    fn names_and_words() {
        assert_eq!(Compression::of_name("a.db.zst"), Compression::Zstd);
        assert_eq!(Compression::of_name("a.gz"), Compression::Gzip);
        assert_eq!(Compression::of_name("a.db"), Compression::None);
        for compression in Compression::ALL {
            assert_eq!(Compression::from_word(compression.word()), Some(compression));
        }
    }
}
