//! The queue: its table, leases and depth.

pub mod blocked;
pub mod changes;
pub mod counts;
pub mod default_grace;
pub mod depth;
pub mod excerpts;
pub mod filter;
pub mod leases;
pub mod mapping;
pub mod pace;
pub mod requeue;
pub mod stale;
pub mod time;
pub mod unknown_statuses;
pub mod unreadable;
