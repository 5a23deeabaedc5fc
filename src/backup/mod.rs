//! Backups: taking a snapshot, storing it as an artifact, recording it in a catalog.

pub mod adopted;
pub mod aligned;
pub mod artifact;
pub mod catalog;
pub mod check;
pub mod create;
pub mod delete;
pub mod delta;
pub mod entry;
pub mod foreign;
pub mod frames;
pub mod full;
pub mod hashfile;
pub mod locate;
pub mod options;
pub mod parent;
pub mod produce;
pub mod publish;
pub mod rebuild;
pub mod recover;
pub mod restore;
pub mod rotate;
pub mod sink;
pub mod snapshot;
pub mod target;
pub mod verify;
