//! Backups: taking a snapshot, storing it as an artifact, recording it in a catalog.

pub mod artifact;
pub mod catalog;
pub mod delete;
pub mod find;
pub mod pipeline;
pub mod rebuild;
pub mod restore;
pub mod rotate;
pub mod snapshot;
pub mod take;
pub mod verify;
pub mod warnings;
