//! Compares with the real restic's answers; `tests/goldens/make_restic_goldens.py` recorded them, and
//! describes the file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::retention::item::Item;
use crate::retention::plan::plan_believing;
use crate::retention::policy::Policy;

#[derive(Deserialize)]
struct Golden {
    restic: String,
    now: String,
    lists: BTreeMap<String, Vec<String>>,
    policies: BTreeMap<String, Value>,
    kept: BTreeMap<String, BTreeMap<String, String>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/goldens/restic.json")).unwrap()
}

fn items(times: &[String]) -> Vec<Item> {
    let item = |time: &String| {
        let created_at = clock::parse_rfc3339(time).unwrap();
        Item { made: created_at.timestamp_millis().cast_unsigned(), created_at, ..Item::default() }
    };
    times.iter().map(item).collect()
}

#[test]
fn the_planner_keeps_what_restic_keeps() {
    let golden = golden();
    let now = clock::parse_rfc3339(&golden.now).unwrap();
    let (mut compared, mut differences) = (0, Vec::new());
    for (list, times) in &golden.lists {
        for (name, policy) in &golden.policies {
            let policy = Policy::from_text(&policy.to_string()).unwrap();
            let decisions = plan_believing(now, &items(times), &policy);
            let ours: String = decisions.iter().map(|one| if one.keep { 'K' } else { '-' }).collect();
            let theirs = &golden.kept[list][name];
            compared += 1;
            if ours != *theirs {
                differences.push(format!("'{list}' under '{name}': restic {theirs}, we {ours}"));
            }
        }
    }
    assert!(differences.is_empty(), "restic {}:\n{}", golden.restic, differences.join("\n"));
    assert_eq!(compared, golden.lists.len() * golden.policies.len());
    assert!(compared > 300, "only {compared} comparisons");
}

/// The goldens have `'7/4/12'` as an object under that name.
#[test]
fn the_policy_of_the_daily_weekly_monthly_text_is_restics() {
    let object = golden().policies["7/4/12"].to_string();
    assert_eq!(Policy::from_text("7/4/12").unwrap(), Policy::from_text(&object).unwrap());
}
