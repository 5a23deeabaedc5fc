//! The plan: for each backup, keep or delete, and why.
//!
//! # Promise
//!
//! `plan(now, items, policy)` decides on every backup exactly once, newest first, and gives a reason for each. Rotation and
//! its dry run both use this function, so they cannot disagree.
//!
//! Whatever the policy says, these are kept (rule 5):
//!
//! - the newest verified backup;
//! - the newest backup, verified or not: nobody means to delete the last that there is;
//! - the newest backup with tasks, and the newest verified one of these: later ones may be of nothing (see [`tasks`]);
//! - every backup that a kept one builds on, with that as the reason;
//! - what is not to be touched: a live database, an entry that is not as we wrote it, and the like. They don't count
//!   either, or a changed entry could push a good backup out;
//! - what the policy is not about: other series than its `name`, and adopted files unless it says `adopted`.
//!
//! # How
//!
//! First the `keep_` rules, on the backups that the policy is about ([`rules`](super::rules)); without any, all are kept.
//! Then `max_age_days` takes back what is older, counted from now. Then `max_total_bytes` takes back the oldest, until
//! what is left is small enough, with the parents that it needs ([`chains`](super::chains)); a chain goes when its last
//! backup does. So more than `max_total_bytes` may stay if the protected ones are larger. What the policy is not about
//! is not part of the total.

use std::cmp::Reverse;

use chrono::{DateTime, TimeDelta, Utc};

use super::chains::Chains;
use super::policy::Policy;
use super::tasks::{self, Tasks};

/// One backup, as far as retention cares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// The backup's id.
    pub id: String,
    /// What to call it in reasons.
    pub label: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The file's length.
    pub size_bytes: u64,
    /// The series that it belongs to.
    pub name: Option<String>,
    /// The backup that it builds on.
    pub parent_id: Option<String>,
    /// Whether it ever passed a verification.
    pub verified: bool,
    /// Whether it has tasks.
    pub tasks: Tasks,
    /// Whether it is a file that the catalog adopted.
    pub adopted: bool,
    /// Why it must not be touched, if so.
    pub untouchable: Option<&'static str>,
}

/// What becomes of one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The backup's place in the list that was given.
    pub place: usize,
    /// Whether it stays.
    pub keep: bool,
    /// Why; never empty.
    pub reasons: Vec<String>,
}

/// Decides on every one of `items`; the newest comes first. Of those of one time the one that was given first counts as
/// the newest.
pub fn plan(now: DateTime<Utc>, items: &[Item], policy: &Policy) -> Vec<Decision> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&place| Reverse(items[place].created_at));
    let sorted: Vec<&Item> = order.iter().map(|&place| &items[place]).collect();
    let mut draft = Draft::new(sorted, policy);
    draft.protect(policy);
    draft.apply_rules(now, policy);
    draft.apply_age(now, policy);
    let chains = draft.apply_size(policy);
    draft.decide(&chains, &order)
}

/// The decisions in the making; all lists are in the order of `items`, newest first.
struct Draft<'a> {
    items: Vec<&'a Item>,
    /// Whether the policy is about it.
    subject: Vec<bool>,
    /// Why it is kept whatever the rules say.
    shields: Vec<Vec<String>>,
    /// Which rules keep it.
    merits: Vec<Vec<String>>,
    /// Which limit overrides these.
    excess: Vec<Option<String>>,
}

impl<'a> Draft<'a> {
    fn new(items: Vec<&'a Item>, policy: &Policy) -> Self {
        let shields: Vec<Vec<String>> =
            items.iter().map(|item| bystander(item, policy).into_iter().collect()).collect();
        Self {
            subject: shields.iter().map(Vec::is_empty).collect(),
            merits: vec![Vec::new(); items.len()],
            excess: vec![None; items.len()],
            shields,
            items,
        }
    }

    /// Shields the newest, and the newest verified one.
    fn protect(&mut self, policy: &Policy) {
        let sound = |item: &&Item| item.untouchable.is_none();
        let newest = self.items.iter().position(|item| sound(item) && (policy.adopted || !item.adopted));
        let verified = self.items.iter().position(|item| sound(item) && item.verified);
        for (place, why) in [(newest, "newest backup"), (verified, "newest verified backup")] {
            if let Some(place) = place {
                self.shields[place].push(why.into());
            }
        }
        // Said only where it is another one.
        let [newest_with, verified_with] = tasks::newest(&self.items);
        for (other, place, why) in
            [(newest, newest_with, tasks::NEWEST), (verified, verified_with, "newest verified backup with tasks")]
        {
            if let Some(place) = place.filter(|_| place != other) {
                self.shields[place].push(why.into());
            }
        }
    }

