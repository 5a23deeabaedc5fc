//! Upkeep: measuring the database and keeping it in shape.

pub mod checkpoint;
pub mod schedule;
pub mod stats;
