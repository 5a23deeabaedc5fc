//! Converts callers' values into the core's types.
//!
//! # Promise
//!
//! - NULL counts as absent, except where a number is required.
//! - A value of the wrong type is an error that names both the value and the expected type.
//! - A REAL without a fraction counts as an integer, and so does a TEXT of digits with an optional minus:
//!   Perl, Tcl and others bind every number as text. Any other character, even a blank, is refused.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::clock;
use crate::error::{Error, Result};
use crate::retention::policy::Policy;
use crate::retention::policy::text::FORMS;
use crate::schedule::run;

#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    Null,
    Integer(i64),
    Real(f64),
    /// `None` if it is not UTF-8.
    Text(Option<String>),
    Blob,
}

impl Argument {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Integer(_) => "INTEGER",
            Self::Real(number) if number.fract() != 0.0 => "REAL with a fraction",
            Self::Real(_) => "REAL",
            Self::Text(Some(_)) => "TEXT",
            Self::Text(None) => "TEXT that is not UTF-8",
            Self::Blob => "BLOB",
        }
    }

    /// A value of JSON; what SQL has no type for is a text.
    fn of_json(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::String(text) => Self::Text(Some(text)),
            serde_json::Value::Number(number) => {
                number.as_i64().map_or_else(|| Self::Real(number.as_f64().unwrap_or(f64::NAN)), Self::Integer)
            }
            other => Self::Text(Some(other.to_string())),
        }
    }

    fn whole(&self) -> Option<i64> {
        /// 2^63: the first REAL beyond i64.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        match self {
            Self::Integer(number) => Some(*number),
            #[allow(clippy::cast_possible_truncation)] // The range was checked.
            Self::Real(number) if number.fract() == 0.0 && (-LIMIT..LIMIT).contains(number) => Some(*number as i64),
            Self::Text(Some(text)) => whole(text),
            _ => None,
        }
    }
}

fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    // `parse` would accept a plus.
    if digits.starts_with('+') { None } else { text.parse().ok() }
}

pub struct Arguments(Vec<Argument>);

impl Arguments {
    /// Trailing arguments may be missing.
    pub fn new(values: Vec<Argument>) -> Self {
        Self(values)
    }

    /// The argument at `place`; NULL if missing.
    pub fn get(&self, place: usize) -> &Argument {
        self.0.get(place).unwrap_or(&Argument::Null)
    }

    pub fn text(&self, place: usize, what: &str) -> Result<Option<&str>> {
        match self.get(place) {
            Argument::Null => Ok(None),
            Argument::Text(Some(text)) => Ok(Some(text)),
            other => Err(Error::usage(format!("{what} must be TEXT, but is {}", other.kind()))),
        }
    }

    pub fn integer(&self, place: usize, what: &str) -> Result<i64> {
        let given = self.get(place);
        given.whole().ok_or_else(|| {
            let shown = match given {
                Argument::Text(Some(text)) => format!("the TEXT '{}'", text.escape_debug()),
                other => other.kind().to_owned(),
            };
            Error::usage(format!("{what} must be a whole number, but is {shown}"))
        })
    }

    pub fn integer_if_given(&self, place: usize, what: &str) -> Result<Option<i64>> {
        match self.get(place) {
            Argument::Null => Ok(None),
            _ => self.integer(place, what).map(Some),
        }
    }

    /// A time: a text as [`clock::parse`] reads it, or Unix seconds.
    pub fn time(&self, place: usize, what: &str) -> Result<Option<DateTime<Utc>>> {
        time_of(self.get(place), what)
    }

    /// A time, or a JSON object that may have one as `now`.
    pub fn time_or_options(&self, place: usize, what: &str) -> Result<run::Options> {
        match self.get(place) {
            Argument::Text(Some(text)) if text.trim_start().starts_with('{') => {
                let given: RunOptions = self.options(place)?;
                Ok(run::Options {
                    now: time_of(&Argument::of_json(given.now), what)?,
                    retry_now: given.retry_now.unwrap_or(false),
                    dry_run: given.dry_run.unwrap_or(false),
                })
            }
            given => Ok(run::Options { now: time_of(given, what)?, ..run::Options::default() }),
        }
    }

    /// Any value but a BLOB or a text that is not UTF-8.
    pub fn value(&self, place: usize, what: &str) -> Result<Value> {
        match self.get(place) {
            Argument::Null => Ok(Value::Null),
            Argument::Integer(number) => Ok(Value::Integer(*number)),
            Argument::Real(number) => Ok(Value::Real(*number)),
            Argument::Text(Some(text)) => Ok(Value::Text(text.clone())),
            other => Err(Error::usage(format!("{what} must be a text or a number, but is {}", other.kind()))),
        }
    }

    /// A retention policy, as a number or as text; required.
    pub fn policy(&self, place: usize) -> Result<Policy> {
        match self.get(place) {
            Argument::Null => Err(Error::usage(format!("keep is required, but is missing or NULL; pass {FORMS}"))),
            Argument::Text(Some(text)) => Policy::from_text(text),
            given => match given.whole() {
                Some(count) => Policy::from_count(count),
                None => Err(Error::usage(format!("keep is no policy, but {}; pass {FORMS}", given.kind()))),
            },
        }
    }

