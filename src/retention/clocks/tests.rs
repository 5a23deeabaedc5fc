use super::*;
use crate::clock;

fn at(text: &str) -> Time {
    let text = if text.len() == 10 { format!("{text}T02:00:00Z") } else { text.to_owned() };
    clock::parse_rfc3339(&text).unwrap()
}

/// A letter per time, in order of creation: `+` believed, `F`uture, `L`eap, f`a`ll, `C`ontradicted, `W`rong.
fn judged(times: &[Time], now: Time) -> String {
    let letter = |time: &Result<Time, Doubt>| match time {
        Ok(_) => '+',
        Err(Doubt::Future) => 'F',
        Err(Doubt::Leap) => 'L',
        Err(Doubt::Fall) => 'a',
        Err(Doubt::Contradicted) => 'C',
        Err(Doubt::Wrong) => 'W',
    };
    read(times, now).times.iter().map(letter).collect()
}

fn days(first: &str, count: i64) -> Vec<Time> {
    (0..count).map(|day| at(first) + TimeDelta::days(day)).collect()
}

fn check(parts: &[(&str, i64)], now: &str, expected: &str) {
    let times: Vec<Time> = parts.iter().flat_map(|(first, count)| days(first, *count)).collect();
    assert_eq!(judged(&times, at(now)), expected, "{parts:?} at {now}");
}

const DAILY: (&str, i64) = ("2026-11-01", 20);

#[test]
fn a_clock_that_goes_on_is_believed() {
    check(&[], "2026-11-20", "");
    check(&[("2026-11-20", 1)], "2026-11-20", "+");
    check(&[("2026-11-20", 1)], "2030-11-20", "+");
    check(&[DAILY], "2026-11-20", "++++++++++++++++++++");
    let close = [at("2026-11-20T02:00:00Z"), at("2026-11-20T01:55:00Z")];
    assert_eq!(judged(&close, at("2026-11-20T01:59:00Z")), "++");
    assert_eq!(read(&close, close[0]).times, [Ok(close[1]); 2], "in their order");
}

#[test]
fn a_clock_that_was_ahead_once_is_doubted_at_once_and_when_it_is_right_again() {
    let days = "++++++++++++++++++++";
    for ahead in ["2026-11-23", "2026-12-24", "2036-01-01"] {
        check(&[DAILY, (ahead, 1)], ahead, &format!("{days}L"));
        check(&[DAILY, (ahead, 1)], "2026-11-20", &format!("{days}F"));
        check(&[DAILY, (ahead, 1), ("2026-11-21", 1)], "2026-11-21", &format!("{days}F+"));
    }
    check(&[DAILY, ("2026-12-24", 1), ("2026-11-21", 60)], "2027-01-19", &format!("{days}W{}", "+".repeat(60)));
    check(&[DAILY, ("2030-01-01", 1), ("2026-11-21", 4), ("2036-01-01", 1)], "2036-01-01", &format!("{days}C++++L"));
}

#[test]
fn a_clock_that_was_ahead_for_long_is_doubted_when_it_is_right_again() {
    check(&[DAILY, ("2036-01-01", 9)], "2036-01-09", &"+".repeat(29));
    check(
        &[DAILY, ("2036-01-01", 9), ("2026-11-30", 1)],
        "2026-11-30",
        &format!("{}{}a", "+".repeat(20), "F".repeat(9)),
    );
    check(
        &[DAILY, ("2036-01-01", 9), ("2026-11-30", 2)],
        "2026-12-01",
        &format!("{}{}++", "+".repeat(20), "F".repeat(9)),
    );
}

