//! The occurrences of one timed trigger: `start + day * 86400 s + j * REPEAT` with `j * REPEAT < DURATION`.
//!
//! A repetition may go on for longer than to the day on which the next one begins; then the two lie over each other,
//! and an occurrence is one of either. Up to 366 of them can lie over each other, so the nearest occurrence is not
//! looked for among them but computed as a minimum of `(a + b i) mod REPEAT`, which costs a division per halving.
//!
//! Source: `agent-beacon-batch` reference, section 7, rules of the `.nds`.

use super::days::{Days, weekday};
use crate::formats::nds::{SECONDS_MAX, Trigger};
use crate::rng::mix;
use crate::time::{DAY_MS, SECOND_MS};

/// No occurrence is farther from 1970 than this, in milliseconds: 31,000 years, so that sums stay far from overflow.
pub(super) const FAR_MS: i64 = 1_000_000_000_000_000;

/// One timed trigger, ready to be asked. Times are milliseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recurrence {
    days: Days,
    /// From midnight to the first occurrence of a day.
    time_ms: i64,
    /// REPEAT; at least 1.
    every_ms: i64,
    /// From the first to the last occurrence of a repetition, a multiple of `every_ms`; 0 without one.
    reach_ms: i64,
    window_ms: i64,
    /// No two occurrences are nearer than this; 0 when repetitions lie over each other and it is not known.
    apart_ms: i64,
}

/// Days in a row from which repetitions of one trigger still matter: `last`, `last - step`, `count` in all.
struct Chain {
    last: i64,
    step: i64,
    count: i64,
}

impl Recurrence {
    /// `None` for a trigger that no clock makes due, and for a start outside of [`FAR_MS`].
    pub fn new(trigger: &Trigger) -> Option<Recurrence> {
        let start = trigger.start?.0;
        if !(-FAR_MS..FAR_MS).contains(&start) {
            return None;
        }
        let days = Days::new(trigger.kind, start.div_euclid(DAY_MS))?;
        let ms = |secs: u32| i64::from(secs.min(SECONDS_MAX)) * SECOND_MS;
        let (every_ms, reach_ms) = match trigger.repeat {
            Some(repeat) => {
                let every = ms(repeat.every_secs).max(1);
                (every, (ms(repeat.for_secs) - 1).max(0) / every * every)
            }
            None => (1, 0),
        };
        let days_apart = days.apart().map_or(FAR_MS, |apart| apart * DAY_MS);
        let apart_ms = match days_apart - reach_ms {
            _ if reach_ms == 0 => days_apart,
            rest if rest > 0 => rest.min(every_ms),
            _ => 0,
        };
        let time_ms = start.rem_euclid(DAY_MS);
        Some(Recurrence { days, time_ms, every_ms, reach_ms, window_ms: ms(trigger.window_secs), apart_ms })
    }

    /// The first occurrence after `at`.
    pub fn after(&self, at: i64) -> Option<i64> {
        if at >= FAR_MS {
            return None;
        }
        let at = at.max(-FAR_MS);
        let mut found = self.days.at_or_after(self.day_of(at) + 1).map(|day| self.begin(day));
        self.each_chain(at, |chain| {
            let (age, open) = self.open(&chain, at);
            if open > 0 {
                // How far `at` is from the end of each one's present step; the least ends first.
                let rest = least_remainder(open, self.every_ms, -chain.step * DAY_MS, -1 - age);
                let next = at + 1 + rest;
                found = Some(found.map_or(next, |known| known.min(next)));
            }
        });
        found
    }

    /// The last occurrence at `at` or before it.
    pub fn at_or_before(&self, at: i64) -> Option<i64> {
        let at = at.clamp(-FAR_MS, FAR_MS);
        let mut found = None;
        self.each_chain(at, |chain| {
            let (age, open) = self.open(&chain, at);
            let running = (open > 0).then(|| at - least_remainder(open, self.every_ms, chain.step * DAY_MS, age));
            // Of those that are over, the latest one ended last.
            let over = (open < chain.count).then(|| self.begin(chain.last - open * chain.step) + self.reach_ms);
            found = found.max(running).max(over);
        });
        found
    }

    /// When the occurrence `at` is due: moved by a random time within the window.
    ///
    /// `key` stands for agent and event. A window that is longer than the time to the trigger's next occurrence ends
    /// there: so the due times of one trigger have the order of its occurrences, and each has its own.
    pub fn due(&self, key: u64, at: i64) -> i64 {
        at + jitter_ms(key, at, self.window_at(at))
    }

    /// Whether `now` still lies in the window of the occurrence `at`.
    pub fn is_in_window(&self, at: i64, now: i64) -> bool {
        now < at + self.window_at(at)
    }

