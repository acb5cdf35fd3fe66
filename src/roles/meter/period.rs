//! Periods: where they begin and end, what names them, and when one gives way to the next.

use serde::{Deserialize, Serialize};

use crate::formats::mmi::PeriodType;
use crate::id::{Digest, Guid};
use crate::model::usage::{FIRST_MONDAY, WEEK_MS};
use crate::rng::mix;
use crate::time::Timestamp;

/// Where periods of one type begin: every `every_ms`, `from_ms` after the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    every_ms: i64,
    from_ms: i64,
}

impl Grid {
    pub(super) const WEEKS: Grid = Grid { every_ms: WEEK_MS, from_ms: FIRST_MONDAY.0 };

    /// The sessions of `agent`. Each agent has its own offset, a whole number of samples, so that a fleet does not
    /// upload in one minute.
    pub(super) fn sessions(agent: Guid, session_ms: i64, sample_ms: i64) -> Grid {
        let from_ms = share(agent, session_ms / sample_ms.max(1)).saturating_mul(sample_ms);
        Grid { every_ms: session_ms.max(1), from_ms }
    }

    /// The period that `at` lies in: its start and its end.
    fn around(self, at: Timestamp) -> (Timestamp, Timestamp) {
        let number = at.0.saturating_sub(self.from_ms).div_euclid(self.every_ms);
        let start = Timestamp(number.saturating_mul(self.every_ms)).plus_ms(self.from_ms);
        (start, start.plus_ms(self.every_ms))
    }
}

/// The agent's own number in `0..bound`, the same in all its lives.
pub(super) fn share(agent: Guid, bound: i64) -> i64 {
    // The shift keeps the number positive.
    (mix(agent.seed(), 0x6d6d_6900) >> 1) as i64 % bound.max(1)
}

/// A period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Period {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// 0 for the first part; more when a clock that was set back opened the period again, or policy cut it.
    pub(super) part: u32,
}

impl Period {
    pub(super) fn length_ms(&self) -> u64 {
        self.end.ms_since(self.start) as u64
    }

    /// `at`, or the nearest moment inside.
    pub(super) fn clamp(&self, at: Timestamp) -> Timestamp {
        at.min(self.end).max(self.start)
    }

    /// What makes two reports of `user` in this period the same one: nothing but what is written here, so a restart and
    /// a second sending give the same GUID.
    pub(super) fn guid(&self, agent: Guid, kind: PeriodType, user: &str) -> Guid {
        let Period { start, part, .. } = self;
        // The user comes last, since only that may hold any character.
        let name = format!("muster usage\n{agent}\n{kind}\n{}\n{part}\n{user}", start.0);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::of(name.as_bytes()).0[..16]);
        Guid::from_random(bytes)
    }
}

/// The periods of one type, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Periods {
    kind: PeriodType,
    open: Option<Period>,
    /// Every period that began before this may have been open once.
    frontier: Timestamp,
    /// How often one was opened again.
    reopened: u32,
}

impl Periods {
    pub(super) fn new(kind: PeriodType) -> Periods {
        Periods { kind, open: None, frontier: Timestamp(i64::MIN), reopened: 0 }
    }

    pub(super) fn kind(&self) -> PeriodType {
        self.kind
    }

    pub(super) fn open(&self) -> Option<&Period> {
        self.open.as_ref()
    }

    /// Ends the open period.
    pub(super) fn close(&mut self) -> Option<Period> {
        self.open.take()
    }

