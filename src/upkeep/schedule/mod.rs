//! The schedule.

pub mod cron;