    /// The last occurrence whose due time is `now` or earlier.
    pub fn last_due(&self, key: u64, now: i64) -> Option<i64> {
        let last = self.at_or_before(now)?;
        // The one before has to be due: its window ended where this one began.
        if self.due(key, last) <= now { Some(last) } else { self.at_or_before(last - 1) }
    }

    /// The occurrence that began by `now` and is due later, if there is one.
    pub fn pending(&self, key: u64, now: i64) -> Option<i64> {
        self.at_or_before(now).filter(|last| self.due(key, *last) > now)
    }

    /// See [`Recurrence`]; for the checks of what an operator picks.
    pub fn apart_ms(&self) -> i64 {
        self.apart_ms
    }

    fn window_at(&self, at: i64) -> i64 {
        if self.window_ms <= self.apart_ms {
            return self.window_ms;
        }
        self.after(at).map_or(self.window_ms, |next| self.window_ms.min(next - at))
    }

    /// The day whose first occurrence is the last at `at` or before it, were each day one of the trigger's.
    fn day_of(&self, at: i64) -> i64 {
        (at - self.time_ms).div_euclid(DAY_MS)
    }

    /// The first occurrence of a day.
    fn begin(&self, day: i64) -> i64 {
        day * DAY_MS + self.time_ms
    }

    /// How long ago the chain's last repetition began, and how many of its repetitions still have an occurrence after
    /// `at`. These are its last ones.
    fn open(&self, chain: &Chain, at: i64) -> (i64, i64) {
        let age = at - self.begin(chain.last);
        let left = self.reach_ms - 1 - age;
        (age, if left < 0 { 0 } else { (left / (chain.step * DAY_MS) + 1).min(chain.count) })
    }

    /// Gives chains that cover every repetition begun by `at` that has an occurrence after `at`, and the latest one
    /// that has none.
    fn each_chain(&self, at: i64, mut visit: impl FnMut(Chain)) {
        let day = self.day_of(at);
        match self.days {
            Days::Every { first, step } if day >= first => {
                let count = (day - first) / step + 1;
                visit(Chain { last: first + (count - 1) * step, step, count });
            }
            // One for each day of the week, when there are more weeks than days to walk over.
            Days::Week { first, mask } if self.reach_ms > 7 * DAY_MS => {
                for last in (day - 6..=day).filter(|&day| day >= first && mask & (1 << weekday(day)) != 0) {
                    visit(Chain { last, step: 7, count: (last - first) / 7 + 1 });
                }
            }
            days => {
                // At most eight days of a week, or 14 months: a repetition is no longer than a year and a day.
                let mut next = days.at_or_before(day);
                while let Some(last) = next {
                    visit(Chain { last, step: 1, count: 1 });
                    if at - self.begin(last) >= self.reach_ms {
                        return;
                    }
                    next = days.at_or_before(last - 1);
                }
            }
        }
    }
}

/// Uniform in `0..window_ms` by a hash of agent, event and occurrence; 0 when there is no window.
pub(super) fn jitter_ms(key: u64, at: i64, window_ms: i64) -> i64 {
    let draw = u128::from(mix(key, at as u64)) * u128::from(window_ms.max(0) as u64);
    (draw >> 64) as i64
}

