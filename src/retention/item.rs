//! One backup, as far as retention cares: what the rest of it decides on.

use chrono::{DateTime, Utc};

/// One backup, as far as retention cares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// The backup's id.
    pub id: String,
    /// What to call it in reasons.
    pub label: String,
    /// Its place in the order of making: the greater, the later.
    pub made: u64,
    /// When it was made, by the clock of that time.
    pub created_at: DateTime<Utc>,
    /// Whether its time is known to be wrong.
    pub wrong_clock: bool,
    /// Whether the caller has made it just now.
    pub just_made: bool,
    /// The file's length.
    pub size_bytes: u64,
    /// The series that it belongs to.
    pub name: Option<String>,
    /// The backup that it builds on.
    pub parent_id: Option<String>,
    /// Whether it ever passed a verification.
    pub verified: bool,
    /// Whether it has tasks.
    pub tasks: Tasks,
    /// Whether it is a file that the catalog adopted.
    pub adopted: bool,
    /// Why it must not be touched, if so.
    pub untouchable: Option<&'static str>,
}

/// What a backup has of tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tasks {
    /// Nobody counted them.
    #[default]
    Unknown,
    /// None, or no task table.
    Gone,
    /// Some.
    There,
}
