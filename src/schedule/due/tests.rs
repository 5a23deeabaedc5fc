use super::*;

fn at(text: &str) -> DateTime<Utc> {
    crate::clock::parse_rfc3339(text).unwrap()
}

fn daily() -> Cron {
    Cron::parse("0 2 * * *").unwrap()
}

fn done(text: &str) -> Past {
    Past { done: Some(at(text)), ..Past::default() }
}

fn waits_until(text: &str) -> Verdict {
    Verdict::Waits { until: Some(at(text)), forget_beyond: None }
}

#[test]
fn a_job_that_never_ran_is_due() {
    let verdict = judge(&daily(), Zone::Utc, &Past::default(), at("2026-11-05T12:00:00Z"));
    assert_eq!(verdict, Verdict::Due { due: at("2026-11-05T02:00:00Z"), attempt: 1 });
}

#[test]
fn missed_times_are_one() {
    let past = done("2026-11-05T02:00:00Z");
    assert_eq!(judge(&daily(), Zone::Utc, &past, at("2026-11-06T01:59:59Z")), waits_until("2026-11-06T02:00:00Z"));
    let verdict = judge(&daily(), Zone::Utc, &past, at("2026-12-24T18:00:00Z"));
    assert_eq!(verdict, Verdict::Due { due: at("2026-12-24T02:00:00Z"), attempt: 1 });
}

#[test]
fn failures_are_retried_after_longer_and_longer_pauses() {
    let due = at("2026-11-05T02:00:00Z");
    let failed = |attempts| {
        let failing = Some(Failing { due, attempts, tried: due });
        Past { failing, ..Past::default() }
    };
    for (attempts, minutes) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60), (u32::MAX, 60)] {
        let again = due + TimeDelta::minutes(minutes);
        let early = judge(&daily(), Zone::Utc, &failed(attempts), again - TimeDelta::seconds(1));
        assert_eq!(early, Verdict::Waits { until: Some(again), forget_beyond: None });
        let verdict = judge(&daily(), Zone::Utc, &failed(attempts), again);
        assert_eq!(verdict, Verdict::Due { due, attempt: attempts.saturating_add(1) });
    }
    let next = judge(&daily(), Zone::Utc, &failed(9), at("2026-11-06T02:00:00Z"));
    assert_eq!(next, Verdict::Due { due: at("2026-11-06T02:00:00Z"), attempt: 1 });
}

#[test]
fn a_clock_set_back_by_a_day_does_not_stop_the_job_for_a_day() {
    let past = done("2026-11-06T02:00:00Z");
    let verdict = judge(&daily(), Zone::Utc, &past, at("2026-11-05T01:00:00Z"));
    let forget_beyond = Some(at("2026-11-04T02:00:00Z"));
    assert_eq!(verdict, Verdict::Waits { until: Some(at("2026-11-05T02:00:00Z")), forget_beyond });
    let past = Past { done: forget_beyond, ..Past::default() };
    let verdict = judge(&daily(), Zone::Utc, &past, at("2026-11-05T02:00:01Z"));
    assert_eq!(verdict, Verdict::Due { due: at("2026-11-05T02:00:00Z"), attempt: 1 });
}

#[test]
fn a_retry_does_not_wait_for_a_clock_that_was_set_back() {
    let (due, now) = (at("2026-11-05T02:00:00Z"), at("2026-11-05T03:00:00Z"));
    let tried = at("2026-11-05T23:00:00Z");
    let past = Past { failing: Some(Failing { due, attempts: 1, tried }), ..Past::default() };
    assert_eq!(judge(&daily(), Zone::Utc, &past, now), Verdict::Due { due, attempt: 2 });
}

#[test]
fn clocks_that_differ_a_little_make_no_job_run_twice() {
    let past = done("2026-11-05T02:00:00Z");
    assert_eq!(judge(&daily(), Zone::Utc, &past, at("2026-11-05T01:59:58Z")), waits_until("2026-11-06T02:00:00Z"));
}

#[test]
fn a_job_that_is_off_is_never_due() {
    let off = Cron::parse("off").unwrap();
    let waits = Verdict::Waits { until: None, forget_beyond: None };
    assert_eq!(judge(&off, Zone::Utc, &Past::default(), at("2026-11-05T02:00:00Z")), waits);
}

/// A call at `now`, which updates `past`; returns the time for which the job ran.
fn call(cron: &Cron, past: &mut Past, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (done, due) = match judge(cron, Zone::Utc, past, now) {
        Verdict::Due { due, .. } => (now, Some(due)),
        Verdict::Waits { forget_beyond: Some(done), .. } => (done, None),
        Verdict::Waits { .. } => return None,
    };
    *past = Past { done: Some(done), earlier: past.earlier_than(done), failing: None };
    due
}

