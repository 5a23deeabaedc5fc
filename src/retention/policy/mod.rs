//! A retention policy.

pub mod object;
pub mod text;

use super::rules::Rules;

/// More backups or days than anybody has; a larger number is a mistake.
pub(super) const LARGEST: u64 = 1_000_000;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The only series that it is about.
    pub name: Option<String>,
    /// Whether it is also about adopted files.
    pub adopted: bool,
    /// Without any, all backups are kept.
    pub keep: Option<Rules>,
    /// Deletes older backups.
    pub max_age_days: Option<u64>,
    /// Deletes the oldest until the rest fits.
    pub max_total_bytes: Option<u64>,
}
