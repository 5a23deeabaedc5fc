//! Backups: takes snapshots, stores them as artifacts, and lists them in a catalog.

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