/// The least of `(start + step * i) mod modulus` for `i` in `0..count`; `count` and `modulus` are positive.
///
/// Only values that come first after a wrap over the modulus can be least, and these are again such a sequence, modulo
/// the step. Steps of more than half the modulus are walked backwards, so the modulus halves each time.
fn least_remainder(mut count: i64, mut modulus: i64, step: i64, start: i64) -> i64 {
    let (mut step, mut start) = (step.rem_euclid(modulus), start.rem_euclid(modulus));
    let mut least = start;
    loop {
        if step > modulus / 2 {
            start = (start + step * (count - 1)) % modulus;
            step = modulus - step;
        }
        least = least.min(start);
        let wraps = (start + step * (count - 1)) / modulus;
        if wraps == 0 {
            return least;
        }
        (count, modulus, step, start) = (wraps, step, (-modulus).rem_euclid(step), (start - modulus).rem_euclid(step));
        least = least.min(start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::nds::{Repeat, TriggerKind};
    use crate::schedule::tests::any_timed;
    use crate::time::{HOUR_MS, Timestamp};

    fn at(stamp: &str) -> i64 {
        Timestamp::from_stamp(stamp).unwrap().0
    }

    fn recurrence(kind: TriggerKind, start: &str, repeat: Option<(u32, u32)>, window_secs: u32) -> Recurrence {
        let repeat = repeat.map(|(every_secs, for_secs)| Repeat { every_secs, for_secs });
        Recurrence::new(&Trigger { kind, start: Timestamp::from_stamp(start), repeat, window_secs }).unwrap()
    }

    const DAILY: TriggerKind = TriggerKind::Daily { every_days: 1 };

    /// Every occurrence in `from..=to`, by the words of the rule: each day, each repetition.
    fn walk(trigger: &Trigger, from: i64, to: i64) -> Vec<i64> {
        let start = trigger.start.unwrap();
        let (every, lasts) = trigger.repeat.map_or((1, 1), |repeat| (repeat.every_secs.max(1), repeat.for_secs));
        let mut found = Vec::new();
        for day in 0.. {
            let begin = start.0 + day * DAY_MS;
            if begin > to || (trigger.kind == TriggerKind::Once && day > 0) {
                break;
            }
            let stamp = |at: i64| Timestamp(at).to_stamp();
            let day_of_month: u8 = stamp(begin)[6..8].parse().unwrap();
            let is_last = stamp(begin + DAY_MS)[6..8] == *"01";
            let is_one = match trigger.kind {
                TriggerKind::Once => true,
                TriggerKind::Daily { every_days } => day % i64::from(every_days) == 0,
                // 1970-01-05 was a Monday.
                TriggerKind::Weekly { days } => days & (1 << (begin / DAY_MS - 4).rem_euclid(7)) != 0,
                TriggerKind::Monthly { day: 0 } => is_last,
                TriggerKind::Monthly { day } => day_of_month == day,
                _ => false,
            };
            let offsets = (0..i64::from(lasts)).step_by(every as usize).map(|secs| begin + secs * SECOND_MS);
            found.extend(offsets.filter(|at| is_one && (from..=to).contains(at)));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn an_occurrence_is_start_plus_days_plus_repetitions_that_begin_within_the_duration() {
        let policy = recurrence(DAILY, "20250314T000500", Some((43_200, 86_400)), 0);
        assert_eq!(policy.after(at("20250101T000000")), Some(at("20250314T000500")));
        assert_eq!(policy.after(at("20250314T000500")), Some(at("20250314T120500")));
        assert_eq!(policy.after(at("20250314T120500")), Some(at("20250315T000500")));
        assert_eq!(policy.at_or_before(at("20250314T000459")), None);
        assert_eq!(policy.at_or_before(at("20250315T000459")), Some(at("20250314T120500")));
        // j * REPEAT < DURATION: three hours hold the repetitions 0, 1 and 2, not the one at the end.
        let three = recurrence(TriggerKind::Once, "20250314T000000", Some((3_600, 10_800)), 0);
        assert_eq!(three.after(at("20250314T010000")), Some(at("20250314T020000")));
        assert_eq!(three.after(at("20250314T020000")), None);
        assert_eq!(three.at_or_before(at("20250501T000000")), Some(at("20250314T020000")));
    }

    #[test]
    fn once_is_one_occurrence() {
        let once = recurrence(TriggerKind::Once, "20250314T010000", None, 0);
        assert_eq!(once.after(at("20250314T005959")), Some(at("20250314T010000")));
        assert_eq!(once.after(at("20250314T010000")), None);
    }

    #[test]
    fn weekly_and_monthly_keep_the_time_of_day() {
        let weekly = recurrence(TriggerKind::Weekly { days: 1 | 16 }, "20250314T233000", None, 0);
        assert_eq!(weekly.after(at("20250314T233000")), Some(at("20250317T233000")));
        assert_eq!(weekly.after(at("20250317T233000")), Some(at("20250321T233000")));
        let monthly = recurrence(TriggerKind::Monthly { day: 0 }, "20250131T233000", None, 0);
        assert_eq!(monthly.after(at("20250131T233000")), Some(at("20250228T233000")));
        assert_eq!(monthly.after(at("20250228T233000")), Some(at("20250331T233000")));
    }

    #[test]
    fn the_days_on_which_clocks_change_are_as_long_as_others() {
        // 2025-03-30 and 2025-10-26 in Europe, 2025-03-09 in America.
        for start in ["20250329T013000", "20251025T003000", "20250308T013000"] {
            let hourly = recurrence(DAILY, start, Some((3_600, 86_400)), 0);
            let mut occurrence = at(start);
            for _ in 0..50 {
                let next = hourly.after(occurrence).unwrap();
                assert_eq!(next - occurrence, HOUR_MS);
                occurrence = next;
            }
        }
    }

    #[test]
    fn a_window_longer_than_the_time_to_the_next_occurrence_ends_there() {
        let hourly = recurrence(DAILY, "20250314T000000", Some((3_600, 86_400)), 366 * 86_400);
        for key in 0..200 {
            let begun = at("20250314T050000");
            let moved = hourly.due(key, begun) - begun;
            assert!((0..HOUR_MS).contains(&moved), "{moved}");
            assert_eq!(hourly.last_due(key, begun + HOUR_MS - 1), Some(begun));
        }
    }

    #[test]
    fn agents_spread_evenly_over_the_window_and_draw_anew_for_each_occurrence() {
        let daily = recurrence(DAILY, "20250314T010000", None, 14_400);
        let begun = at("20250314T010000");
        let mut tenths = [0; 10];
        for agent in 0..10_000u64 {
            tenths[((daily.due(agent, begun) - begun) / (4 * HOUR_MS / 10)) as usize] += 1;
        }
        // A thousand each; 200 off is more than six standard deviations.
        assert!(tenths.iter().all(|count| (800..1_200).contains(count)), "{tenths:?}");
        let draws: std::collections::BTreeSet<i64> =
            (0..100).map(|day| begun + day * DAY_MS).map(|occurrence| daily.due(7, occurrence) - occurrence).collect();
        assert!(draws.len() > 95, "{}", draws.len());
    }

    #[test]
    fn a_start_in_the_year_zero_or_9999_and_any_clock_are_only_numbers() {
        let old = recurrence(DAILY, "00000101T000000", Some((1, 366 * 86_400)), 366 * 86_400);
        let now = at("20250314T120000");
        assert_eq!((old.after(now), old.at_or_before(now)), (Some(now + 1_000), Some(now)));
        let future = recurrence(TriggerKind::Monthly { day: 0 }, "99991101T235959", None, 0);
        assert_eq!(future.after(now), Some(at("99991130T235959")));
        for clock in [i64::MIN, -FAR_MS, FAR_MS, i64::MAX] {
            for rule in [old, future] {
                assert!(rule.after(clock).is_none_or(|next| next > clock));
                assert!(rule.at_or_before(clock).is_none_or(|last| last <= clock));
            }
        }
        let far = Trigger { kind: DAILY, start: Some(Timestamp(i64::MAX)), repeat: None, window_secs: 0 };
        assert_eq!(Recurrence::new(&far), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn arithmetic_finds_what_a_walk_over_days_and_repetitions_finds(
            trigger in any_timed(), begin in 0..500i64, offset in 0..DAY_MS,
        ) {
            let rule = Recurrence::new(&trigger).unwrap();
            let from = trigger.start.unwrap().0 - 5 * DAY_MS + begin * DAY_MS + offset;
            let to = from + 20 * DAY_MS;
            let all = walk(&trigger, from, to);
            // Steps through at most 40 of them, from both ends.
            let mut here = from - 1;
            for expected in all.iter().take(40) {
                here = rule.after(here).unwrap();
                prop_assert_eq!(here, *expected);
            }
            let mut here = to;
            for expected in all.iter().rev().take(40) {
                here = rule.at_or_before(here).unwrap();
                prop_assert_eq!(here, *expected);
                here -= 1;
            }
            if all.is_empty() {
                prop_assert!(rule.after(from - 1).is_none_or(|next| next > to));
                prop_assert!(rule.at_or_before(to).is_none_or(|last| last < from));
            }
        }

        #[test]
        fn the_next_occurrence_is_later_and_nothing_lies_between(trigger in any_timed(), days in -100..4_000i64) {
            let rule = Recurrence::new(&trigger).unwrap();
            let now = trigger.start.unwrap().0 + days * DAY_MS / 7;
            if let Some(next) = rule.after(now) {
                prop_assert!(next > now);
                prop_assert_eq!(rule.at_or_before(next), Some(next));
                prop_assert_eq!(rule.at_or_before(next - 1).filter(|last| *last > now), None);
                if let Some(after) = rule.after(next) {
                    prop_assert!(after - next >= rule.apart_ms);
                }
            }
        }

        #[test]
        fn jitter_is_within_the_window_equal_for_equal_inputs_and_keeps_the_order(
            trigger in any_timed(), days in 0..4_000i64, key: u64,
        ) {
            let rule = Recurrence::new(&trigger).unwrap();
            if let Some(next) = rule.after(trigger.start.unwrap().0 + days * DAY_MS / 7) {
                let due = rule.due(key, next);
                prop_assert!(due >= next && due - next < i64::from(trigger.window_secs.max(1)) * SECOND_MS);
                prop_assert_eq!(Recurrence::new(&trigger).unwrap().due(key, next), due);
                prop_assert!(rule.after(next).is_none_or(|after| due < after));
                prop_assert_eq!(rule.last_due(key, due), Some(next));
                prop_assert_ne!(rule.last_due(key, due - 1), Some(next));
            }
        }

        #[test]
        fn the_least_remainder_is_the_least(
            count in 1..400i64, modulus in 1..5_000i64, step in -9_999..9_999i64, start in -9_999..9_999i64,
        ) {
            let slow = (0..count).map(|i| (start + step * i).rem_euclid(modulus)).min();
            prop_assert_eq!(Some(least_remainder(count, modulus, step, start)), slow);
        }
    }
}
