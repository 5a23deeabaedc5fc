//! The log of the schedule: which jobs ran, in which steps, and what became of them, in tables of the database.

pub mod read;
pub mod write;