    /// Opens the period around `now`. When another was open, that has ended and is given.
    ///
    /// A clock that is back by less than `slack_ms` was corrected, not set, and changes nothing.
    pub(super) fn turn(&mut self, now: Timestamp, grid: Grid, slack_ms: i64) -> Option<Period> {
        if let Some(open) = self.open
            && now < open.end
            && now >= open.start.plus_ms(-slack_ms)
        {
            return None;
        }
        let ended = self.open.take();
        let (start, end) = grid.around(now);
        let mut part = 0;
        if start < self.frontier {
            // The server replaces by GUID: a period that is opened again must not take the place of what was told of
            // it before.
            self.reopened = self.reopened.saturating_add(1);
            part = self.reopened;
        }
        self.frontier = self.frontier.max(end);
        self.open = Some(Period { start, end, part });
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
    use proptest::prelude::*;

    const AGENT: Guid = Guid::NIL;

    fn at(stamp: &str) -> Timestamp {
        Timestamp::from_stamp(stamp).unwrap()
    }

    #[test]
    fn sessions_of_a_fleet_begin_all_over_the_period_and_on_whole_samples() {
        let mut begun = [0; 480];
        for n in 0..4_800u32 {
            let agent = Guid::from_random(Digest::of(&n.to_be_bytes()).0[..16].try_into().unwrap());
            let grid = Grid::sessions(agent, 8 * HOUR_MS, MINUTE_MS);
            assert_eq!(grid, Grid::sessions(agent, 8 * HOUR_MS, MINUTE_MS));
            assert_eq!(grid.from_ms % MINUTE_MS, 0);
            begun[(grid.from_ms / MINUTE_MS) as usize] += 1;
        }
        assert!(begun.iter().all(|&agents| agents < 40), "{begun:?}");
    }

    #[test]
    fn a_guid_is_one_of_agent_type_user_period_and_part() {
        let period = Period { start: Timestamp(0), end: Timestamp(9), part: 0 };
        let other = Guid::from_random([1; 16]);
        let guids = [
            period.guid(AGENT, PeriodType::Session, "kim"),
            period.guid(other, PeriodType::Session, "kim"),
            period.guid(AGENT, PeriodType::WeeklySummary, "kim"),
            period.guid(AGENT, PeriodType::Session, "lee"),
            Period { start: Timestamp(1), ..period }.guid(AGENT, PeriodType::Session, "kim"),
            Period { part: 1, ..period }.guid(AGENT, PeriodType::Session, "kim"),
        ];
        for (n, guid) in guids.iter().enumerate() {
            assert!(!guids[..n].contains(guid), "{n}");
        }
        assert_eq!(guids[0], Period { end: Timestamp(5), ..period }.guid(AGENT, PeriodType::Session, "kim"));
        assert_eq!(guids[0].to_string(), "70ee31a0-8650-4c4b-bb2c-bdd0f403e15f", "releases agree");
    }

    #[test]
    fn a_period_gives_way_at_its_end_and_not_for_a_small_correction() {
        let mut weeks = Periods::new(PeriodType::WeeklySummary);
        let monday = at("20250310T000000");
        let mut turn = |now| weeks.turn(now, Grid::WEEKS, 180_000).map(|period| (period.start, period.part));
        assert_eq!(turn(monday.plus_ms(5)), None);
        assert_eq!(turn(monday.plus_ms(-180_000)), None);
        assert_eq!(turn(monday.plus_ms(WEEK_MS - 1)), None);
        assert_eq!(turn(monday.plus_ms(WEEK_MS)), Some((monday, 0)));
        assert_eq!(turn(monday.plus_ms(3 * WEEK_MS)), Some((monday.plus_ms(WEEK_MS), 0)));
    }

    proptest! {
        #[test]
        fn no_two_periods_have_one_guid_whatever_the_clock_does(
            steps in proptest::collection::vec(-30 * DAY_MS..30 * DAY_MS, 1..40),
            far in -(1i64 << 60)..1 << 60,
        ) {
            let mut weeks = Periods::new(PeriodType::WeeklySummary);
            let mut now = at("20250310T000000");
            let mut seen = std::collections::BTreeSet::new();
            for (n, step) in steps.into_iter().enumerate() {
                now = if n == 7 { Timestamp(far) } else { now.plus_ms(step) };
                if let Some(ended) = weeks.turn(now, Grid::WEEKS, 0) {
                    prop_assert!(seen.insert((ended.start, ended.part)));
                }
                let open = weeks.open().unwrap();
                prop_assert_eq!(open.start, crate::model::usage::week_of(now));
                prop_assert!( now < open.end);
                prop_assert!(open.length_ms() <= WEEK_MS as u64);
            }
        }
    }
}
