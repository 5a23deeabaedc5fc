//! Backups of nothing must not push those of something out.
//!
//! # Promise
//!
//! A queue that was cut to nothing goes on to be backed up, and each such backup is sound. So, as long as no newer backup has tasks:
//!
//! - the newest backup with tasks stays, also of those that a policy is about, and so does the newest verified one of these;
//! - backups without tasks, or without a task table, that are newer than the newest one with tasks take no slot from those with tasks:
//!   what the `keep_` rules keep without them stays, too.
//!
//! It ends with the next backup that has tasks: then they are backups like any other. Whoever emptied the queue on purpose keeps at most
//! as many backups more as the policy allows, and can delete them by order.

use super::item::{Item, Tasks};

/// Why the newest backup with tasks is kept.
pub const NEWEST: &str = "newest backup with tasks";

impl Item {
    /// Whether it has tasks, as far as it can be believed.
    pub fn has_tasks(&self) -> bool {
        self.tasks == Tasks::There && self.untouchable.is_none()
    }
}

/// The newest of `subjects` (places, newest first) that has tasks.
pub fn newest(items: &[&Item], subjects: &[usize]) -> Option<usize> {
    subjects.iter().copied().find(|&place| items[place].has_tasks())
}

/// Those of `subjects` that are not of nothing, or are older than `newest`, which has tasks; `None` if those are all.
pub fn others(items: &[&Item], subjects: &[usize], newest: usize) -> Option<Vec<usize>> {
    let rank = subjects.iter().position(|&place| place == newest)?;
    let (newer, older) = subjects.split_at(rank);
    let newer = newer.iter().filter(|&&place| items[place].tasks != Tasks::Gone);
    let others: Vec<usize> = newer.chain(older).copied().collect();
    (others.len() < subjects.len()).then_some(others)
}
