//! The queue itself: its shape, its leases, its depth.

pub mod blocked;
pub mod cells;
pub mod changes;
pub mod counts;
pub mod depth;
pub mod leases;
pub mod pace;
pub mod patience;
pub mod requeue;
pub mod shape;
pub mod stale;
pub mod time;
pub mod unknown;
pub mod unreadable;
