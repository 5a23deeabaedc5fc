//! The types of settings, and the check of a value against its type.
//!
//! # Promise
//!
//! [`Kind::accept`] is pure: it returns the value to store, or `None`. [`Kind::allowed`] describes what is
//! accepted. A number written as text is a number, as shells pass everything as text.

use rusqlite::types::Value;

use super::status_list;
use super::value::{real, text, whole};

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Not empty.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// 0 or 1.
    Flag,
    /// An integer in this range.
    Whole(i64, i64),
    /// A number in this range.
    Real(f64, f64),
    /// A table's name.
    Table,
    /// A column of the task table; empty if the queue has none.
    Column,
    /// A JSON array of columns of the task table.
    Columns,
    /// A column of another table.
    OtherColumn,
    /// A text or an integer.
    Status,
    /// A status, or a non-empty JSON array of statuses.
    Statuses,
    /// A status, or a JSON array, perhaps empty, of statuses and objects such as `{"Failed": "at_limit"}`.
    Finished,
    /// A text or integer as this function accepts and normalizes it; described by the text.
    Checked(fn(&str) -> Option<String>, &'static str),
    /// The same for a text that may contain a secret: a refused one is not repeated in the error.
    Guarded(fn(&str) -> Option<String>, &'static str),
}

impl Kind {
    /// Describes what is accepted.
    pub fn allowed(self) -> String {
        match self {
            Self::Text => "a text that is not empty".into(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Flag => "0 or 1".into(),
            Self::Whole(1, i64::MAX) => "a whole number above 0".into(),
            Self::Whole(from, to) => format!("a whole number from {from} to {to}"),
            Self::Real(from, f64::MAX) => format!("a number, {from} or more"),
            Self::Real(from, to) => format!("a number from {from} to {to}"),
            Self::Table => "the name of a table".into(),
            Self::Column => {
                "the name of a column of the task table, or an empty text where the queue has none".into()
            }
            Self::Columns => r#"a JSON array with names of columns of the task table, such as '["done_at"]'"#.into(),
            Self::OtherColumn => "the name of a column".into(),
            Self::Status => "a status: a text or a whole number".into(),
            Self::Statuses => {
                r#"a status, or a JSON array of some, such as '["leased", "processing"]' or '[1, 2]'"#.into()
            }
            Self::Finished => {
                r#"a status, or a JSON array of some, such as '["completed", "failed"]'; an element may be an object such as {"failed": "at_limit"}: such a task is finished only when it has used up its attempts"#.into()
            }
            Self::Checked(_, words) | Self::Guarded(_, words) => words.into(),
        }
    }

    /// A refused value as errors show it.
    pub fn refused(self, value: &Value) -> String {
        if matches!(self, Self::Guarded(..)) {
            return "that".into();
        }
        shown(value)
    }

    /// The value to store, or `None` if it is refused.
    pub fn accept(self, value: &Value) -> Option<Value> {
        match self {
            Self::Text | Self::Table | Self::OtherColumn => {
                text(value).filter(|text| !text.is_empty()).map(Value::from)
            }
            Self::Column => text(value).map(Value::from),
            Self::Choice(words) => {
                let word = text(value)?;
                words.iter().find(|known| known.eq_ignore_ascii_case(&word)).map(|&word| Value::from(word.to_owned()))
            }
            Self::Flag => whole(value).filter(|number| [0, 1].contains(number)).map(Value::from),
            Self::Whole(from, to) => whole(value).filter(|number| (from..=to).contains(number)).map(Value::from),
            Self::Real(from, to) => {
                let number = real(value).filter(|number| (from..=to).contains(number))?;
                // 64 stays 64, not 64.0.
                Some(whole(value).or_else(|| whole(&Value::Real(number))).map_or(Value::Real(number), Value::Integer))
            }
            Self::Columns => texts(&text(value)?).map(|names| Value::from(serde_json::json!(names).to_string())),
            Self::Status => status_list::accept_one(value),
            Self::Statuses => status_list::accept_some(value),
            Self::Finished => status_list::accept_finished(value),
            Self::Checked(check, _) | Self::Guarded(check, _) => match value {
                Value::Integer(number) => check(&number.to_string()).map(Value::from),
                _ => check(&text(value)?).map(Value::from),
            },
        }
    }
}

/// A value as errors show it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("'{}'", text.escape_debug()),
        Value::Blob(_) => "a BLOB".into(),
    }
}

/// The names in a [`Kind::Columns`] value.
pub fn names(value: &Value) -> Option<Vec<String>> {
    match Kind::Columns.accept(value)? {
        Value::Text(text) => serde_json::from_str(&text).ok(),
        _ => None,
    }
}

/// Parses a JSON array of texts that are not empty and contain no NUL.
pub fn texts(array: &str) -> Option<Vec<String>> {
    let texts: Vec<String> = serde_json::from_str(array).ok()?;
    texts.iter().all(|text| !text.is_empty() && !text.contains('\0')).then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn numbers_may_be_written_as_text() {
        let kind = Kind::Whole(1, 9);
        for fine in [Value::Integer(7), Value::Real(7.0), given("7"), given(" 7 ")] {
            assert_eq!(kind.accept(&fine), Some(Value::Integer(7)), "{fine:?}");
        }
        for bad in
            [Value::Integer(0), Value::Integer(10), Value::Real(1.5), given("x"), given(""), Value::Blob(vec![55])]
        {
            assert_eq!(kind.accept(&bad), None, "{bad:?}");
        }
        assert_eq!(Kind::Real(0.0, 100.0).accept(&given("12.5")), Some(Value::Real(12.5)));
        assert_eq!(Kind::Real(0.0, 100.0).accept(&given("12")), Some(Value::Integer(12)));
        assert_eq!(Kind::Real(0.0, 100.0).accept(&given("1e1")), Some(Value::Integer(10)));
        assert_eq!(Kind::Real(0.0, f64::MAX).accept(&Value::Real(f64::INFINITY)), None);
        assert_eq!(Kind::Real(0.0, f64::MAX).accept(&given("nan")), None);
        assert_eq!(Kind::Flag.accept(&Value::Integer(2)), None);
    }

    #[test]
    fn words_are_stored_as_they_are_spelt_here() {
        let kind = Kind::Choice(&["unix", "text"]);
        assert_eq!(kind.accept(&given("UNIX")), Some(given("unix")));
        assert_eq!(kind.accept(&given("Unix ")), None);
        assert_eq!(kind.allowed(), "one of 'unix', 'text'");
    }

    #[test]
    fn columns_may_be_none_and_tables_not() {
        assert_eq!(Kind::Column.accept(&given("")), Some(given("")));
        assert_eq!(Kind::Table.accept(&given("")), None);
        assert_eq!(Kind::Table.accept(&given("a\0b")), None);
        assert_eq!(names(&given("[\"a\"]")), Some(vec!["a".to_owned()]));
        assert_eq!(names(&given("[\"\"]")), None);
    }
}
