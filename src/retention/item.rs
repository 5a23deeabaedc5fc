//! A backup as retention sees it.

use chrono::{DateTime, Utc};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    /// Its name in reasons.
    pub label: String,
    /// Position in the order of creation.
    pub made: u64,
    /// By the clock of that time.
    pub created_at: DateTime<Utc>,
    /// Whether `created_at` is known to be wrong.
    pub wrong_clock: bool,
    /// Whether the caller has made it just now.
    pub just_made: bool,
    pub size_bytes: u64,
    /// The series.
    pub name: Option<String>,
    /// The backup that it builds on.
    pub parent_id: Option<String>,
    /// Whether it ever passed a verification.
    pub verified: bool,
    pub tasks: Tasks,
    /// Whether it was a file without a catalog entry.
    pub adopted: bool,
    /// Why it must not be touched, if so.
    pub untouchable: Option<&'static str>,
}

/// Whether a backup contains tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tasks {
    /// Not counted.
    #[default]
    Unknown,
    /// None, or no task table.
    Gone,
    There,
}
