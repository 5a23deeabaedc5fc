//! A retention policy.

use super::rules::Rules;

/// More backups or days than anybody has; a larger number is a slip.
pub(super) const LARGEST: u64 = 1_000_000;

/// What to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The only series that it is about.
    pub name: Option<String>,
    /// Whether it is also about files that the catalog adopted.
    pub adopted: bool,
    /// The `keep_` rules; without any, all backups are kept.
    pub keep: Option<Rules>,
    /// Delete what is older, in days.
    pub max_age_days: Option<u64>,
    /// Delete the oldest until the others are no larger together.
    pub max_total_bytes: Option<u64>,
}
