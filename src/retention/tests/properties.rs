//! Random catalogs under random policies keep the promises of [`plan`](super::plan). A failure names its
//! seed; `QUEUEKEEPER_SEED` runs it again.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use crate::clock;
use crate::retention::item::{Item, Tasks};
use crate::retention::plan::{Decision, plan, plan_believing};
use crate::retention::policy::Policy;
use crate::retention::rules::Rules;
use crate::retention::span::Span;

const ROUNDS: u64 = 3_000;

fn now() -> DateTime<Utc> {
    clock::parse_rfc3339("2026-11-05T12:00:00Z").unwrap()
}

fn for_seeds(check: impl Fn(&mut Rng)) {
    let chosen = std::env::var("QUEUEKEEPER_SEED").ok().and_then(|text| text.parse().ok());
    let first = chosen.unwrap_or_else(|| fastrand::u64(..u64::MAX - ROUNDS));
    for seed in first..first + if chosen.is_some() { 1 } else { ROUNDS } {
        // Shown if the test fails: the last one is the culprit.
        println!("QUEUEKEEPER_SEED={seed}");
        check(&mut Rng::with_seed(seed));
    }
}

fn some<T>(rng: &mut Rng, value: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    rng.bool().then(|| value(rng))
}

fn count(rng: &mut Rng) -> usize {
    if rng.bool() { 0 } else { rng.usize(1..6) }
}

fn rules(rng: &mut Rng) -> Rules {
    Rules {
        last: count(rng),
        within: some(rng, |rng| Span::days(rng.u32(0..40))),
        hourly: count(rng),
        daily: count(rng),
        weekly: count(rng),
        monthly: count(rng),
        yearly: count(rng),
    }
}

fn policy(rng: &mut Rng) -> Policy {
    Policy {
        name: some(rng, series).flatten(),
        adopted: rng.bool(),
        // Parsing refuses a policy that keeps nothing.
        keep: some(rng, rules).filter(|rules| !rules.keep_nothing()),
        max_age_days: some(rng, |rng| rng.u64(1..400)),
        max_total_bytes: some(rng, |rng| rng.u64(1..800)),
    }
}

fn series(rng: &mut Rng) -> Option<String> {
    rng.choice([None, Some("daily"), Some("weekly")]).flatten().map(str::to_owned)
}

fn tasks(rng: &mut Rng) -> Tasks {
    rng.choice([Tasks::Unknown, Tasks::Gone, Tasks::Gone, Tasks::There]).unwrap_or_default()
}

/// A catalog in any order, with chains, duplicates, some untouchable items and some just made.
fn catalog(rng: &mut Rng) -> Vec<Item> {
    let length = rng.usize(0..24);
    let mut time = now() + TimeDelta::hours(rng.i64(-500..50));
    let mut items: Vec<Item> = Vec::with_capacity(length);
    for number in 0..length {
        let parent = (rng.bool() && number + 1 < length).then(|| rng.usize(number + 1..(number + 4).min(length)));
        let adopted = rng.u8(0..5) == 0;
        items.push(Item {
            id: number.to_string(),
            label: number.to_string(),
            made: time.timestamp_millis().cast_unsigned(),
            wrong_clock: rng.u8(0..20) == 0,
            just_made: rng.u8(0..20) == 0,
            created_at: time,
            size_bytes: rng.u64(0..100),
            name: series(rng),
            parent_id: parent.map(|parent| parent.to_string()),
            verified: rng.u8(0..4) == 0,
            adopted,
            tasks: if adopted { Tasks::Unknown } else { tasks(rng) },
            untouchable: (rng.u8(0..8) == 0).then_some("not to be touched"),
        });
        let order = rng.u32(0..8);
        time -= TimeDelta::seconds(rng.i64(0..10i64.pow(order)));
    }
    if rng.bool() {
        rng.shuffle(&mut items);
    }
    items
}

fn kept(decisions: &[Decision], items: &[Item]) -> BTreeSet<String> {
    decisions.iter().filter(|one| one.keep).map(|one| items[one.place].id.clone()).collect()
}

fn keeps(items: &[Item], policy: &Policy) -> BTreeSet<String> {
    kept(&plan_believing(now(), items, policy), items)
}

fn is_subject(item: &Item, policy: &Policy) -> bool {
    item.untouchable.is_none()
        && (policy.adopted || !item.adopted)
        && (policy.name.is_none() || policy.name == item.name)
}

#[test]
fn each_backup_is_decided_once_with_a_reason_and_newest_first() {
    for_seeds(|rng| {
        let (items, policy) = (catalog(rng), policy(rng));
        let decisions = plan(now(), &items, &policy);
        let places: BTreeSet<usize> = decisions.iter().map(|one| one.place).collect();
        assert_eq!(places, (0..items.len()).collect());
        assert_eq!(decisions.len(), items.len());
        assert!(decisions.iter().all(|one| one.reasons.iter().all(|why| !why.is_empty()) && !one.reasons.is_empty()));
        assert!(decisions.is_sorted_by(|a, b| items[a.place].made >= items[b.place].made));
    });
}

/// Rule 5.
#[test]
fn what_is_protected_stays() {
    for_seeds(|rng| {
        let (items, policy) = (catalog(rng), policy(rng));
        let decisions = plan(now(), &items, &policy);
        let kept = kept(&decisions, &items);
        for item in items.iter().filter(|item| !is_subject(item, &policy) || item.just_made) {
            assert!(kept.contains(&item.id), "{item:?}");
        }
        for item in items.iter().filter(|item| kept.contains(&item.id)) {
            let parent = item.parent_id.as_ref();
            assert!(parent.is_none_or(|parent| kept.contains(parent)), "{parent:?} of {item:?}");
        }
        let sound = decisions.iter().filter(|one| items[one.place].untouchable.is_none());
        let newest = sound.clone().find(|one| policy.adopted || !items[one.place].adopted);
        let verified = sound.clone().find(|one| items[one.place].verified);
        assert!(newest.is_none_or(|one| one.keep) && verified.is_none_or(|one| one.keep));
    });
}