#[test]
fn a_clock_that_was_behind_once_or_for_long_is_doubted_when_it_is_right_again() {
    let days = "+".repeat(20);
    for behind in ["1970-01-01", "2020-01-01", "2026-10-01"] {
        check(&[DAILY, (behind, 1)], behind, &format!("{}a", "F".repeat(20)));
        check(&[DAILY, (behind, 1)], "2026-11-20", &format!("{days}W"));
        check(&[DAILY, (behind, 1), ("2026-11-21", 1)], "2026-11-21", &format!("{days}W+"));
        // A time in 1970 is wrong in any case.
        let doubt = if behind == "1970-01-01" { "W" } else { "C" };
        check(&[DAILY, (behind, 9), ("2026-11-30", 2)], "2026-12-01", &format!("{days}{}++", doubt.repeat(9)));
    }
    check(&[DAILY, ("2020-01-01", 9)], "2020-01-09", &format!("{}+++++++++", "F".repeat(20)));
    check(&[DAILY, ("2026-11-15T12:00:00Z", 1)], "2026-11-20", &format!("{days}W"));
}

#[test]
fn what_was_made_before_the_clock_was_first_set_is_doubted() {
    check(&[("1970-01-01", 3), ("2026-11-20", 1)], "2026-11-20", "WWWL");
    check(&[("1970-01-01", 3), ("2026-11-20", 2)], "2026-11-21", "WWW++");
    check(&[("1970-01-01", 3)], "1970-01-03", "+++");
}

#[test]
fn idle_time_is_believed_after_a_day() {
    let times = [days("2026-11-01", 20), days("2027-11-20", 1)].concat();
    let now = at("2027-11-20");
    assert_eq!(judged(&times, now), format!("{}L", "+".repeat(20)));
    assert_eq!(read(&times, now).present, at("2026-11-20"));
    assert_eq!(judged(&times, now + STEADY), "+".repeat(21));
    assert_eq!(read(&times, now + STEADY).present, now + STEADY);
    assert_eq!(read(&times[..20], now).present, at("2026-11-20"));
}

#[test]
fn where_backups_are_made_seldom_the_next_one_confirms_a_leap() {
    let weekly: Vec<Time> = (0..9).map(|week| at("2026-01-01") + TimeDelta::weeks(week)).collect();
    assert_eq!(judged(&weekly, weekly[8]), "++++++++L");
    assert_eq!(judged(&weekly, weekly[8] + TimeDelta::weeks(1)), "+++++++++");
    // After daily backups, confirmation takes longer.
    let changed = [days("2026-01-01", 9), (1..5).map(|week| at("2026-01-09") + TimeDelta::weeks(week)).collect()];
    let changed = changed.concat();
    assert_eq!(judged(&changed[..12], changed[11]), "+++++++++LLL");
    assert_eq!(judged(&changed, changed[12]), "++++++++++++L");
}

/// A clock that fell back and was then set right does not confirm a backup made before.
#[test]
fn a_clock_that_was_behind_is_not_confirmed_by_the_right_one() {
    let times = [days("2026-11-01", 4), days("2001-01-01", 1), days("2026-11-09", 2)].concat();
    assert_eq!(judged(&times, at("2026-11-10")), "++++W++");
}

#[test]
fn what_is_believed_rises_and_is_not_after_now() {
    let mut random = fastrand::Rng::with_seed(16);
    let some = |random: &mut fastrand::Rng| {
        let most = 10i64.pow(random.u32(1..9));
        TimeDelta::seconds(random.i64(0..most))
    };
    for _ in 0..3_000 {
        let mut time = at("2026-11-20");
        let mut times = Vec::new();
        for _ in 0..random.usize(0..30) {
            time += some(&mut random);
            if random.u8(0..6) == 0 {
                time -= some(&mut random);
            }
            times.push(time);
        }
        let now = time + TimeDelta::seconds(random.i64(-1_000_000..1_000_000));
        let reading = read(&times, now);
        let believed: Vec<Time> = reading.times.iter().filter_map(|time| time.ok()).collect();
        assert!(believed.is_sorted() && believed.iter().all(|time| *time <= now), "{times:?} {now}");
        assert!(reading.present <= now);
        let rising = times.windows(2).all(|pair| (TimeDelta::zero()..LEAP).contains(&(pair[1] - pair[0])));
        if rising && times.last().is_none_or(|last| (TimeDelta::zero()..LEAP).contains(&(now - *last))) {
            assert_eq!(believed, times);
        }
    }
}
