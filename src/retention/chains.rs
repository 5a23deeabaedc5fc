//! Chains of backups that build on each other.
//!
//! # Promise
//!
//! Each kept backup keeps everything that it builds on, as far as the catalog knows it. A backup that is kept
//! only for others goes with the last of these. Cycles and missing parents in a broken catalog are harmless:
//! backups in a cycle are kept.

use std::collections::HashMap;

use super::item::Item;

/// Which of a list of backups are kept, given their dependencies. A backup is identified by its index in the
/// list.
pub struct Chains {
    parents: Vec<Option<usize>>,
    /// Number of kept backups that build directly on each.
    children: Vec<usize>,
    /// Kept for their own sake.
    wanted: Vec<bool>,
    stays: Vec<bool>,
}

impl Chains {
    /// Keeps the `wanted` items and what they need.
    pub fn new(items: &[&Item], wanted: Vec<bool>) -> Self {
        let places: HashMap<&str, usize> =
            items.iter().enumerate().map(|(place, item)| (item.id.as_str(), place)).collect();
        let parent = |item: &&Item| item.parent_id.as_deref().and_then(|id| places.get(id).copied());
        let mut chains = Self {
            parents: items.iter().map(parent).collect(),
            children: vec![0; items.len()],
            stays: wanted.clone(),
            wanted,
        };
        for start in 0..items.len() {
            if chains.wanted[start] {
                chains.hold_parents(start);
            }
        }
        chains
    }

    /// Marks all ancestors of a wanted backup as kept.
    fn hold_parents(&mut self, start: usize) {
        let mut child = start;
        while let Some(parent) = self.parents[child] {
            self.children[parent] += 1;
            if self.stays[parent] {
                // It is wanted or was reached before, so its own parents are counted already.
                break;
            }
            self.stays[parent] = true;
            child = parent;
        }
    }

    pub fn stays(&self, place: usize) -> bool {
        self.stays[place]
    }

    /// No longer wants a backup. Returns those that are thereby not kept: it and its otherwise unneeded
    /// ancestors, unless it is needed itself.
    pub fn give_up(&mut self, place: usize) -> Vec<usize> {
        self.wanted[place] = false;
        let mut gone = Vec::new();
        let mut next = Some(place);
        while let Some(place) = next.filter(|&place| self.stays[place] && !self.wanted[place]) {
            if self.children[place] > 0 {
                break;
            }
            self.stays[place] = false;
            gone.push(place);
            next = self.parents[place];
            if let Some(parent) = next {
                self.children[parent] -= 1;
            }
        }
        gone
    }

    /// For each backup, the kept ones that build directly on it.
    pub fn needed_by(&self) -> Vec<Vec<usize>> {
        let mut needed_by = vec![Vec::new(); self.parents.len()];
        for (child, parent) in self.parents.iter().enumerate() {
            if let (Some(parent), true) = (*parent, self.stays[child]) {
                needed_by[parent].push(child);
            }
        }
        needed_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `parents[n]` is what backup n builds on.
    fn chains(parents: &[Option<usize>], wanted: &[usize]) -> Chains {
        let items: Vec<Item> = parents
            .iter()
            .enumerate()
            .map(|(place, parent)| Item {
                id: place.to_string(),
                parent_id: parent.map(|parent| parent.to_string()),
                ..Item::default()
            })
            .collect();
        let items: Vec<&Item> = items.iter().collect();
        Chains::new(&items, (0..parents.len()).map(|place| wanted.contains(&place)).collect())
    }

    fn staying(chains: &Chains) -> Vec<usize> {
        (0..chains.stays.len()).filter(|&place| chains.stays(place)).collect()
    }

    #[test]
    fn what_is_needed_stays_and_goes_with_the_last_that_needs_it() {
        // 4 is a full backup, 3 builds on it, 2 and 1 on 3; 0 is independent.
        let mut chains = chains(&[None, Some(3), Some(3), Some(4), None], &[1, 2]);
        assert_eq!(staying(&chains), [1, 2, 3, 4]);
        assert_eq!(chains.needed_by()[3], [1, 2]);
        assert_eq!(chains.give_up(2), [2]);
        assert_eq!(chains.give_up(1), [1, 3, 4]);
        assert!(staying(&chains).is_empty());
    }

    #[test]
    fn what_is_wanted_itself_stays_without_its_child() {
        let mut chains = chains(&[Some(1), Some(2), None], &[0, 1]);
        assert!(chains.give_up(1).is_empty());
        assert_eq!(staying(&chains), [0, 1, 2]);
        assert_eq!(chains.give_up(0), [0, 1, 2]);
        assert!(chains.give_up(0).is_empty());
    }

    #[test]
    fn broken_catalogs_come_to_an_end() {
        let mut circle = chains(&[Some(1), Some(0), Some(2), Some(9)], &[0, 2, 3]);
        assert_eq!(staying(&circle), [0, 1, 2, 3]);
        assert!(circle.give_up(0).is_empty());
        assert!(circle.give_up(2).is_empty(), "it is its own parent");
        assert_eq!(circle.give_up(3), [3]);
    }
}
