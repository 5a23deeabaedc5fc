//! Retention: which backups stay. Pure: nothing here looks at a clock or a disk.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`item`] | a backup, as far as retention cares |
//! | [`policy`] | what to keep |
//! | [`policy_text`] | what callers write, made into a policy |
//! | [`policy_object`] | the policy object in JSON |
//! | [`span`] | durations such as `2y5m7d3h` |
//! | [`rules`] | the `keep_` rules |
//! | [`tasks`] | backups of nothing |
//! | [`clocks`] | which times are believed |
//! | [`chains`] | which backups others build on |
//! | [`plan`] | all of it together: keep or delete, and why |

pub mod chains;
pub mod clocks;
pub mod item;
pub mod plan;
pub mod policy;
pub mod policy_object;
pub mod policy_text;
pub mod rules;
pub mod span;
pub mod tasks;

#[cfg(test)]
mod goldens;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod properties;
