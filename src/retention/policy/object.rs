//! Parses the policy object in JSON.
//!
//! # Promise
//!
//! A key that is null or missing is not used. Unknown keys, wrong types and numbers out of range are errors
//! that name the key and what is allowed.
//!
//! # How
//!
//! By serde; serde_path_to_error adds the key to errors that do not name one.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};

use super::{LARGEST, Policy};
use crate::error::{Error, Result};
use crate::retention::rules::Rules;
use crate::retention::span::Span;

/// The largest INTEGER of SQLite.
const LARGEST_BYTES: u64 = i64::MAX.unsigned_abs();

pub fn parse(text: &str) -> Result<Policy> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let written: Written = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        // An error of the object itself has no path.
        let path = error.path().to_string();
        let key = if path == "." || path == "?" { String::new() } else { format!("{path}: ") };
        Error::usage(format!("the policy object is not understood: {key}{}", error.inner()))
    })?;
    reader.end().map_err(|error| Error::usage(format!("the policy object is not understood: {error}")))?;
    written.checked()
}

/// The object as written; see [`Policy`].
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    adopted: Option<bool>,
    keep_last: Option<Count>,
    keep_within: Option<Span>,
    keep_hourly: Option<Count>,
    keep_daily: Option<Count>,
    keep_weekly: Option<Count>,
    keep_monthly: Option<Count>,
    keep_yearly: Option<Count>,
    max_age_days: Option<Number<1, LARGEST>>,
    max_total_bytes: Option<Number<1, LARGEST_BYTES>>,
}

impl Written {
    fn checked(self) -> Result<Policy> {
        let counts = [
            &self.keep_last,
            &self.keep_hourly,
            &self.keep_daily,
            &self.keep_weekly,
            &self.keep_monthly,
            &self.keep_yearly,
        ];
        let any = self.keep_within.is_some() || counts.iter().any(|count| count.is_some());
        let [last, hourly, daily, weekly, monthly, yearly] =
            counts.map(|count| count.as_ref().map_or(0, |count| usize::try_from(count.0).unwrap_or(usize::MAX)));
        let rules = Rules { last, within: self.keep_within, hourly, daily, weekly, monthly, yearly };
        let limits = self.max_age_days.is_some() || self.max_total_bytes.is_some();
        if any && rules.keep_nothing() {
            return Err(nothing("all its keep_ rules are 0"));
        }
        if !any && !limits {
            return Err(nothing("it has no rule"));
        }
        Ok(Policy {
            name: self.name,
            adopted: self.adopted.unwrap_or_default(),
            keep: any.then_some(rules),
            max_age_days: self.max_age_days.map(|days| days.0),
            max_total_bytes: self.max_total_bytes.map(|bytes| bytes.0),
        })
    }
}

fn nothing(why: &str) -> Error {
    Error::usage(format!(
        "the policy object keeps nothing and is refused: {why}; give it at least one of keep_last, keep_within, \
         keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_yearly (or, to keep everything else, max_age_days or \
         max_total_bytes alone)"
    ))
}

type Count = Number<0, LARGEST>;

/// An integer in a range; as for a REAL in SQL, a JSON number without a fraction is one.
#[derive(Debug)]
struct Number<const LEAST: u64, const MOST: u64>(u64);

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Number<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_u64(Range)
    }
}

