use super::*;
use crate::clock;
use crate::retention::item::Tasks;
use crate::retention::rules::Rules;

const NOW: &str = "2026-11-05T12:00:00Z";

/// A backup of 10 bytes; its id is its time.
fn item(created_at: &str) -> Item {
    let time = clock::parse_rfc3339(&format!("{created_at}T00:00:00Z")).unwrap();
    let made = time.timestamp_millis().cast_unsigned();
    Item {
        id: created_at.into(),
        label: created_at.into(),
        made,
        created_at: time,
        size_bytes: 10,
        ..Item::default()
    }
}

fn items<const N: usize>(times: [&str; N]) -> [Item; N] {
    times.map(item)
}

fn last(count: usize) -> Policy {
    Policy { keep: Some(Rules { last: count, ..Rules::default() }), ..Policy::default() }
}

fn decide(items: &[Item], policy: &Policy) -> Vec<Decision> {
    plan(clock::parse_rfc3339(NOW).unwrap(), items, policy)
}

fn kept(items: &[Item], policy: &Policy) -> Vec<String> {
    decide(items, policy).iter().filter(|one| one.keep).map(|one| items[one.place].id.clone()).collect()
}

/// A line per decision: `+` or `-`, id, reasons.
fn table(items: &[Item], policy: &Policy) -> Vec<String> {
    let line = |one: &Decision| {
        let sign = if one.keep { '+' } else { '-' };
        format!("{sign} {}: {}", items[one.place].id, one.reasons.join(", "))
    };
    decide(items, policy).iter().map(line).collect()
}

#[test]
fn a_count_keeps_the_newest_whatever_the_order_of_the_list() {
    let items = items(["2026-11-01", "2026-11-03", "2026-11-02"]);
    assert_eq!(
        table(&items, &last(2)),
        [
            "+ 2026-11-03: last backup (1 of 2), newest backup",
            "+ 2026-11-02: last backup (2 of 2)",
            "- 2026-11-01: no rule keeps it",
        ]
    );
    assert_eq!(kept(&items, &last(9)).len(), 3);
    assert!(decide(&[], &last(1)).is_empty());
}

#[test]
fn of_one_time_the_first_given_is_the_newest() {
    let mut items = items(["2026-11-01", "2026-11-01"]);
    items[0].id = "first".into();
    assert_eq!(kept(&items, &last(1)), ["first"]);
}

#[test]
fn the_newest_verified_backup_stays_and_older_verified_ones_do_not() {
    let mut items = items(["2026-11-04", "2026-11-03", "2026-11-02", "2026-11-01"]);
    items[2].verified = true;
    items[3].verified = true;
    assert_eq!(table(&items, &last(1))[2], "+ 2026-11-02: newest verified backup");
    assert_eq!(kept(&items, &last(1)), ["2026-11-04", "2026-11-02"]);
}

#[test]
fn what_a_kept_backup_builds_on_stays_with_that_as_the_reason() {
    let mut items = items(["2026-11-05", "2026-11-04", "2026-11-03", "2026-11-02", "2026-11-01"]);
    items[0].parent_id = Some("2026-11-03".into());
    items[1].parent_id = Some("2026-11-03".into());
    items[3].parent_id = Some("2026-11-01".into());
    items[2].parent_id = Some("2026-11-01".into());
    assert_eq!(
        table(&items, &last(2)),
        [
            "+ 2026-11-05: last backup (1 of 2), newest backup",
            "+ 2026-11-04: last backup (2 of 2)",
            "+ 2026-11-03: needed by 2026-11-05 and 1 more",
            "- 2026-11-02: no rule keeps it",
            "+ 2026-11-01: needed by 2026-11-03",
        ]
    );
}

/// A changed entry must not push a good backup out, nor count as the newest or the verified one.
#[test]
fn the_untouchable_stay_and_do_not_count() {
    let mut items = items(["2026-11-04", "2026-11-03", "2026-11-02", "2026-11-01"]);
    items[0].untouchable = Some("a live database");
    items[0].verified = true;
    items[0].size_bytes = u64::MAX;
    items[2].verified = true;
    let limited = Policy { max_total_bytes: Some(20), ..last(1) };
    assert_eq!(
        table(&items, &limited),
        [
            "+ 2026-11-04: a live database",
            "+ 2026-11-03: last backup (1 of 1), newest backup",
            "+ 2026-11-02: newest verified backup",
            "- 2026-11-01: no rule keeps it",
        ]
    );
}

