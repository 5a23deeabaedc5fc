//! The plan: keep or delete each backup, and why.
//!
//! # Promise
//!
//! `plan(now, items, policy)` decides on every backup exactly once, newest first, with reasons. Rotation and
//! its dry run both use it, so they cannot disagree.
//!
//! Whatever the policy, these are kept (promise 5 of docs/guarantees.md):
//!
//! - the newest verified backup;
//! - the newest backup, verified or not: nobody means to delete the last one;
//! - the newest backup with tasks, overall and among those that the policy is about, and the newest verified
//!   one of these: later backups may be of an emptied queue (see [`tasks`]);
//! - what the caller has just made;
//! - every backup that a kept one builds on, with that as the reason;
//! - what must not be touched: a live database, an entry that is not as we wrote it, and the like. These do
//!   not count either, or a changed entry could push a good backup out;
//! - what the policy is not about: other series than its `name`, and adopted files unless it says `adopted`;
//! - backups with a doubted time ([`clocks`]), which do not count either.
//!
//! "Newest" means last created, whatever the clock showed.
//!
//! # How
//!
//! First the `keep_` rules apply to the backups that the policy is about ([`rules`](super::rules)); without
//! any, all are kept. Then `max_age_days` drops what is older, counted from now. Then `max_total_bytes` drops
//! the oldest until the rest fits, including the parents that it needs ([`chains`](super::chains)); a chain
//! goes with its last backup. Protected backups may exceed `max_total_bytes`. Backups that the policy is not
//! about are not part of the total.

use std::cmp::Reverse;

use chrono::{DateTime, TimeDelta, Utc};

use super::chains::Chains;
use super::clocks::{self, Doubt, Reading};
use super::item::Item;
use super::policy::Policy;
use super::tasks;

/// The decision on one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its index in the given list.
    pub place: usize,
    pub keep: bool,
    /// Never empty.
    pub reasons: Vec<String>,
    /// Whether its time is known to be wrong from now on.
    pub wrong_clock: bool,
}

/// Decides on all `items`, newest first. Of equal creation numbers the first given is the newest.
pub fn plan(now: DateTime<Utc>, items: &[Item], policy: &Policy) -> Vec<Decision> {
    planned(items, policy, |sorted| read_clocks(sorted, now))
}

/// The same with all times believed.
#[cfg(test)]
pub fn plan_believing(now: DateTime<Utc>, items: &[Item], policy: &Policy) -> Vec<Decision> {
    let believed = |sorted: &[&Item]| sorted.iter().map(|item| Ok(item.created_at)).collect();
    planned(items, policy, |sorted| Reading { times: believed(sorted), present: now })
}

fn planned(items: &[Item], policy: &Policy, read: impl Fn(&[&Item]) -> Reading) -> Vec<Decision> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&place| Reverse(items[place].made));
    let sorted: Vec<&Item> = order.iter().map(|&place| &items[place]).collect();
    let Reading { times, present } = read(&sorted);
    let mut draft = Draft::new(sorted, times, policy);
    draft.protect(policy);
    draft.apply_rules(present, policy);
    draft.apply_age(present, policy);
    let chains = draft.apply_size(policy);
    draft.decide(&chains, &order)
}

/// Judges the times of items, newest first. Adopted and untouchable items and known wrong times are no
/// evidence about the clock.
fn read_clocks(items: &[&Item], now: DateTime<Utc>) -> Reading {
    let tells = |item: &Item| item.untouchable.is_none() && !item.adopted && !item.wrong_clock;
    let stamps: Vec<DateTime<Utc>> =
        items.iter().rev().filter(|item| tells(item)).map(|item| item.created_at).collect();
    let Reading { times, present } = clocks::read(&stamps, now);
    let mut read = times.into_iter().rev();
    let of = |item: &&Item| {
        if tells(item) {
            return read.next().unwrap_or(Ok(item.created_at));
        }
        if item.created_at - now > clocks::TOLERANCE {
            return Err(Doubt::Future);
        }
        if item.wrong_clock { Err(Doubt::Wrong) } else { Ok(item.created_at) }
    };
    Reading { times: items.iter().map(of).collect(), present }
}

/// Decisions in progress; all lists are in the order of `items`, newest first.
struct Draft<'a> {
    items: Vec<&'a Item>,
    /// The times to use.
    times: Vec<DateTime<Utc>>,
    /// Why the time is doubted.
    doubts: Vec<Option<Doubt>>,
    /// Whether the policy is about it.
    subject: Vec<bool>,
    /// Why it is kept in any case.
    shields: Vec<Vec<String>>,
    /// The rules that keep it.
    merits: Vec<Vec<String>>,
    /// The limit that overrides these.
    excess: Vec<Option<String>>,
}

