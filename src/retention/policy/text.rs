//! Parses a retention policy.
//!
//! # Promise
//!
//! There are three forms:
//!
//! - a count: that many of the newest backups;
//! - `7/4/12`: all within 7 days, one a day for 7 days, one a week for 4 weeks, one a month for 12 months; 0
//!   leaves a part out;
//! - a JSON object ([`object`]).
//!
//! As with `restic forget`, a policy that keeps nothing is an error: no rule at all, or only `keep_` rules of
//! 0. A policy of `max_` rules alone keeps everything but what these delete.

use super::object;
use super::{LARGEST, Policy};
use crate::error::{Error, Result};
use crate::retention::rules::Rules;
use crate::retention::span::Span;

/// Describes the forms, for errors.
pub const FORMS: &str = "a number of backups such as 7, counts of days, weeks and months such as '7/4/12', or a policy \
                         object such as '{\"keep_last\": 3, \"keep_daily\": 7}'";

impl Policy {
    /// Keeps the newest `count` backups; from 1 to a million.
    pub fn from_count(count: i64) -> Result<Self> {
        match usize::try_from(count) {
            Ok(last) if (1..=LARGEST.cast_signed()).contains(&count) => {
                Ok(Self::keeping(Rules { last, ..Rules::default() }))
            }
            _ => Err(Error::usage(format!(
                "keep is {count}; pass how many of the newest backups to keep, from 1 to {LARGEST} (a policy that \
                 keeps nothing is refused)"
            ))),
        }
    }

    /// Parses any of the three forms.
    pub fn from_text(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.starts_with('{') {
            return object::parse(text);
        }
        match *text.split('/').map(whole).collect::<Vec<_>>() {
            [Some(count)] => Self::from_count(count),
            [Some(daily), Some(weekly), Some(monthly)] => Self::from_counts(text, [daily, weekly, monthly]),
            _ => Err(Error::usage(format!("keep is '{}'; pass {FORMS}", text.escape_debug()))),
        }
    }

    fn from_counts(text: &str, counts: [i64; 3]) -> Result<Self> {
        let [daily, weekly, monthly] =
            counts.map(|count| u32::try_from(count).ok().filter(|&count| u64::from(count) <= LARGEST));
        let (Some(daily), Some(weekly), Some(monthly)) = (daily, weekly, monthly) else {
            return Err(Error::usage(format!("keep is '{text}'; each of its numbers goes from 0 to {LARGEST}")));
        };
        let rules = Rules {
            within: Some(Span::days(daily)),
            daily: daily as usize,
            weekly: weekly as usize,
            monthly: monthly as usize,
            ..Rules::default()
        };
        if rules.keep_nothing() {
            return Err(Error::usage(format!("keep is '{text}', which keeps nothing and is refused; pass {FORMS}")));
        }
        Ok(Self::keeping(rules))
    }

    fn keeping(rules: Rules) -> Self {
        Self { keep: Some(rules), ..Self::default() }
    }
}

/// Parses digits; numbers beyond an i64 become the largest.
fn whole(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Policy::from_text(text).unwrap().keep.unwrap()
    }

    fn refusal(text: &str) -> String {
        Policy::from_text(text).unwrap_err().message().to_owned()
    }

    #[test]
    fn counts_as_numbers_and_as_text() {
        let seven = Policy::keeping(Rules { last: 7, ..Rules::default() });
        assert_eq!(Policy::from_count(7).unwrap(), seven);
        assert_eq!(Policy::from_text(" 7 ").unwrap(), seven);
        for count in [0, -1, i64::MIN, i64::MAX, LARGEST.cast_signed() + 1] {
            assert!(Policy::from_count(count).unwrap_err().message().contains("from 1 to 1000000"), "{count}");
        }
        assert!(refusal("99999999999999999999").contains("from 1 to 1000000"));
    }

    #[test]
    fn days_weeks_and_months() {
        let expected = Rules { within: Some(Span::days(7)), daily: 7, weekly: 4, monthly: 12, ..Rules::default() };
        assert_eq!(rules("7/4/12"), expected);
        assert_eq!(rules("0/0/1"), Rules { within: Some(Span::days(0)), monthly: 1, ..Rules::default() });
        assert!(refusal("0/0/0").contains("keeps nothing"));
        assert!(refusal("7/4/1000001").contains("from 0 to 1000000"));
    }

    #[test]
    fn other_texts_are_refused_with_the_three_forms() {
        for text in ["", "x", "7.5", "7;", "+7", "-7", "7/4", "7/4/12/1", "7//12", "/", "7/ 4/12", "[7]", "\"7\""] {
            let message = refusal(text);
            assert!(message.contains("'7/4/12'") && message.contains("policy object"), "{text}: {message}");
        }
    }
}
