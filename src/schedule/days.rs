//! On which days a trigger has an occurrence, found by arithmetic: a start in 1970 costs what one of today costs.
//!
//! Days are counted from 1970-01-01 by clocks that always are as far from UTC, so no day is longer than another and daylight saving does not exist.
//!
//! Source: `agent-beacon-batch` reference, section 7, rules of the `.nds`.

use crate::formats::nds::TriggerKind;

/// Days of a week.
const WEEK: i64 = 7;
/// From a day of one month to the same day of the next, or from one month's last day to the next, in days at least.
const MONTH_MIN: i64 = 28;

/// The days on which occurrences begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Days {
    /// One day.
    Once {
        /// It.
        first: i64,
    },
    /// `first` and every `step`-th day after it.
    Every {
        /// The day of the start.
        first: i64,
        /// At least 1.
        step: i64,
    },
    /// Days of the week, not before `first`.
    Week {
        /// The day of the start.
        first: i64,
        /// Monday is 1, Tuesday 2, Wednesday 4 and so on; never 0.
        mask: u8,
    },
    /// A day of each month, not before `first`.
    Month {
        /// The day of the start.
        first: i64,
        /// 1 to 28; 0 is the last day.
        day: i64,
    },
}

impl Days {
    /// The days of a trigger that starts on `first`; `None` for one that no clock makes due, or that has no day.
    pub fn new(kind: TriggerKind, first: i64) -> Option<Days> {
        match kind {
            TriggerKind::Once => Some(Days::Once { first }),
            TriggerKind::Daily { every_days } => Some(Days::Every { first, step: i64::from(every_days).max(1) }),
            TriggerKind::Weekly { days } => {
                let mask = days & 0x7f;
                (mask != 0).then_some(Days::Week { first, mask })
            }
            TriggerKind::Monthly { day } => Some(Days::Month { first, day: i64::from(day).min(MONTH_MIN) }),
            TriggerKind::Now | TriggerKind::OnStartup | TriggerKind::OnConnect | TriggerKind::Logon => None,
        }
    }

    /// The first of the days that is `day` or later.
    pub fn at_or_after(self, day: i64) -> Option<i64> {
        match self {
            Days::Once { first } => (day <= first).then_some(first),
            Days::Every { first, step } => {
                let day = day.max(first);
                Some(day + (first - day).rem_euclid(step))
            }
            Days::Week { first, mask } => {
                let day = day.max(first);
                let from_here = two_weeks(mask) >> weekday(day);
                Some(day + i64::from(from_here.trailing_zeros()))
            }
            Days::Month { first, day: of_month } => {
                let day = day.max(first);
                let month = month_of(day);
                let this = day_in_month(month, of_month);
                Some(if this >= day { this } else { day_in_month(month + 1, of_month) })
            }
        }
    }

    /// The last of the days that is `day` or earlier.
    pub fn at_or_before(self, day: i64) -> Option<i64> {
        let (first, found) = match self {
            Days::Once { first } => (first, first.min(day)),
            Days::Every { first, step } => (first, day - (day - first).rem_euclid(step)),
            Days::Week { first, mask } => {
                // Bits 7 to 13 are this week; those of later days are shifted out.
                let up_to_here = two_weeks(mask) << (15 - WEEK - weekday(day));
                (first, day - i64::from(up_to_here.leading_zeros()))
            }
            Days::Month { first, day: of_month } => {
                let month = month_of(day);
                let this = day_in_month(month, of_month);
                (first, if this <= day { this } else { day_in_month(month - 1, of_month) })
            }
        };
        (found >= first).then_some(found)
    }

    /// No two of the days are nearer than this; `None` when there is only one.
    pub fn apart(self) -> Option<i64> {
        match self {
            Days::Once { .. } => None,
            Days::Every { step, .. } => Some(step),
            Days::Week { mask, .. } => {
                let ahead = |bit: i64| i64::from((two_weeks(mask) >> (bit + 1)).trailing_zeros()) + 1;
                (0..WEEK).filter(|bit| mask & (1 << bit) != 0).map(ahead).min()
            }
            Days::Month { .. } => Some(MONTH_MIN),
        }
    }
}