/// Backups without tasks do not change which others are kept.
#[test]
fn backups_of_nothing_take_no_slot_from_those_with_tasks() {
    for_seeds(|rng| {
        let (mut items, policy) = (catalog(rng), Policy { max_total_bytes: None, ..policy(rng) });
        for item in &mut items {
            item.parent_id = None;
            if item.tasks == Tasks::Unknown && !item.adopted {
                item.tasks = Tasks::There;
            }
        }
        items.sort_by_key(|item| Reverse(item.created_at));
        let with_tasks = |item: &Item| is_subject(item, &policy) && item.tasks == Tasks::There;
        let cut = items.iter().position(with_tasks).unwrap_or(0);
        let kept = keeps(&items, &policy);
        let mut fewer = items.clone();
        let mut rank = 0;
        fewer.retain(|item| {
            rank += 1;
            rank > cut || !is_subject(item, &policy) || item.tasks != Tasks::Gone
        });
        let without = keeps(&fewer, &policy);
        for item in items.iter().filter(|item| item.tasks == Tasks::There && without.contains(&item.id)) {
            assert!(kept.contains(&item.id), "{item:?}");
        }
        let newest = items.iter().find(|item| item.untouchable.is_none() && item.tasks == Tasks::There);
        assert!(newest.is_none_or(|item| kept.contains(&item.id)), "{newest:?}");
    });
}

#[test]
fn more_rules_and_larger_counts_keep_more_and_limits_keep_less() {
    for_seeds(|rng| {
        let items = catalog(rng);
        let few = rules(rng);
        let more = Rules {
            last: few.last + count(rng),
            within: few.within.or_else(|| Some(Span::days(rng.u32(0..40)))),
            hourly: few.hourly + count(rng),
            daily: few.daily + count(rng),
            weekly: few.weekly + count(rng),
            monthly: few.monthly + count(rng),
            yearly: few.yearly + count(rng),
        };
        let (base, limit, more_bytes) = (policy(rng), rng.u64(1..800), rng.u64(0..100));
        let with = |keep: Rules| Policy { keep: Some(keep), max_total_bytes: None, ..base.clone() };
        assert!(keeps(&items, &with(few)).is_subset(&keeps(&items, &with(more))));
        let limited = |bytes| Policy { max_total_bytes: Some(bytes), ..with(more) };
        assert!(keeps(&items, &limited(limit)).is_subset(&keeps(&items, &limited(limit + more_bytes))));
        assert!(keeps(&items, &limited(limit)).is_subset(&keeps(&items, &with(more))));
        let unlimited = Policy { max_age_days: None, ..with(more) };
        assert!(keeps(&items, &with(more)).is_subset(&keeps(&items, &unlimited)));
    });
}

#[test]
fn a_second_rotation_deletes_nothing() {
    for_seeds(|rng| {
        let (items, policy) = (catalog(rng), policy(rng));
        let first = keeps(&items, &policy);
        let left: Vec<Item> = items.into_iter().filter(|item| first.contains(&item.id)).collect();
        assert_eq!(keeps(&left, &policy), first);
    });
}

/// Either the rest fits, or nothing deletable is left.
#[test]
fn the_size_limit_is_kept_or_only_the_protected_are_left() {
    for_seeds(|rng| {
        let (items, mut policy) = (catalog(rng), policy(rng));
        let limit = rng.u64(1..800);
        policy.max_total_bytes = Some(limit);
        let kept = keeps(&items, &policy);
        let total = |policy: &Policy, kept: &BTreeSet<String>| -> u64 {
            let counted = items.iter().filter(|item| is_subject(item, policy) && kept.contains(&item.id));
            counted.map(|item| item.size_bytes).sum()
        };
        let least = keeps(&items, &Policy { max_total_bytes: Some(1), max_age_days: Some(1), ..policy.clone() });
        assert!(total(&policy, &kept) <= limit || kept.is_subset(&least), "{kept:?} {least:?}");
    });
}

/// An independent definition of the rules: group by period, take the newest of each, take as many as the
/// count says.
#[test]
fn the_rules_agree_with_their_definition() {
    for_seeds(|rng| {
        let mut times: Vec<DateTime<Utc>> = catalog(rng).iter().map(|item| item.created_at).collect();
        times.sort_by(|a, b| b.cmp(a));
        times.dedup();
        let (count, which) = (rng.usize(1..6), rng.usize(0..5));
        let format = ["%Y-%m-%d %H", "%Y-%m-%d", "%G-%V", "%Y-%m", "%Y"][which];
        let mut counts = [0; 5];
        counts[which] = count;
        let [hourly, daily, weekly, monthly, yearly] = counts;
        let rules = Rules { hourly, daily, weekly, monthly, yearly, ..Rules::default() };
        let ours = rules.reasons(now(), &times);
        let periods: BTreeSet<String> = times.iter().map(|time| time.format(format).to_string()).collect();
        let expected: BTreeSet<DateTime<Utc>> = periods
            .iter()
            .rev()
            .take(count)
            .filter_map(|period| times.iter().find(|time| time.format(format).to_string() == *period).copied())
            .collect();
        let kept = times.iter().zip(&ours).filter(|(_, why)| !why.is_empty()).map(|(time, _)| *time);
        assert_eq!(kept.collect::<BTreeSet<_>>(), expected, "{rules:?}");
    });
}
