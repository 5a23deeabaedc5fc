//! Values of tasks as tables show them.
//!
//! # Promise
//!
//! A text or BLOB that is longer than any of a queue's ids, statuses, workers and times is shown by its beginning. Whoever can write a task
//! decides how long it is, and a single copy of what SQLite holds could be more than a host has.

use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};

use crate::bounds::CELL;
use crate::error::Result;
use crate::memory;

/// What a column holds; what is no UTF-8 in a text is shown as U+FFFD.
pub fn cell(row: &Row<'_>, column: usize) -> Result<Value> {
    shown(row.get_ref(column)?)
}

/// The same for a value.
pub fn shown(value: ValueRef<'_>) -> Result<Value> {
    // The values of one row can be more than the reserve.
    memory::check()?;
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(text(bytes)),
        ValueRef::Blob(bytes) => Value::Blob(bytes[..bytes.len().min(CELL)].to_vec()),
    })
}

/// A text, or its beginning, whose last sign then says so; it need not be UTF-8.
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