    /// Options as a JSON object; the defaults if absent. Unknown keys are refused.
    pub fn options<T: DeserializeOwned + Default>(&self, place: usize) -> Result<T> {
        let Some(text) = self.text(place, "options")? else {
            return Ok(T::default());
        };
        // serde would also read a struct from an array.
        if !text.trim_start().starts_with('{') {
            return Err(Error::usage(
                "options must be a JSON object such as {\"name\": \"daily\"}; leave them out or pass NULL for the defaults",
            ));
        }
        serde_json::from_str(text).map_err(|error| {
            Error::usage(format!(
                "options are not understood ({error}); pass a JSON object such as {{\"name\": \"daily\"}}"
            ))
        })
    }
}

/// The options of `queue_run_due()`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"dry_run\": true}")]
struct RunOptions {
    #[serde(default)]
    now: serde_json::Value,
    retry_now: Option<bool>,
    dry_run: Option<bool>,
}

fn time_of(given: &Argument, what: &str) -> Result<Option<DateTime<Utc>>> {
    let read = match given {
        Argument::Null => return Ok(None),
        Argument::Text(Some(text)) => clock::parse(text),
        #[allow(clippy::cast_possible_truncation)] // Out of range, it saturates at a year that is refused.
        Argument::Real(seconds) if seconds.is_finite() => clock::parse(&(seconds.floor() as i64).to_string()),
        given => given.whole().and_then(|seconds| clock::parse(&seconds.to_string())),
    };
    read.map(Some).ok_or_else(|| {
        let given = match given {
            Argument::Text(Some(text)) => format!("'{text}'"),
            other => other.kind().to_owned(),
        };
        Error::usage(format!(
            "{what} must be a time such as '2026-11-05 02:00:00' (UTC) or '2026-11-05T02:00:00Z', or Unix seconds, from 1970 to \
             9999, but is {given}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers() {
        let given = Arguments::new(vec![
            Argument::Integer(-3),
            Argument::Real(300.0),
            Argument::Real(0.5),
            Argument::Real(f64::INFINITY),
            Argument::Real(9.3e18),
        ]);
        assert_eq!(given.integer(0, "secs").unwrap(), -3);
        assert_eq!(given.integer(1, "secs").unwrap(), 300);
        for place in 2..6 {
            assert!(given.integer(place, "secs").is_err(), "{place}");
        }
        assert_eq!(given.integer_if_given(5, "secs").unwrap(), None);
    }

    #[test]
    fn a_text_of_digits_is_a_whole_number() {
        let given = |text: &str| Arguments::new(vec![Argument::Text(Some(text.into()))]).integer(0, "secs");
        for (text, number) in [
            ("300", 300),
            ("0", 0),
            ("-3", -3),
            ("007", 7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(given(text).unwrap(), number, "{text}");
        }
        for text in [
            "",
            " ",
            "5x",
            " 5",
            "5 ",
            "+5",
            "-+5",
            "-",
            "--5",
            "5.0",
            "1e3",
            "0x10",
            "9223372036854775808",
            "5\0",
            "٣",
        ] {
            let error = given(text).unwrap_err();
            assert!(error.message().starts_with("secs must be a whole number, but is the TEXT '"), "{text}: {error}");
        }
    }

    #[test]
    fn policies_are_numbers_or_text() {
        let seven = Policy::from_count(7).unwrap();
        let text = |text: &str| Argument::Text(Some(text.into()));
        for given in [Argument::Integer(7), Argument::Real(7.0), text("7"), text("{\"keep_last\": 7}")] {
            assert_eq!(Arguments::new(vec![given]).policy(0).unwrap(), seven);
        }
        for (given, named) in [
            (Argument::Null, "required"),
            (Argument::Real(7.5), "REAL with a fraction"),
            (Argument::Real(f64::NAN), "REAL"),
            (Argument::Blob, "BLOB"),
            (Argument::Text(None), "not UTF-8"),
            (text("x"), "'x'"),
        ] {
            let error = Arguments::new(vec![given]).policy(0).unwrap_err();
            assert!(error.message().contains(named) && error.message().contains("such as '7/4/12'"), "{error}");
        }
        assert!(Arguments::new(vec![Argument::Integer(0)]).policy(0).is_err());
        assert!(Arguments::new(Vec::new()).policy(0).is_err());
    }

    #[test]
    fn options_are_an_object_with_known_keys() {
        #[derive(Debug, Default, serde::Deserialize, PartialEq)]
        #[serde(deny_unknown_fields)]
        struct Options {
            name: Option<String>,
        }
        let parse = |text: &str| Arguments::new(vec![Argument::Text(Some(text.into()))]).options::<Options>(0);
        assert_eq!(parse(" {\"name\": \"a\"}").unwrap().name.as_deref(), Some("a"));
        assert_eq!(parse("{}").unwrap(), Options::default());
        for bad in ["", "[]", "[\"a\"]", "null", "{\"nmae\": 1}", "{\"name\": 1}", "{", "{} x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = parse("{\"nmae\": 1}").unwrap_err();
        assert!(error.message().contains("`nmae`") && error.message().contains("`name`"), "{error}");
    }
}
