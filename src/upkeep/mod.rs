//! Upkeep: statistics, integrity, VACUUM.

pub mod analyze;
pub mod integrity;
pub mod optimize;
pub mod rowids;
pub mod stats;
pub mod vacuum;
pub mod vacuum_unattended;
