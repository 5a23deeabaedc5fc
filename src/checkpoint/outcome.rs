//! Checkpoint modes and results, and which versions of SQLite have the WAL-reset bug.

use rusqlite::Connection;
use serde::Serialize;

use crate::connection::CallerState;
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Copies what it can without waiting for readers.
    Passive,
    /// Copies all frames.
    Full,
    /// Copies all, and waits until nobody reads from the WAL, so that the next writer resets it.
    Restart,
    /// The same, and truncates the WAL.
    Truncate,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Passive, Self::Full, Self::Restart, Self::Truncate];

    /// Parses a mode, ignoring case.
    pub fn from_word(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|mode| mode.word().eq_ignore_ascii_case(word)).ok_or_else(|| {
            Error::usage(format!(
                "the mode is '{}'; it can be PASSIVE, FULL, RESTART or TRUNCATE",
                word.escape_debug()
            ))
        })
    }

    /// SQLite's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passive => "PASSIVE",
            Self::Full => "FULL",
            Self::Restart => "RESTART",
            Self::Truncate => "TRUNCATE",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub mode: &'static str,
    /// 1 if the mode could not be completed, else 0.
    pub busy: i64,
    pub log: i64,
    /// Frames copied to the database, or -1.
    pub checkpointed: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whether this version (3051002 for 3.51.2) can lose commits during a checkpoint.
pub fn has_wal_reset_bug(version: i32) -> bool {
    match version {
        3_044_006..3_045_000 | 3_050_007..3_051_000 => false,
        _ => (3_007_000..3_051_003).contains(&version),
    }
}

/// A row of `PRAGMA wal_checkpoint`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub busy: i64,
    pub log: i64,
    pub checkpointed: i64,
}

pub(super) const NOTHING: Counts = Counts { busy: 0, log: -1, checkpointed: -1 };

impl Counts {
    pub fn complete(self) -> bool {
        self.busy == 0 && self.log == self.checkpointed
    }

    /// The only reason for which a PASSIVE checkpoint is refused.
    pub fn another_at_work(self) -> Option<String> {
        (self.busy != 0 && self.log < 0)
            .then(|| "another connection was making a checkpoint at the same time".to_owned())
    }

    pub fn outcome(self, mode: Mode, busy: i64, note: Option<String>) -> Outcome {
        Outcome { mode: mode.word(), busy, log: self.log, checkpointed: self.checkpointed, note }
    }
}

impl Mode {
    pub(super) fn nothing(self, why: impl Into<String>) -> Outcome {
        NOTHING.outcome(self, 0, Some(why.into()))
    }

    pub(super) fn no_wal(self, caller_state: &CallerState) -> Outcome {
        self.nothing(format!("there is no WAL to copy: the journal mode is {}", caller_state.journal))
    }
}

pub(super) fn pragma(conn: &Connection, mode: Mode) -> Result<Counts> {
    conn.query_row(&format!("PRAGMA main.wal_checkpoint({})", mode.word()), [], |row| {
        Ok(Counts { busy: row.get(0)?, log: row.get(1)?, checkpointed: row.get(2)? })
    })
    .map_err(|error| Error::from(error).explained().context("cannot checkpoint the WAL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_with_the_bug() {
        for version in [3_007_000, 3_037_002, 3_040_001, 3_044_005, 3_045_000, 3_050_006, 3_051_000, 3_051_002] {
            assert!(has_wal_reset_bug(version), "{version}");
        }
        for version in [3_006_023, 3_044_006, 3_044_999, 3_050_007, 3_050_010, 3_051_003, 3_052_000, 3_054_001] {
            assert!(!has_wal_reset_bug(version), "{version}");
        }
    }

    #[test]
    fn modes_are_words_in_any_case() {
        assert_eq!(Mode::from_word("truncate").unwrap(), Mode::Truncate);
        assert_eq!(Mode::from_word("Full").unwrap(), Mode::Full);
        for word in ["", "PASSIV", "FULL;", " FULL", "NOOP"] {
            let error = Mode::from_word(word).unwrap_err();
            assert!(error.message().contains("PASSIVE, FULL, RESTART or TRUNCATE"), "{error}");
        }
    }
}
