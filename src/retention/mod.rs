//! Retention: which backups stay. Pure: nothing here looks at a clock or a disk.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`policy`] | what callers write, made into a policy |
//! | [`written`] | the policy object in JSON |
//! | [`span`] | durations such as `2y5m7d3h` |
//! | [`rules`] | the `keep_` rules |
//! | [`tasks`] | backups of nothing |
//! | [`chains`] | which backups others build on |
//! | [`plan`] | all of it together: keep or delete, and why |

pub mod chains;
pub mod plan;
pub mod policy;
pub mod rules;
pub mod span;
pub mod tasks;
pub mod written;

#[cfg(test)]
mod goldens;
#[cfg(test)]
mod properties;
