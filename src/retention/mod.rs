//! Retention: which backups to keep. Pure: reads neither clock nor disk.
//!
//! | module | |
//! | --- | --- |
//! | [`item`] | a backup as retention sees it |
//! | [`policy`] | what to keep |
//! | [`policy::text`] | parses a policy |
//! | [`policy::object`] | parses a policy object in JSON |
//! | [`span`] | durations such as `2y5m7d3h` |
//! | [`rules`] | the `keep_` rules |
//! | [`tasks`] | backups without tasks |
//! | [`clocks`] | which timestamps to believe |
//! | [`chains`] | backups that build on each other |
//! | [`plan`] | the result: keep or delete, and why |

pub mod chains;
pub mod clocks;
pub mod item;
pub mod plan;
pub mod policy;
pub mod rules;
pub mod span;
pub mod tasks;

#[cfg(test)]
mod tests;
