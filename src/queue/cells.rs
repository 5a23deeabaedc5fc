//! Values of tasks as tables show them.
//!
//! # Promise
//!
//! A text or BLOB that is longer than any of a queue's ids, statuses, workers and times is shown by its beginning. Whoever can write a task
//! decides how long it is, and a single copy of what SQLite holds could be more than a host has.

use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};

use crate::bounds::CELL;

/// What a column holds; what is no UTF-8 in a text is shown as U+FFFD.
///
/// # Errors
///
/// What SQLite says.
pub fn cell(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    match row.get_ref(column)? {
        ValueRef::Text(bytes) => Ok(Value::Text(text(bytes))),
        ValueRef::Blob(bytes) if bytes.len() > CELL => Ok(Value::Blob(bytes[..CELL].to_vec())),
        _ => row.get(column),
    }
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
