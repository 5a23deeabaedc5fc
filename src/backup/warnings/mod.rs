//! Warnings about backups.

pub mod leftovers;
pub mod lost_tasks;
