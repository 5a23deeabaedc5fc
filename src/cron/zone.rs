//! A zone's local times, derived from its offsets at UTC times alone.
//!
//! # Promise
//!
//! A local time that the clocks repeat is both times, the earlier one first; one that they skip is none.
//! Exact to the second in zones whose clocks change at most once in two days.
//!
//! # How
//!
//! The offset at a UTC time is one reliable lookup. The reverse is not: chrono's `Local` (0.4.45), the
//! machine's zone, returns the two times of autumn in the wrong order and also treats the second after them
//! as ambiguous, so a job at 02:00 ran an hour late. So the offsets a day before and a day after are tried,
//! and those that convert back are right.

use chrono::{LocalResult, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone};

#[derive(Debug, Clone, Copy)]
pub struct ByUtc<Z>(pub Z);

impl<Z: TimeZone> ByUtc<Z> {
    /// The offset at `local + around`, if it is valid for `local`.
    fn valid(&self, local: &NaiveDateTime, around: TimeDelta) -> Option<Z::Offset> {
        let offset = self.0.offset_from_utc_datetime(&local.checked_add_signed(around)?);
        let utc = local.checked_sub_offset(offset.fix())?;
        let there = self.0.offset_from_utc_datetime(&utc);
        (there.fix() == offset.fix()).then_some(there)
    }
}

impl<Z: TimeZone> TimeZone for ByUtc<Z> {
    type Offset = Z::Offset;

    fn from_offset(offset: &Self::Offset) -> Self {
        Self(Z::from_offset(offset))
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> LocalResult<Self::Offset> {
        self.offset_from_local_datetime(&local.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> LocalResult<Self::Offset> {
        // The offset of the day before gives the earlier of two times.
        match (self.valid(local, TimeDelta::days(-1)), self.valid(local, TimeDelta::days(1))) {
            (Some(earlier), Some(later)) if earlier.fix() != later.fix() => LocalResult::Ambiguous(earlier, later),
            (Some(offset), _) | (None, Some(offset)) => LocalResult::Single(offset),
            (None, None) => LocalResult::None,
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> Self::Offset {
        self.0.offset_from_utc_date(utc)
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> Self::Offset {
        self.0.offset_from_utc_datetime(utc)
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    /// All offsets of a local time.
    fn said<Z: TimeZone>(zone: &Z, local: &NaiveDateTime) -> Vec<i32> {
        match zone.offset_from_local_datetime(local) {
            LocalResult::None => Vec::new(),
            LocalResult::Single(offset) => vec![offset.fix().local_minus_utc()],
            LocalResult::Ambiguous(one, two) => {
                vec![one.fix().local_minus_utc(), two.fix().local_minus_utc()]
            }
        }
    }

    #[test]
    fn it_says_what_a_dependable_zone_says() {
        // Lord Howe's clocks change by half an hour.
        for zone in [Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Asia__Kolkata, Tz::UTC]
        {
            let mut local = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().and_time(chrono::NaiveTime::MIN);
            let (mut doubled, mut skipped) = (0, 0);
            for _ in 0..365 * 48 {
                for near in [-1, 0, 1] {
                    let local = local + TimeDelta::seconds(near);
                    let told = said(&ByUtc(zone), &local);
                    assert_eq!(told, said(&zone, &local), "{zone} {local}");
                    doubled += usize::from(told.len() == 2);
                    skipped += usize::from(told.is_empty());
                }
                local += TimeDelta::minutes(30);
            }
            let changes = !matches!(zone, Tz::Asia__Kolkata | Tz::UTC);
            assert_eq!((doubled > 0, skipped > 0), (changes, changes), "{zone}");
        }
    }

    #[test]
    fn the_ends_of_the_calendar() {
        for local in [NaiveDateTime::MIN, NaiveDateTime::MAX] {
            said(&ByUtc(Tz::UTC), &local);
        }
    }
}
