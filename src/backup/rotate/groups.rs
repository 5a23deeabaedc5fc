//! Groups backups that are planned together: those of one source.
//!
//! # Promise
//!
//! - If the caller has a source, there is one group: its backups. Else each source in the catalog is a group.
//! - An adopted file's source is unknown. It is planned with the backups of the only source; among several
//!   sources, adopted files are a group of their own, so that they use no one's slots.
//! - The parent of a backup outside a group stays: the group's plan treats it as untouchable.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::backup::catalog::adopted::ADOPTED;
use crate::backup::catalog::entry::Entry;
use crate::backup::find::source::{Key, Source};
use crate::retention::item::Item;
use crate::retention::plan::{self, Decision};
use crate::retention::policy::Policy;

pub struct Group {
    /// The source's label; empty for adopted files alone.
    pub label: String,
    /// Their indexes in the catalog.
    places: Vec<usize>,
    /// The indexes of others that build directly on one of them.
    dependants: Vec<usize>,
}

pub fn groups(entries: &[Entry], source: &Source) -> Vec<Group> {
    let (adopted, own): (Vec<usize>, Vec<usize>) =
        (0..entries.len()).partition(|&place| entries[place].backup_type == ADOPTED);
    let mut keys: Vec<Key<'_>> = Vec::new();
    let mut by_key: HashMap<Key<'_>, Vec<usize>> = HashMap::new();
    for &place in &own {
        let key = Key::of(&entries[place]);
        by_key.entry(key).or_insert_with(|| {
            keys.push(key);
            Vec::new()
        });
        if let Some(places) = by_key.get_mut(&key) {
            places.push(place);
        }
    }
    let others = source.is_known() && own.iter().any(|&place| !source.owns(&entries[place]));
    let mut found: Vec<(String, Vec<usize>)> = if source.is_known() {
        let own: Vec<usize> = own.into_iter().filter(|&place| source.owns(&entries[place])).collect();
        vec![(source.label().to_owned(), own)]
    } else {
        keys.iter().filter_map(|key| Some((key.text().to_owned(), by_key.remove(key)?))).collect()
    };
    match found.as_mut_slice() {
        [(_, only)] if !others => only.extend(adopted),
        _ => found.push((String::new(), adopted)),
    }
    with_dependants(entries, found)
}

fn with_dependants(entries: &[Entry], found: Vec<(String, Vec<usize>)>) -> Vec<Group> {
    let mut group_of: HashMap<usize, usize> = HashMap::new();
    for (number, (_, places)) in found.iter().enumerate() {
        group_of.extend(places.iter().map(|&place| (place, number)));
    }
    let places_of: HashMap<&str, usize> =
        entries.iter().enumerate().map(|(place, entry)| (entry.id.as_str(), place)).collect();
    let mut groups: Vec<Group> =
        found.into_iter().map(|(label, places)| Group { label, places, dependants: Vec::new() }).collect();
    for (place, entry) in entries.iter().enumerate() {
        let parent = entry.parent_id.as_deref().and_then(|id| places_of.get(id));
        let group = parent.and_then(|parent| group_of.get(parent));
        if let Some(&group) = group
            && group_of.get(&place) != Some(&group)
            && let Some(group) = groups.get_mut(group)
        {
            group.dependants.push(place);
        }
    }
    groups
}

impl Group {
    /// The decision for each, by its index in the catalog.
    pub fn plan(&self, items: &[Item], now: DateTime<Utc>, policy: &Policy) -> Vec<(usize, Decision)> {
        let own = self.places.iter().map(|&place| items[place].clone());
        let others = self
            .dependants
            .iter()
            .map(|&place| Item { untouchable: Some("of another source"), ..items[place].clone() });
        let all: Vec<Item> = own.chain(others).collect();
        let decisions = plan::plan(now, &all, policy);
        decisions.into_iter().filter_map(|one| Some((*self.places.get(one.place)?, one))).collect()
    }
}