/// The newest `empty` ones have no tasks, the others have.
fn emptied<const N: usize>(times: [&str; N], empty: usize) -> [Item; N] {
    let mut items = items(times);
    for (rank, item) in items.iter_mut().enumerate() {
        item.tasks = if rank < empty { Tasks::Gone } else { Tasks::There };
        item.verified = true;
    }
    items
}

#[test]
fn backups_of_nothing_push_no_backup_with_tasks_out() {
    let times = ["2026-11-05", "2026-11-04", "2026-11-03", "2026-11-02", "2026-11-01", "2026-10-31"];
    assert_eq!(
        table(&emptied(times, 3), &last(2)),
        [
            "+ 2026-11-05: last backup (1 of 2), newest backup, newest verified backup",
            "+ 2026-11-04: last backup (2 of 2)",
            "- 2026-11-03: no rule keeps it",
            "+ 2026-11-02: last backup (1 of 2) but for those without tasks, newest backup with tasks, newest verified backup with tasks",
            "+ 2026-11-01: last backup (2 of 2) but for those without tasks",
            "- 2026-10-31: no rule keeps it",
        ]
    );
    // Limits override the rules, but the newest with tasks is kept.
    let limited = Policy { max_total_bytes: Some(1), max_age_days: Some(1), ..last(2) };
    assert_eq!(kept(&emptied(times, 3), &limited), ["2026-11-05", "2026-11-02"]);
    // If no backup ever had tasks, or the newest one has, nothing changes.
    let plain = items(times);
    for empty in [0, 6] {
        assert_eq!(kept(&emptied(times, empty), &last(2)), kept(&plain, &last(2)), "{empty}");
    }
    let mut back = emptied(times, 3);
    back[0].tasks = Tasks::There;
    assert_eq!(kept(&back, &last(2)), ["2026-11-05", "2026-11-04"]);
}

#[test]
fn what_nobody_counted_hides_no_backup_with_tasks() {
    let mut items = emptied(["2026-11-05", "2026-11-04", "2026-11-03"], 2);
    items[0].tasks = Tasks::Unknown;
    items[0].adopted = true;
    let policy = Policy { adopted: true, ..last(1) };
    assert_eq!(kept(&items, &policy), ["2026-11-05", "2026-11-03"]);
    // An untouchable one does not count.
    items[2].untouchable = Some("its file is missing");
    items[1].tasks = Tasks::Gone;
    assert!(decide(&items, &policy).iter().all(|one| !one.reasons.concat().contains("with tasks")));
}

#[test]
fn a_name_limits_the_policy_to_its_series() {
    let mut items = items(["2026-11-04", "2026-11-03", "2026-11-02", "2026-11-01"]);
    for (place, name) in [(0, "weekly"), (1, "daily"), (3, "daily")] {
        items[place].name = Some(name.into());
    }
    let policy = Policy { name: Some("daily".into()), ..last(1) };
    assert_eq!(
        table(&items, &policy),
        [
            "+ 2026-11-04: of the series weekly; the policy is about daily only, newest backup",
            "+ 2026-11-03: last backup (1 of 1)",
            "+ 2026-11-02: of no series; the policy is about daily only",
            "- 2026-11-01: no rule keeps it",
        ]
    );
}

#[test]
fn adopted_files_are_left_alone_unless_the_policy_says_otherwise() {
    let mut items = items(["2026-11-04", "2026-11-03", "2026-11-02"]);
    items[0].adopted = true;
    items[2].adopted = true;
    assert_eq!(kept(&items, &last(1)).len(), 3);
    assert_eq!(table(&items, &last(1))[1], "+ 2026-11-03: last backup (1 of 1), newest backup");
    assert_eq!(kept(&items, &Policy { adopted: true, ..last(1) }), ["2026-11-04"]);
}

