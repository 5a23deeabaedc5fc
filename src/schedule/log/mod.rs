//! The schedule's log in the database: which jobs and steps ran, with their results.

pub mod read;
pub mod steps;
pub mod write;
