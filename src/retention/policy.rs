//! Retention policies, read from what callers write.
//!
//! # Promise
//!
//! A count, as an integer or as text, keeps that many of the newest backups of a directory. A policy that would keep
//! nothing is an error, as with `restic forget`.

use crate::error::{Error, Result};

/// More backups than anybody has; a larger count is a slip.
const LARGEST_COUNT: i64 = 1_000_000;

/// What to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The newest backups.
    pub keep_last: usize,
}

impl Policy {
    /// The policy that keeps the newest `count` backups.
    ///
    /// # Errors
    ///
    /// A count below 1 or beyond reason.
    pub fn from_count(count: i64) -> Result<Self> {
        match usize::try_from(count) {
            Ok(keep_last) if (1..=LARGEST_COUNT).contains(&count) => Ok(Self { keep_last }),
            _ => Err(Error::usage(format!(
                "keep is {count}; pass how many of the newest backups to keep, from 1 to {LARGEST_COUNT} (a policy \
                 that keeps nothing is refused)"
            ))),
        }
    }

    /// The policy that a text spells.
    ///
    /// # Errors
    ///
    /// Anything but a whole number in the range of [`Policy::from_count`].
    pub fn from_text(text: &str) -> Result<Self> {
        match text.trim().parse::<i64>() {
            Ok(count) => Self::from_count(count),
            Err(_) => Err(Error::usage(format!(
                "keep is '{}'; pass how many of the newest backups to keep, such as 7",
                text.escape_debug()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_numbers_and_as_text() {
        assert_eq!(Policy::from_count(7).unwrap(), Policy { keep_last: 7 });
        assert_eq!(Policy::from_text(" 7 ").unwrap(), Policy { keep_last: 7 });
    }

    #[test]
    fn what_keeps_nothing_or_makes_no_sense_is_refused_in_words() {
        for count in [0, -1, i64::MIN, i64::MAX, LARGEST_COUNT + 1] {
            assert!(Policy::from_count(count).unwrap_err().message().contains("from 1 to"), "{count}");
        }
        for text in ["", "x", "7.5", "7;", "99999999999999999999"] {
            assert!(Policy::from_text(text).is_err(), "{text}");
        }
    }
}