#[test]
fn a_clock_that_was_ahead_keeps_no_time_from_being_done_and_one_behind_makes_none_due_twice() {
    let monthly = Cron::parse("0 2 1 * *").unwrap();
    let mut past = done("2026-11-20T02:00:00Z");
    for ahead in ["2036-01-01T02:00:00Z", "2037-01-01T02:00:00Z", "2040-01-01T02:00:00Z"] {
        assert!(call(&monthly, &mut past, at(ahead)).is_some());
    }
    let due = at("2026-12-01T02:00:00Z");
    assert_eq!(call(&monthly, &mut past, at("2026-12-01T05:00:00Z")), Some(due));
    for behind in ["2001-01-20T02:00:00Z", "2001-02-20T02:00:00Z", "2001-03-20T02:00:00Z"] {
        call(&monthly, &mut past, at(behind));
    }
    assert_eq!(call(&monthly, &mut past, at("2026-12-01T06:00:00Z")), None);
    assert_eq!(call(&monthly, &mut past, at("2027-01-01T02:00:00Z")), Some(at("2027-01-01T02:00:00Z")));
    assert!(past.earlier.len() <= MOST_EARLIER);
}

/// Calls by a right clock, and in half of the cases some by a wrong one between them.
#[test]
fn what_is_due_by_a_right_clock_is_what_is_due_where_it_was_never_wrong() {
    const CRONS: [&str; 5] = ["0 * * * *", "0 2 * * *", "0 2 * * 6", "0 2 1 * *", "30 1 * * *"];
    for (seed, text) in (0..60).zip(CRONS.iter().cycle()) {
        let mut random = fastrand::Rng::with_seed(seed);
        let cron = Cron::parse(text).unwrap();
        let (mut never, mut wrong, mut now) = (Past::default(), Past::default(), at("2027-11-05T12:00:00Z"));
        let mut clocks = Vec::new();
        for number in 0..200 {
            now += TimeDelta::minutes(random.i64(10..300));
            let (expected, found) = (call(&cron, &mut never, now), call(&cron, &mut wrong, now));
            // It may look done if a wrong clock showed that very time long before.
            let looks_done = expected.is_some_and(|due| clocks.iter().any(|clock| (due..=now).contains(clock)));
            assert!(found == expected || (found.is_none() && looks_done), "seed {seed}, {text}, {now}: {clocks:?}");
            if number > 0 && random.u8(..) < 12 {
                let most = 10i64.pow(random.u32(1..9));
                let by = LEAP + TimeDelta::hours(12) + TimeDelta::seconds(random.i64(0..most));
                let clock = if random.bool() { now + by } else { now - by };
                for hour in 0..random.i64(1..5) {
                    let clock = clock + TimeDelta::hours(hour);
                    clocks.push(clock);
                    call(&cron, &mut wrong, clock);
                }
            }
        }
    }
}

/// Months of calls at random times, some of which fail, by a clock that is set back now and then.
#[test]
fn each_time_is_done_once_whatever_the_calls() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for text in ["0 * * * *", "0 2 * * *", "0 2 * * 6", "0 2 1 * *", "*/5 * * * *", "0 0 29 2 *"] {
        let cron = Cron::parse(text).unwrap();
        let (mut past, mut now) = (Past::default(), at("2027-11-05T12:00:00Z"));
        let mut done: Vec<DateTime<Utc>> = Vec::new();
        for _ in 0..2000 {
            now += TimeDelta::seconds(random.i64(0..9000));
            match judge(&cron, Zone::Utc, &past, now) {
                Verdict::Due { due, attempt } => {
                    assert!(due <= now && cron.last(now, Zone::Utc) == Some(due), "{text} {now}");
                    if random.u8(..) < 60 {
                        past.failing = Some(Failing { due, attempts: attempt, tried: now });
                    } else {
                        assert!(done.last().is_none_or(|&last| last < due), "{text}: {due} twice");
                        done.push(due);
                        past = Past { done: Some(now), earlier: past.earlier_than(now), failing: None };
                    }
                }
                Verdict::Waits { until, forget_beyond } => {
                    assert_eq!(forget_beyond, None);
                    let until = until.unwrap();
                    assert!(until > now && until - now <= TimeDelta::days(4 * 366), "{text} {now} {until}");
                }
            }
            // Right after a success nothing is due, and a minute of skew changes nothing.
            if past.failing.is_none() && past.done.is_some() {
                for skew in [-60, -1, 0] {
                    let verdict = judge(&cron, Zone::Utc, &past, now + TimeDelta::seconds(skew));
                    let due_again = matches!(verdict, Verdict::Due { due, .. } if done.contains(&due));
                    assert!(!due_again, "{text} {now} {skew}");
                }
            }
        }
        assert!(!done.is_empty(), "{text}");
    }
}