    fn apply_rules(&mut self, now: DateTime<Utc>, policy: &Policy) {
        let subjects: Vec<usize> = (0..self.items.len()).filter(|&place| self.subject[place]).collect();
        let Some(rules) = policy.keep else {
            for place in subjects {
                self.merits[place].push("within all limits".into());
            }
            return;
        };
        let reasons = |subjects: &[usize]| {
            let times: Vec<DateTime<Utc>> = subjects.iter().map(|&place| self.items[place].created_at).collect();
            rules.reasons(now, &times)
        };
        let merits = reasons(&subjects);
        if let Some(others) = tasks::others(&self.items, &subjects) {
            for (&place, reasons) in others.places.iter().zip(reasons(&others.places)) {
                self.merits[place] =
                    reasons.into_iter().map(|why| format!("{why} but for those without tasks")).collect();
            }
            if self.merits[others.newest].is_empty() {
                self.merits[others.newest].push(tasks::NEWEST.into());
            }
        }
        for (place, reasons) in subjects.into_iter().zip(merits).filter(|(_, reasons)| !reasons.is_empty()) {
            self.merits[place] = reasons;
        }
    }

    fn apply_age(&mut self, now: DateTime<Utc>, policy: &Policy) {
        let Some(days) = policy.max_age_days else { return };
        // Before the calendar's beginning nothing is too old.
        let age = i64::try_from(days).ok().and_then(TimeDelta::try_days);
        let Some(limit) = age.and_then(|age| now.checked_sub_signed(age)) else { return };
        for (place, item) in self.items.iter().enumerate() {
            if self.subject[place] && item.created_at < limit {
                self.excess[place] = Some(format!("older than {days} days"));
            }
        }
    }

    /// Whether it stays for its own sake.
    fn is_wanted(&self, place: usize) -> bool {
        !self.shields[place].is_empty() || (!self.merits[place].is_empty() && self.excess[place].is_none())
    }

    fn apply_size(&mut self, policy: &Policy) -> Chains {
        let wanted = (0..self.items.len()).map(|place| self.is_wanted(place)).collect();
        let mut chains = Chains::new(&self.items, wanted);
        let Some(limit) = policy.max_total_bytes else { return chains };
        let counted = |place: usize| if self.subject[place] { u128::from(self.items[place].size_bytes) } else { 0 };
        let mut total: u128 = (0..self.items.len()).filter(|&place| chains.stays(place)).map(counted).sum();
        for place in (0..self.items.len()).rev() {
            if total <= u128::from(limit) {
                break;
            }
            if self.shields[place].is_empty() && self.is_wanted(place) {
                total -= chains.give_up(place).into_iter().map(counted).sum::<u128>();
                self.excess[place] = Some(format!("the oldest beyond {limit} bytes in all"));
            }
        }
        chains
    }

    fn decide(self, chains: &Chains, order: &[usize]) -> Vec<Decision> {
        let needed_by = chains.needed_by();
        let mut decisions = Vec::with_capacity(order.len());
        for (place, &given) in order.iter().enumerate() {
            let keep = chains.stays(place);
            let mut reasons = Vec::new();
            if self.excess[place].is_none() {
                reasons.extend_from_slice(&self.merits[place]);
            }
            if keep {
                reasons.extend_from_slice(&self.shields[place]);
                reasons.extend(self.foundation(&needed_by[place]));
            } else {
                reasons = vec![self.excess[place].clone().unwrap_or_else(|| "no rule keeps it".into())];
            }
            decisions.push(Decision { place: given, keep, reasons });
        }
        decisions
    }

    fn foundation(&self, children: &[usize]) -> Option<String> {
        let newest = &self.items[*children.first()?].label;
        Some(match children.len() {
            1 => format!("needed by {newest}"),
            count => format!("needed by {newest} and {} more", count - 1),
        })
    }
}

/// Why the policy is not about this backup, if it isn't.
fn bystander(item: &Item, policy: &Policy) -> Option<String> {
    if let Some(why) = item.untouchable {
        return Some(why.into());
    }
    if item.adopted && !policy.adopted {
        return Some("an adopted file; the policy is about backups only".into());
    }
    match (&policy.name, &item.name) {
        (Some(wanted), Some(name)) if wanted != name => {
            Some(format!("of the series {name}; the policy is about {wanted} only"))
        }
        (Some(wanted), None) => Some(format!("of no series; the policy is about {wanted} only")),
        _ => None,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
