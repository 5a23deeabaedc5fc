//! A constant value: a setting's default, or what a preset has instead.

use rusqlite::types::Value;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fixed {
    Nothing,
    Text(&'static str),
    Whole(i64),
}

impl Fixed {
    pub fn value(self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Text(text) => Value::Text(text.into()),
            Self::Whole(number) => Value::Integer(number),
        }
    }
}