impl<'a> Draft<'a> {
    fn new(items: Vec<&'a Item>, times: Vec<Result<DateTime<Utc>, Doubt>>, policy: &Policy) -> Self {
        let shield = |(item, time): (&&Item, &Result<DateTime<Utc>, Doubt>)| {
            let doubt = time.err().map(|doubt| doubt.reason().to_owned());
            bystander(item, policy).or(doubt).into_iter().collect()
        };
        let shields: Vec<Vec<String>> = items.iter().zip(&times).map(shield).collect();
        Self {
            doubts: times.iter().map(|time| time.err()).collect(),
            times: items.iter().zip(times).map(|(item, time)| time.unwrap_or(item.created_at)).collect(),
            subject: shields.iter().map(Vec::is_empty).collect(),
            merits: vec![Vec::new(); items.len()],
            excess: vec![None; items.len()],
            shields,
            items,
        }
    }

    /// Shields the newest backup, the newest verified one, both with tasks, and what was just made.
    fn protect(&mut self, policy: &Policy) {
        let is_verified = |item: &Item| item.verified;
        let newest = self.newest(|item| policy.adopted || !item.adopted);
        let verified = self.newest(is_verified);
        let mut with_tasks = self.newest(Item::has_tasks);
        let mut verified_with = self.newest(|item| item.has_tasks() && is_verified(item));
        // Only if it is a different one.
        with_tasks.retain(|place| newest.first() != Some(place));
        verified_with.retain(|place| verified.first() != Some(place));
        for (places, why) in [
            (newest, "newest backup"),
            (verified, "newest verified backup"),
            (with_tasks, tasks::NEWEST),
            (verified_with, "newest verified backup with tasks"),
        ] {
            places.into_iter().for_each(|place| self.shields[place].push(why.into()));
        }
        for (shield, _) in self.shields.iter_mut().zip(&self.items).filter(|(_, item)| item.just_made) {
            shield.push("just made".into());
        }
    }

    /// The newest of a kind. If its time is doubted, also the newest undoubted one: the doubted one is kept
    /// anyway, and must not cost another.
    fn newest(&self, is_one: impl Fn(&Item) -> bool) -> Vec<usize> {
        let of_kind = |place: &usize| self.items[*place].untouchable.is_none() && is_one(self.items[*place]);
        let mut all = (0..self.items.len()).filter(of_kind);
        let newest = all.next();
        let is_doubted = |place: &usize| self.doubts[*place].is_some();
        let believed = newest.filter(is_doubted).and_then(|_| all.find(|place| !is_doubted(place)));
        newest.into_iter().chain(believed).collect()
    }

    fn apply_rules(&mut self, now: DateTime<Utc>, policy: &Policy) {
        let mut subjects: Vec<usize> = (0..self.items.len()).filter(|&place| self.subject[place]).collect();
        subjects.sort_by_key(|&place| Reverse(self.times[place]));
        let Some(rules) = policy.keep else {
            for place in subjects {
                self.merits[place].push("within all limits".into());
            }
            return;
        };
        let reasons = |subjects: &[usize]| {
            let times: Vec<DateTime<Utc>> = subjects.iter().map(|&place| self.times[place]).collect();
            rules.reasons(now, &times)
        };
        let merits = reasons(&subjects);
        if let Some(newest) = tasks::newest(&self.items, &subjects) {
            let others = tasks::others(&self.items, &subjects, newest).unwrap_or_default();
            for (&place, reasons) in others.iter().zip(reasons(&others)) {
                self.merits[place] =
                    reasons.into_iter().map(|why| format!("{why} but for those without tasks")).collect();
            }
            // Even if the backups without tasks are deleted: else the next rotation would delete more.
            if self.shields[newest].is_empty() {
                self.shields[newest].push(tasks::NEWEST.into());
            }
        }
        for (place, reasons) in subjects.into_iter().zip(merits).filter(|(_, reasons)| !reasons.is_empty()) {
            self.merits[place] = reasons;
        }
    }

    fn apply_age(&mut self, now: DateTime<Utc>, policy: &Policy) {
        let Some(days) = policy.max_age_days else { return };
        // If the limit precedes the calendar, nothing is too old.
        let age = i64::try_from(days).ok().and_then(TimeDelta::try_days);
        let Some(limit) = age.and_then(|age| now.checked_sub_signed(age)) else { return };
        for (place, time) in self.times.iter().enumerate() {
            if self.subject[place] && *time < limit {
                self.excess[place] = Some(format!("older than {days} days"));
            }
        }
    }

    /// Whether it is kept for its own sake.
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
            let wrong_clock = self.doubts[place] == Some(Doubt::Wrong);
            decisions.push(Decision { place: given, keep, reasons, wrong_clock });
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

/// Why the policy is not about this backup, if so.
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
mod tests;
