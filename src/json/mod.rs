//! Serialization to JSON that fails with `SQLITE_NOMEM` instead of aborting, however long the text (see
//! [`memory`]).

pub mod canonical;
pub mod object;

use std::io::{self, Write};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::memory;

/// On one line, with capacity for a C string's NUL.
pub fn text(value: &impl Serialize) -> Result<String> {
    String::from_utf8(bytes(value)?).map_err(|error| internal(&error))
}

pub fn bytes(value: &impl Serialize) -> Result<Vec<u8>> {
    written(|out| serde_json::to_writer(out, value))
}

/// Indented.
pub fn pretty<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    written(|out| serde_json::to_writer_pretty(out, value))
}

fn written(write: impl FnOnce(&mut Text) -> serde_json::Result<()>) -> Result<Vec<u8>> {
    let mut out = Text { bytes: Vec::new(), refused: None };
    let written = write(&mut out);
    out.refused.map_or(Ok(()), Err)?;
    written.map_err(|error| internal(&error))?;
    memory::grow(&mut out.bytes, 1)?;
    Ok(out.bytes)
}

fn internal(error: &dyn std::error::Error) -> Error {
    Error::internal(format!("the result cannot be written as JSON ({error})"))
}

struct Text {
    bytes: Vec<u8>,
    refused: Option<Error>,
}

impl Write for Text {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let room = memory::check().and_then(|()| memory::grow(&mut self.bytes, piece.len()));
        if let Err(error) = room {
            self.refused = Some(error);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_room_for_its_end() {
        let text = text(&["a\"b", "é"]).unwrap();
        assert_eq!(text, r#"["a\"b","é"]"#);
        assert!(text.capacity() > text.len());
        assert_eq!(pretty(&[1]).unwrap(), b"[\n  1\n]");
    }
}
