//! queuekeeper keeps a SQLite-backed task queue healthy from inside SQLite: backups that finish while workers
//! keep writing, restores that are one transaction, retention, lease rescue, health checks.
//!
//! It is one library with two doors onto one core: a loadable SQLite extension (`extension`) and a C ABI
//! (`ffi`).
//!
//! # Modules
//!
//! | module | |
//! | --- | --- |
//! | `extension` | door: SQL functions and table-valued functions; only converts |
//! | `ffi` | door: C functions; only converts |
//! | `calls` | the operations that both doors offer, from arguments to a result, and the guard around them |
//! | `backup` | snapshot, artifacts, catalog; takes, verifies, restores, rotates and deletes backups |
//! | `retention` | policies and plans: which backups to keep; pure |
//! | `schedule` | which jobs are due, running them, and the log |
//! | `health` | the metrics of the queue's health |
//! | `upkeep` | statistics, integrity, VACUUM, ANALYZE |
//! | `checkpoint` | checkpoints that race no commit |
//! | `cron` | cron expressions; pure |
//! | `queue` | the queue's tables, leases and depth |
//! | `host` | the process's one SQLite: binding, allocator, threads, forks, a VFS |
//! | `connection` | the caller's connection and the sidecar |
//! | `files` | directories, locks, temporary names, owners of files |
//! | `settings` | users' settings, stored in the database |
//! | `sqlite_checks` | SQLite's integrity checks |
//! | `bounds` | bounds on reading data that others may write |
//! | `sql_tokens` | a tokenizer for SQL |
//! | `fuzzing` | what the fuzzers call; compiled for them and for tests alone |
//! | `schema`, `clock`, `json`, `memory`, `progress`, `error` | shared basics |
//!
//! The core knows neither SQL functions nor C. Only `host`, `backup::snapshot::reader_vfs`, `extension` and `ffi` contain
//! `unsafe`; the compiler refuses it elsewhere.

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
mod health;
mod host;
mod json;
mod memory;
mod phase;
mod progress;
mod queue;
mod retention;
mod schedule;
mod schema;
mod settings;
mod sql_tokens;
mod sqlite_checks;
mod upkeep;

/// The version of crate, header and `queue_version()`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
