//! What a user should be told of backups and did not ask for.

pub mod leftovers;
pub mod lost_tasks;
