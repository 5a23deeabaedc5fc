//! queuekeeper keeps a SQLite-backed task queue healthy from inside SQLite itself: backups that finish while workers
//! keep writing, restores that are one transaction, retention, lease rescue and measures.
//!
//! It is one library with two doors onto one core: a loadable SQLite extension ([`extension`]) and a C ABI ([`ffi`]).
//!
//! # The map of the house
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`extension`] | door: SQL functions and table-valued functions; only converts |
//! | [`ffi`] | door: C functions; only converts |
//! | [`calls`] | what both doors offer: each operation once, from arguments to a result, and the guard around it |
//! | [`backup`] | snapshot, artifacts, catalog; taking, verifying, restoring, rotating and deleting backups |
//! | [`retention`] | policies and plans: which backups stay; pure |
//! | [`upkeep`] | measuring and checking the database; VACUUM, ANALYZE; the schedule |
//! | [`checkpoint`] | checkpoints that race no commit |
//! | [`cron`] | when a job's times are; pure |
//! | [`queue`] | the queue's shape, leases and depth |
//! | [`host`] | binding to the process's one SQLite |
//! | [`connection`] | the caller's connection and the sidecar |
//! | [`files`] | files, locks, temporary names; all that differs between platforms |
//! | [`settings`] | values that users set, in the database itself |
//! | [`soundness`] | what SQLite's own checks find |
//! | [`bounds`] | how much is read of what others may write |
//! | [`tokens`] | the words of a SQL text |
//! | [`schema`], [`clock`], [`json`], [`memory`], [`progress`], [`error`] | what the rest needs |
//!
//! The core knows neither SQL functions nor C. `unsafe` lives in [`host`], [`backup::snapshot`],
//! [`extension`] and [`ffi`] alone; the compiler refuses it elsewhere.

mod backup;
mod bounds;
mod calls;
mod checkpoint;
mod clock;
mod connection;
mod cron;
mod error;
mod extension;
mod ffi;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod host;
mod json;
mod memory;
mod progress;
mod queue;
mod retention;
mod schema;
mod settings;
mod soundness;
mod tokens;
mod upkeep;

/// The one version number of crate, header and `queue_version()`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