#[test]
fn age_overrides_the_rules_but_not_the_newest_the_verified_and_their_parents() {
    let mut items = items(["2026-11-05", "2026-11-04", "2026-11-03", "2026-11-02"]);
    let policy = Policy { max_age_days: Some(1), ..last(9) };
    items[2].verified = true;
    items[2].parent_id = Some("2026-11-02".into());
    assert_eq!(
        table(&items, &policy),
        [
            "+ 2026-11-05: last backup (1 of 9), newest backup",
            "- 2026-11-04: older than 1 days",
            "+ 2026-11-03: newest verified backup",
            "+ 2026-11-02: needed by 2026-11-03",
        ]
    );
    assert_eq!(kept(&items, &Policy { max_age_days: Some(4), ..last(9) }).len(), 4);
    assert_eq!(kept(&items, &Policy { max_age_days: Some(1_000_000), ..last(9) }).len(), 4);
}

#[test]
fn age_counts_from_now_to_the_second() {
    let mut items = items(["2026-11-05", "2026-11-04", "2026-11-04"]);
    let limit = clock::parse_rfc3339("2026-11-04T12:00:00Z").unwrap();
    items[1].created_at = limit;
    items[2].created_at = limit - TimeDelta::milliseconds(1);
    let decisions = decide(&items, &Policy { max_age_days: Some(1), ..Policy::default() });
    assert_eq!(decisions.iter().map(|one| one.keep).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn limits_alone_keep_the_rest() {
    let items = items(["2026-11-04", "2026-11-03", "2026-09-01"]);
    assert_eq!(
        table(&items, &Policy { max_age_days: Some(30), ..Policy::default() }),
        [
            "+ 2026-11-04: within all limits, newest backup",
            "+ 2026-11-03: within all limits",
            "- 2026-09-01: older than 30 days",
        ]
    );
}

#[test]
fn size_deletes_the_oldest_until_the_rest_fits() {
    let items = items(["2026-11-04", "2026-11-03", "2026-11-02", "2026-11-01"]);
    let within = |bytes| Policy { max_total_bytes: Some(bytes), ..last(3) };
    assert_eq!(kept(&items, &within(30)).len(), 3);
    assert_eq!(
        table(&items, &within(29))[2..],
        ["- 2026-11-02: the oldest beyond 29 bytes in all", "- 2026-11-01: no rule keeps it"]
    );
    assert_eq!(kept(&items, &within(19)), ["2026-11-04"]);
    assert_eq!(kept(&items, &within(1)), ["2026-11-04"], "the last that there is stays");
}

#[test]
fn under_a_size_limit_a_chain_goes_as_a_whole_and_before_what_is_newer() {
    let mut items = items(["2026-11-05", "2026-11-04", "2026-11-03", "2026-11-02", "2026-11-01"]);
    items[2].parent_id = Some("2026-11-02".into());
    items[3].parent_id = Some("2026-11-01".into());
    let within = |bytes| Policy { max_total_bytes: Some(bytes), ..last(9) };
    assert_eq!(kept(&items, &within(49)), ["2026-11-05", "2026-11-04"]);
    items[0].parent_id = Some("2026-11-03".into());
    assert_eq!(
        table(&items, &within(40)),
        [
            "+ 2026-11-05: last backup (1 of 9), newest backup",
            "- 2026-11-04: the oldest beyond 40 bytes in all",
            "+ 2026-11-03: needed by 2026-11-05",
            "+ 2026-11-02: needed by 2026-11-03",
            "+ 2026-11-01: needed by 2026-11-02",
        ]
    );
}

#[test]
fn circles_and_missing_parents_in_a_broken_catalog_end() {
    let mut items = items(["2026-11-02", "2026-11-01"]);
    items[0].parent_id = Some("2026-11-01".into());
    items[1].parent_id = Some("2026-11-02".into());
    assert_eq!(kept(&items, &last(1)), ["2026-11-02", "2026-11-01"]);
    items[0].parent_id = Some("gone".into());
    items[1].parent_id = None;
    assert_eq!(kept(&items, &last(1)), ["2026-11-02"]);
}