struct Range<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> Visitor<'_> for Range<LEAST, MOST> {
    type Value = Number<LEAST, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {LEAST} to {MOST}")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> std::result::Result<Self::Value, E> {
        if (LEAST..=MOST).contains(&number) {
            return Ok(Number(number));
        }
        Err(E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> std::result::Result<Self::Value, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> std::result::Result<Self::Value, E> {
        /// 2^53: up to here every integer is exact.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() != 0.0 || !(0.0..=EXACT).contains(&number) {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // The range was checked.
        self.visit_u64(number as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        parse(text).unwrap().keep.unwrap()
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().message().to_owned()
    }

    #[test]
    fn an_object_with_everything() {
        let policy = parse(
            r#" {"name": "daily", "adopted": true, "keep_last": 1, "keep_within": "2y5m7d3h", "keep_hourly": 2,
                 "keep_daily": 3, "keep_weekly": 4, "keep_monthly": 5.0, "keep_yearly": 6, "max_age_days": 7,
                 "max_total_bytes": 9223372036854775807} "#,
        );
        let keep = Rules {
            last: 1,
            within: Some("2y5m7d3h".parse().unwrap()),
            hourly: 2,
            daily: 3,
            weekly: 4,
            monthly: 5,
            yearly: 6,
        };
        let expected = Policy {
            name: Some("daily".into()),
            adopted: true,
            keep: Some(keep),
            max_age_days: Some(7),
            max_total_bytes: Some(LARGEST_BYTES),
        };
        assert_eq!(policy.unwrap(), expected);
    }

    #[test]
    fn null_is_left_out_and_limits_alone_keep_the_rest() {
        assert_eq!(rules(r#"{"name": null, "keep_daily": null, "keep_last": 2}"#).last, 2);
        let policy = parse(r#"{"max_age_days": 30}"#).unwrap();
        assert_eq!(policy, Policy { max_age_days: Some(30), ..Policy::default() });
    }

    #[test]
    fn objects_that_keep_nothing_are_refused() {
        for text in [
            "{}",
            r#"{"name": "daily", "adopted": true}"#,
            r#"{"keep_last": null}"#,
            r#"{"keep_last": 0, "keep_within": "0d"}"#,
            r#"{"keep_last": 0, "max_age_days": 30}"#,
        ] {
            let message = refusal(text);
            assert!(message.contains("keeps nothing") && message.contains("keep_yearly"), "{text}: {message}");
        }
    }

    #[test]
    fn what_is_wrong_in_an_object_is_named_with_what_is_allowed() {
        for (text, named) in [
            (r#"{"keep_dayly": 7}"#, vec!["`keep_dayly`", "`keep_daily`", "`max_total_bytes`"]),
            (r#"{"keep_last": -1}"#, vec!["keep_last: ", "`-1`", "from 0 to 1000000"]),
            (r#"{"keep_last": 1000001}"#, vec!["keep_last: ", "`1000001`", "from 0 to 1000000"]),
            (r#"{"keep_daily": 1e99}"#, vec!["keep_daily: ", "from 0 to 1000000"]),
            (r#"{"keep_daily": 7.5}"#, vec!["keep_daily: ", "7.5", "a whole number"]),
            (r#"{"keep_weekly": "7"}"#, vec!["keep_weekly: ", "string", "a whole number"]),
            (r#"{"keep_monthly": true}"#, vec!["keep_monthly: ", "boolean", "a whole number"]),
            (r#"{"keep_yearly": [1]}"#, vec!["keep_yearly: ", "sequence", "a whole number"]),
            (r#"{"keep_within": 7}"#, vec!["keep_within: ", "such as \"2y5m7d3h\""]),
            (r#"{"keep_within": "7x"}"#, vec!["keep_within: ", "'7x'", "such as 2y5m7d3h"]),
            (r#"{"max_age_days": 0}"#, vec!["max_age_days: ", "from 1 to 1000000"]),
            (r#"{"max_total_bytes": 0}"#, vec!["max_total_bytes: ", "from 1 to 9223372036854775807"]),
            (r#"{"max_total_bytes": 1e19}"#, vec!["max_total_bytes: ", "from 1 to"]),
            (r#"{"adopted": 1}"#, vec!["adopted: ", "a boolean"]),
            (r#"{"name": 1}"#, vec!["name: ", "a string"]),
            (r#"{"keep_last": 1, "keep_last": 2}"#, vec!["duplicate field `keep_last`"]),
            (r#"{"keep_last": 1"#, vec!["EOF"]),
            (r#"{"keep_last": 1} x"#, vec!["trailing characters"]),
        ] {
            let message = refusal(text);
            assert!(message.starts_with("the policy object is not understood: "), "{message}");
            assert!(named.iter().all(|word| message.contains(word)), "{text}: {message}");
        }
    }
}
