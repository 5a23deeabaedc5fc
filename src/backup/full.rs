//! Writing a `full` artifact: every page of the snapshot at its place, plain or compressed.
//!
//! # Promise
//!
//! The plain content of the file is the database. No copy of it is made on the way: pages go straight into the file or into
//! the compressor.
//!
//! # How
//!
//! Page 1 comes last but stands first. In a plain file that is a matter of seeking. In a compressed one, room for a
//! [`stored_frame`](frames::stored_frame) is left at the front and filled at the end. The lock-byte page never comes; it is a
//! hole in a plain file and zeros in a compressed one.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::artifact::{HashList, PageHash};
use super::frames::{self, Compression, Compressor};
use super::sink::{Geometry, PageVisitor};
use crate::error::{Error, Result};

const BUFFER: usize = 1 << 20;

/// Takes the pages of a snapshot and writes the artifact.
pub struct FullWriter {
    out: BufWriter<File>,
    path: PathBuf,
    compression: Compression,
    compressor: Option<Compressor>,
    /// Where the next page would go, in plain bytes.
    position: u64,
    page_one: Vec<u8>,
    hashes: HashList,
}

impl FullWriter {
    /// Writes to `file`, which is empty; errors speak of `path`.
    ///
    /// # Errors
    ///
    /// When the system gives no threads for compressing.
    pub fn new(file: File, path: &Path, (compression, level): (Compression, i32)) -> Result<Self> {
        let compressor = match compression {
            Compression::None => None,
            _ => Some(Compressor::new(compression, level)?),
        };
        Ok(Self {
            out: BufWriter::with_capacity(BUFFER, file),
            path: path.to_path_buf(),
            compression,
            compressor,
            position: 0,
            page_one: Vec::new(),
            hashes: HashList::default(),
        })
    }

    /// Completes the file after the walk; the hashes of all pages.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn finish(&mut self, geometry: Geometry) -> Result<Vec<PageHash>> {
        self.complete(geometry).map_err(|error| Error::io("write the backup", &self.path, &error))?;
        Ok(self.hashes.finish(geometry.page_count))
    }

    fn complete(&mut self, geometry: Geometry) -> io::Result<()> {
        let size = u64::from(geometry.page_size) * u64::from(geometry.page_count);
        if let Some(mut compressor) = self.compressor.take() {
            self.leave_room(self.page_one.len())?;
            zeros(size.saturating_sub(self.position), &mut compressor, &mut self.out)?;
            compressor.finish(&mut self.out)?;
        }
        self.out.rewind()?;
        self.out.write_all(&frames::stored_frame(self.compression, &self.page_one))?;
        self.out.flush()?;
        match self.compression {
            Compression::None => self.out.get_ref().set_len(size),
            _ => Ok(()),
        }
    }

    /// Before anything else is compressed: the place of page 1.
    fn leave_room(&mut self, page_size: usize) -> io::Result<()> {
        if self.position == 0 {
            let room = frames::stored_length(self.compression, page_size);
            self.out.seek(SeekFrom::Start(room as u64))?;
            self.position = page_size as u64;
        }
        Ok(())
    }

    fn put(&mut self, offset: u64, content: &[u8]) -> io::Result<()> {
        let end = offset + content.len() as u64;
        if self.compressor.is_some() {
            self.leave_room(content.len())?;
        }
        if let Some(compressor) = &mut self.compressor {
            zeros(offset - self.position, compressor, &mut self.out)?;
            compressor.write(content, &mut self.out)?;
        } else {
            if offset != self.position {
                self.out.seek(SeekFrom::Start(offset))?;
            }
            self.out.write_all(content)?;
        }
        self.position = end;
        Ok(())
    }
}

/// Puts this many zero bytes into the stream: a page that never comes.
fn zeros(mut count: u64, compressor: &mut Compressor, out: &mut impl Write) -> io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let now = count.min(ZEROS.len() as u64);
        compressor.write(&ZEROS[..usize::try_from(now).unwrap_or(0)], out)?;
        count -= now;
    }
    Ok(())
}

impl PageVisitor for FullWriter {
    fn page(&mut self, number: u32, content: &[u8]) -> Result<()> {
        self.hashes.put(number, content);
        if number == 1 {
            self.page_one = content.to_vec();
            return Ok(());
        }
        let offset = u64::from(number - 1) * content.len() as u64;
        self.put(offset, content).map_err(|error| Error::io("write the backup", &self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn written(compression: Compression, numbers: &[u32], page_count: u32) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut writer = FullWriter::new(File::create(&path).unwrap(), &path, (compression, 1)).unwrap();
        for &number in numbers {
            writer.page(number, &[number as u8; 512]).unwrap();
        }
        let hashes = writer.finish(Geometry { page_size: 512, page_count }).unwrap();
        assert_eq!(hashes.len(), page_count as usize);
        let mut content = Vec::new();
        frames::reader(File::open(&path).unwrap(), compression).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn pages_stand_at_their_places_and_one_that_never_comes_is_zero() {
        for compression in Compression::ALL {
            let content = written(compression, &[2, 4, 5, 1], 6);
            let firsts: Vec<u8> = content.chunks(512).map(|page| page[0]).collect();
            assert_eq!(firsts, [1, 2, 0, 4, 5, 0], "{compression:?}");
            assert_eq!(content.len(), 6 * 512);
        }
    }

    #[test]
    fn a_database_of_one_page() {
        for compression in Compression::ALL {
            assert_eq!(written(compression, &[1], 1), [1; 512], "{compression:?}");
        }
    }

    #[test]
    fn a_gap_right_behind_page_one() {
        for compression in Compression::ALL {
            let content = written(compression, &[3, 1], 3);
            assert_eq!((content[0], content[512], content[1024]), (1, 0, 3), "{compression:?}");
        }
    }
}
