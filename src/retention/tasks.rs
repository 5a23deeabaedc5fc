//! Backups of an emptied queue must not push out those with tasks.
//!
//! # Promise
//!
//! An emptied queue is still backed up, and each such backup is sound. So while no newer backup has tasks:
//!
//! - the newest backup with tasks is kept, overall and among those that a policy is about, and so is the
//!   newest verified one of these;
//! - newer backups without tasks, or without a task table, take no slot from those with tasks: what the
//!   `keep_` rules keep without them is kept, too.
//!
//! This ends with the next backup that has tasks. Whoever emptied the queue on purpose keeps at most as many
//! extra backups as the policy allows, and can delete them explicitly.

use super::item::{Item, Tasks};

/// The reason for keeping it.
pub const NEWEST: &str = "newest backup with tasks";

impl Item {
    /// Whether it has tasks and may be believed.
    pub fn has_tasks(&self) -> bool {
        self.tasks == Tasks::There && self.untouchable.is_none()
    }
}

/// The newest of `subjects` (indices, newest first) that has tasks.
pub fn newest(items: &[&Item], subjects: &[usize]) -> Option<usize> {
    subjects.iter().copied().find(|&place| items[place].has_tasks())
}

/// The `subjects` without those that have no tasks and are newer than `newest`; `None` if there are no such.
pub fn others(items: &[&Item], subjects: &[usize], newest: usize) -> Option<Vec<usize>> {
    let rank = subjects.iter().position(|&place| place == newest)?;
    let (newer, older) = subjects.split_at(rank);
    let newer = newer.iter().filter(|&&place| items[place].tasks != Tasks::Gone);
    let others: Vec<usize> = newer.chain(older).copied().collect();
    (others.len() < subjects.len()).then_some(others)
}
