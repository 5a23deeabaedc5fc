//! Tasks' values for display.
//!
//! # Promise
//!
//! A text or BLOB longer than any sensible id, status, worker or time is cut. Whoever can write a task
//! decides its length, and a single copy could exceed the host's memory.

use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};

use crate::bounds::CELL;
use crate::error::Result;
use crate::memory;

/// A column's value; invalid UTF-8 becomes U+FFFD.
pub fn cell(row: &Row<'_>, column: usize) -> Result<Value> {
    shown(row.get_ref(column)?)
}

pub fn shown(value: ValueRef<'_>) -> Result<Value> {
    // The values of one row can exceed the memory reserve.
    memory::check()?;
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(text(bytes)),
        ValueRef::Blob(bytes) => Value::Blob(bytes[..bytes.len().min(CELL)].to_vec()),
    })
}

/// Decodes a text, and marks a cut with `…`.
pub fn text(bytes: &[u8]) -> String {
    match bytes.get(..CELL) {
        Some(beginning) if bytes.len() > CELL => format!("{}…", String::from_utf8_lossy(beginning)),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_shown_by_its_beginning() {
        assert_eq!(text(b"worker\xff"), "worker\u{fffd}");
        assert_eq!(text(&[b'x'; CELL]).len(), CELL);
        let shown = text(&[b'x'; CELL + 1]);
        assert!(shown.ends_with("x…") && shown.chars().count() == CELL + 1);
    }
}
