//! Backups: taking a snapshot, storing it as an artifact, recording it in a catalog.

pub mod artifact;
pub mod catalog;
pub mod create;
pub mod entry;
pub mod rotate;
pub mod sink;
pub mod snapshot;
pub mod target;
pub mod verify;
