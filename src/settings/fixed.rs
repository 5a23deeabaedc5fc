//! A value that is written in the source: the default of a setting, or what a preset says instead.

use rusqlite::types::Value;

/// A value that is written in the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fixed {
    /// No value.
    Nothing,
    /// A text.
    Text(&'static str),
    /// A whole number.
    Whole(i64),
}

impl Fixed {
    /// The value as SQLite has it.
    pub fn value(self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Text(text) => Value::Text(text.into()),
            Self::Whole(number) => Value::Integer(number),
        }
    }
}