/// The mask twice, so that a search may run over the end of the week.
fn two_weeks(mask: u8) -> u16 {
    u16::from(mask) | u16::from(mask) << WEEK
}

/// 0 for Monday to 6; 1970-01-01 was a Thursday.
pub(super) fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(WEEK)
}

/// The day `of_month` (0: the last) of month number `month`, which counts from January of the year 0.
fn day_in_month(month: i64, of_month: i64) -> i64 {
    if of_month == 0 { first_of_month(month + 1) - 1 } else { first_of_month(month) + of_month - 1 }
}

/// The first day of a month that counts from January of the year 0.
///
/// Years begin in March here, so that the leap day is a year's last and the months before it have a fixed pattern:
/// 31 30 31 30 31, twice, which is what `(153 m + 2) / 5` adds up.
fn first_of_month(month: i64) -> i64 {
    let (year, month_of_year) = ((month - 2).div_euclid(12), (month - 2).rem_euclid(12));
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 0000-03-01 is 719,468 days before 1970-01-01.
    year * 365 + leap_days + (153 * month_of_year + 2) / 5 - 719_468
}

/// The month a day lies in, counted from January of the year 0.
fn month_of(day: i64) -> i64 {
    // 4,800 months of the Gregorian cycle have 146,097 days. The guess is off by one at most.
    let guess = ((day + 719_528) * 4_800).div_euclid(146_097);
    let starts_at_or_before = |month: &i64| first_of_month(*month) <= day;
    [guess + 1, guess].into_iter().find(starts_at_or_before).unwrap_or(guess - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::{DAY_MS, Timestamp};

    fn day(text: &str) -> i64 {
        Timestamp::from_stamp(&format!("{text}T000000")).unwrap().0 / DAY_MS
    }

    /// Year, month, day of the month and weekday as the calendar of another hand has them.
    fn civil(day: i64) -> (i64, i64, i64, i64) {
        let stamp = Timestamp(day * DAY_MS).to_stamp();
        let number = |range: std::ops::Range<usize>| stamp[range].parse::<i64>().unwrap();
        let date = jiff::civil::date(stamp[..4].parse().unwrap(), number(4..6) as i8, number(6..8) as i8);
        (number(0..4), number(4..6), number(6..8), i64::from(date.weekday().to_monday_zero_offset()))
    }

    #[test]
    fn a_mask_of_one_means_monday_and_of_64_sunday() {
        // 2025-03-14 was a Friday.
        let week = |mask| Days::Week { first: day("20250314"), mask };
        assert_eq!(week(1).at_or_after(0), Some(day("20250317")));
        assert_eq!(week(64).at_or_after(0), Some(day("20250316")));
        assert_eq!(week(16).at_or_after(0), Some(day("20250314")));
        assert_eq!(week(1 | 4).at_or_after(day("20250318")), Some(day("20250319")));
        assert_eq!(week(1).at_or_before(day("20250316")), None, "the Monday before is before the start");
        assert_eq!(week(1).at_or_before(day("20250323")), Some(day("20250317")));
    }

    #[test]
    fn day_zero_of_a_month_is_its_last_in_leap_years_too() {
        let last = Days::Month { first: day("20240115"), day: 0 };
        let days: Vec<_> = ["20240115", "20240201", "20250210", "20250401"].map(|d| last.at_or_after(day(d))).into();
        assert_eq!(days, ["20240131", "20240229", "20250228", "20250430"].map(|d| Some(day(d))));
        assert_eq!(last.at_or_before(day("20240130")), None);
        assert_eq!(last.at_or_before(day("20240330")), Some(day("20240229")));
    }

    #[test]
    fn every_second_day_keeps_its_phase_from_the_start() {
        let days = Days::Every { first: 10, step: 2 };
        assert_eq!((days.at_or_after(3), days.at_or_after(11), days.at_or_after(12)), (Some(10), Some(12), Some(12)));
        assert_eq!((days.at_or_before(9), days.at_or_before(10), days.at_or_before(13)), (None, Some(10), Some(12)));
    }

    #[test]
    fn what_has_no_day_is_no_days() {
        assert_eq!(Days::new(TriggerKind::Weekly { days: 128 }, 0), None);
        assert_eq!(Days::new(TriggerKind::Logon, 0), None);
        assert_eq!(Days::new(TriggerKind::Daily { every_days: 0 }, 0), Some(Days::Every { first: 0, step: 1 }));
        assert_eq!(Days::new(TriggerKind::Monthly { day: 255 }, 0), Some(Days::Month { first: 0, day: 28 }));
    }

    #[test]
    fn the_least_distance_of_weekdays_runs_over_the_end_of_the_week() {
        let apart = |mask| Days::Week { first: 0, mask }.apart();
        assert_eq!([apart(1), apart(1 | 4), apart(1 | 64), apart(127)], [Some(7), Some(2), Some(1), Some(1)]);
    }

    fn any_days() -> impl Strategy<Value = Days> {
        let first = -20_000i64..80_000;
        prop_oneof![
            first.clone().prop_map(|first| Days::Once { first }),
            (first.clone(), 1..=366i64).prop_map(|(first, step)| Days::Every { first, step }),
            (first.clone(), 1..=127u8).prop_map(|(first, mask)| Days::Week { first, mask }),
            (first, 0..=28i64).prop_map(|(first, day)| Days::Month { first, day }),
        ]
    }

    /// Whether `day` is one of the days, by the words of the rule.
    fn is_one(days: Days, day: i64) -> bool {
        let (_, _, day_of_month, weekday) = civil(day);
        match days {
            Days::Once { first } => day == first,
            Days::Every { first, step } => day >= first && (day - first) % step == 0,
            Days::Week { first, mask } => day >= first && mask & (1 << weekday) != 0,
            Days::Month { first, day: 0 } => day >= first && civil(day + 1).2 == 1,
            Days::Month { first, day: wanted } => day >= first && day_of_month == wanted,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn arithmetic_finds_the_day_that_a_walk_over_the_calendar_finds(
            days in any_days(), from in -20_000i64..80_000, near in any::<bool>(),
        ) {
            let (Days::Once { first } | Days::Every { first, .. } | Days::Week { first, .. }
                | Days::Month { first, .. }) = days;
            let from = if near { first + from % 40 } else { from };
            match days.at_or_after(from) {
                Some(found) => {
                    prop_assert!(is_one(days, found) && found >= from);
                    prop_assert!(!(from.max(first)..found).any(|day| is_one(days, day)));
                }
                None => prop_assert!(days.apart().is_none() && from > first),
            }
            match days.at_or_before(from) {
                Some(found) => {
                    prop_assert!(is_one(days, found) && found <= from);
                    prop_assert!(!(found + 1..=from).take(400).any(|day| is_one(days, day)));
                }
                None => prop_assert!(!(first..=from).take(400).any(|day| is_one(days, day))),
            }
        }

        #[test]
        fn no_two_days_are_nearer_than_is_said(days in any_days(), from in -20_000i64..80_000) {
            let next = days.at_or_after(from);
            let after = next.and_then(|next| days.at_or_after(next + 1));
            if let (Some(next), Some(after)) = (next, after) {
                prop_assert!(after - next >= days.apart().unwrap());
            }
        }

        #[test]
        fn a_month_begins_where_the_calendar_says(day in -719_000i64..2_900_000) {
            let (year, month, day_of_month, weekday_there) = civil(day);
            prop_assert_eq!(month_of(day), year * 12 + month - 1);
            prop_assert_eq!(first_of_month(month_of(day)), day - day_of_month + 1);
            prop_assert_eq!(weekday(day), weekday_there);
        }
    }
}
