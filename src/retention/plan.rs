//! The plan: for each backup, keep or delete, and why.
//!
//! # Promise
//!
//! `plan(list, policy)` decides on every backup of the list exactly once, and gives a reason for each that is kept.
//! Whatever the policy says, these are kept (rule 5): the newest verified backup, every backup that a kept one builds
//! on, a file that is a live database, and an entry that is not as we wrote it. The rotation and its dry run both use
//! this function, so they cannot disagree; the shape is that of restic's `ApplyPolicy`.

use std::collections::HashMap;

use super::policy::Policy;

/// One backup, as far as retention cares. The list is ordered, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// The backup's id.
    pub id: String,
    /// The backup that it builds on.
    pub parent_id: Option<String>,
    /// Whether it ever passed a verification.
    pub verified: bool,
    /// Why it must not be touched, if so.
    pub untouchable: Option<&'static str>,
}

/// What becomes of one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The backup's id.
    pub id: String,
    /// Why it is kept; empty: it is deleted.
    pub reasons: Vec<String>,
}

impl Decision {
    /// Whether the backup stays.
    pub fn keeps(&self) -> bool {
        !self.reasons.is_empty()
    }
}

/// Decides on every backup of `items` (newest first), in their order.
pub fn plan(items: &[Item], policy: &Policy) -> Vec<Decision> {
    let mut reasons: Vec<Vec<String>> = vec![Vec::new(); items.len()];
    for (rank, why) in reasons.iter_mut().enumerate().take(policy.keep_last) {
        why.push(format!("last {} of {}", rank + 1, policy.keep_last));
    }
    if let Some(newest) = items.iter().position(|item| item.verified) {
        reasons[newest].push("newest verified".into());
    }
    for (why, item) in reasons.iter_mut().zip(items) {
        why.extend(item.untouchable.map(str::to_owned));
    }
    keep_foundations(items, &mut reasons);
    items.iter().zip(reasons).map(|(item, reasons)| Decision { id: item.id.clone(), reasons }).collect()
}

/// Keeps what kept backups build on, down to the first of each chain.
fn keep_foundations(items: &[Item], reasons: &mut [Vec<String>]) {
    let places: HashMap<&str, usize> =
        items.iter().enumerate().map(|(place, item)| (item.id.as_str(), place)).collect();
    for start in 0..items.len() {
        if reasons[start].is_empty() {
            continue;
        }
        let mut child = start;
        while let Some(&parent) = items[child].parent_id.as_deref().and_then(|id| places.get(id)) {
            let why = format!("needed by {}", items[child].id);
            if reasons[parent].contains(&why) {
                break;
            }
            reasons[parent].push(why);
            child = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str) -> Item {
        Item { id: id.into(), ..Item::default() }
    }

    fn kept(items: &[Item], keep_last: usize) -> Vec<String> {
        plan(items, &Policy { keep_last }).into_iter().filter(Decision::keeps).map(|decision| decision.id).collect()
    }

    #[test]
    fn a_count_keeps_the_newest() {
        let items = [item("c"), item("b"), item("a")];
        assert_eq!(kept(&items, 2), ["c", "b"]);
        assert_eq!(kept(&items, 9), ["c", "b", "a"]);
        assert!(kept(&[], 1).is_empty());
    }

    #[test]
    fn the_newest_verified_backup_stays_and_older_verified_ones_do_not() {
        let mut items = [item("d"), item("c"), item("b"), item("a")];
        items[2].verified = true;
        items[3].verified = true;
        assert_eq!(kept(&items, 1), ["d", "b"]);
    }

    #[test]
    fn what_a_kept_backup_builds_on_stays_with_that_as_the_reason() {
        let mut items = [item("delta2"), item("other"), item("delta1"), item("full")];
        items[0].parent_id = Some("delta1".into());
        items[2].parent_id = Some("full".into());
        let decisions = plan(&items, &Policy { keep_last: 1 });
        assert_eq!(decisions[0].reasons, ["last 1 of 1"]);
        assert!(!decisions[1].keeps());
        assert_eq!(decisions[2].reasons, ["needed by delta2"]);
        assert_eq!(decisions[3].reasons, ["needed by delta1"]);
    }

    #[test]
    fn circles_and_missing_parents_in_a_broken_catalog_end() {
        let mut items = [item("a"), item("b")];
        items[0].parent_id = Some("b".into());
        items[1].parent_id = Some("a".into());
        assert_eq!(kept(&items, 1), ["a", "b"]);
        items[0].parent_id = Some("gone".into());
        items[1].parent_id = None;
        assert_eq!(kept(&items, 1), ["a"]);
    }

    #[test]
    fn the_untouchable_stay() {
        let mut items = [item("b"), item("a")];
        items[1].untouchable = Some("a live database");
        assert_eq!(plan(&items, &Policy { keep_last: 1 })[1].reasons, ["a live database"]);
    }

    /// Every list up to 6 backups with every verified flag and every policy: each backup is decided once, and the
    /// promises of rule 5 hold.
    #[test]
    fn invariants_over_all_small_lists() {
        for length in 0..=6usize {
            for flags in 0..1u32 << length {
                let items: Vec<Item> = (0..length)
                    .map(|place| Item {
                        verified: flags >> place & 1 == 1,
                        parent_id: (place + 1 < length && flags >> (length - 1 - place) & 1 == 1)
                            .then(|| (place + 1).to_string()),
                        ..item(&place.to_string())
                    })
                    .collect();
                for keep_last in 1..=length + 1 {
                    let decisions = plan(&items, &Policy { keep_last });
                    assert_eq!(decisions.len(), items.len());
                    for (decision, item) in decisions.iter().zip(&items) {
                        assert_eq!(decision.id, item.id);
                        if let (true, Some(parent)) = (decision.keeps(), &item.parent_id) {
                            let parent = decisions.iter().find(|other| other.id == *parent).unwrap();
                            assert!(parent.keeps(), "{items:?} {decisions:?}");
                        }
                    }
                    let newest_verified = items.iter().position(|item| item.verified);
                    assert!(newest_verified.is_none_or(|place| decisions[place].keeps()));
                    assert!(decisions.iter().take(keep_last).all(Decision::keeps));
                }
            }
        }
    }
}
