//! Retention: which backups stay. Pure: nothing here looks at a clock or a disk.

pub mod plan;
pub mod policy;
