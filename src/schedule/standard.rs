//! The schedule of every agent, made from what an operator picks: a frequency, a start and how soon to commence.
//!
//! Source: `agent-beacon-batch` reference, section 2.4 (what an operator picks) and section 7 (the example).

use serde::{Deserialize, Serialize};

use super::recurrence::Recurrence;
use crate::formats::nds::{CatchUp, Command, Event, Nds, Repeat, SECONDS_MAX, Trigger, TriggerKind};
use crate::id::Guid;
use crate::model::day::{self, Day};
use crate::time::{DAY_MS, SECOND_MS, Timestamp};

/// Seconds of a day.
const DAY_SECS: u32 = 86_400;
/// Agents ask for policy no more often than this.
const POLICY_SECS_MIN: u32 = 60;
/// The policy event's first occurrence of a day: 00:05.
const POLICY_START_SECS: u32 = 5 * 60;
/// The catch-up is spread over this.
const CATCH_UP_WINDOW_SECS: u32 = 3_600;
/// What runs the catch-up of uploads.
const UPLOADER: &str = "Uploader";
/// 9999-12-29, the last day of which a schedule can name every second.
const MADE_AT_MAX: i64 = 253_402_041_600_000;

/// When agents do what, as an operator picks it. Times of day are those of the clocks by which an
/// agent reads its schedules: UTC, unless its own file says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSchedule {
    /// How often a host is collected.
    pub inventory: Frequency,
    /// Collections begin then, in seconds after midnight.
    pub inventory_start_secs: u32,
    /// Each agent begins at a random moment within so many seconds after it; 0: all at once.
    pub inventory_within_secs: u32,
    /// From one policy question to the next, in seconds; divides a day.
    pub policy_repeat_secs: u32,
    /// The question comes at a random moment within so many seconds. As long as the repetition, questions are spread
    /// evenly; the vendor's one hour asks for ten times the rate twice a day.
    pub policy_window_secs: u32,
    /// The catch-up's hour begins then, in seconds after midnight; each beacon draws its own.
    pub catch_up_start_secs: u32,
}

/// How often a host is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Frequency {
    /// On one day.
    Once {
        /// It; written `YYYY-MM-DD`.
        #[serde(with = "day::as_text")]
        on: Day,
    },
    /// Every so many days.
    Daily {
        /// 1 to 366.
        every_days: u32,
    },
    /// On days of the week.
    Weekly {
        /// The sum of Monday 1, Tuesday 2, Wednesday 4, Thursday 8, Friday 16, Saturday 32, Sunday 64.
        days: u8,
    },
    /// On a day of each month.
    Monthly {
        /// 1 to 28; 0 is the last day.
        day: u8,
    },
}

/// Which setting of a schedule is wrong, and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A time of day past midnight.
    #[error("`{setting}` is {met}: a time of day is 0 to {} seconds after midnight", DAY_SECS - 1)]
    TimeOfDay {
        /// Name of the setting.
        setting: &'static str,
        /// What it is.
        met: u32,
    },
    /// No number of days.
    #[error("`inventory.daily.every_days` is {0}: it can be 1 to 366")]
    EveryDays(u32),
    /// No days of a week.
    #[error("`inventory.weekly.days` is {0}: add up Monday 1, Tuesday 2, Wednesday 4 to Sunday 64, at least one")]
    Weekdays(u8),
    /// No day of every month.
    #[error("`inventory.monthly.day` is {0}: it can be 1 to 28, or 0 for the last day of each month")]
    DayOfMonth(u8),
    /// Some agents would begin after the next collection was to begin.
    #[error("`inventory_within_secs` is {met}: with this frequency it can be at most {most}")]
    Within {
        /// What it is.
        met: u32,
        /// Seconds between two collections.
        most: u32,
    },
    /// Not evenly spread over a day.
    #[error("`policy_repeat_secs` is {0}: it has to divide a day (86400) and be at least {POLICY_SECS_MIN}")]
    PolicyRepeat(u32),
    /// Some agents would ask after the next question was to come.
    #[error("`policy_window_secs` is {met}: it can be at most `policy_repeat_secs`, which is {most}")]
    PolicyWindow {
        /// What it is.
        met: u32,
        /// The repetition.
        most: u32,
    },
}

impl Default for AgentSchedule {
    fn default() -> Self {
        AgentSchedule {
            inventory: Frequency::Daily { every_days: 1 },
            inventory_start_secs: 3_600,
            inventory_within_secs: 4 * 3_600,
            policy_repeat_secs: DAY_SECS / 2,
            policy_window_secs: DAY_SECS / 2,
            // Before noon in Europe, when machines are on.
            catch_up_start_secs: 11 * 3_600,
        }
    }
}

impl AgentSchedule {
    /// Finds the first setting that cannot be.
    pub fn check(&self) -> Result<(), ScheduleError> {
        match self.inventory {
            Frequency::Daily { every_days } if !(1..=366).contains(&every_days) => {
                return Err(ScheduleError::EveryDays(every_days));
            }
            Frequency::Weekly { days } if !(1..=127).contains(&days) => return Err(ScheduleError::Weekdays(days)),
            Frequency::Monthly { day } if day > 28 => return Err(ScheduleError::DayOfMonth(day)),
            Frequency::Once { .. } | Frequency::Daily { .. } | Frequency::Weekly { .. } | Frequency::Monthly { .. } => {
            }
        }
        for (setting, met) in
            [("inventory_start_secs", self.inventory_start_secs), ("catch_up_start_secs", self.catch_up_start_secs)]
        {
            if met >= DAY_SECS {
                return Err(ScheduleError::TimeOfDay { setting, met });
            }
        }
        let apart = Recurrence::new(&self.inventory_trigger(0)).map_or(0, |inventory| inventory.apart_ms());
        let most = u32::try_from(apart / SECOND_MS).unwrap_or(u32::MAX).min(SECONDS_MAX);
        if self.inventory_within_secs > most {
            return Err(ScheduleError::Within { met: self.inventory_within_secs, most });
        }
        let repeat = self.policy_repeat_secs;
        if repeat < POLICY_SECS_MIN || !DAY_SECS.is_multiple_of(repeat) {
            return Err(ScheduleError::PolicyRepeat(repeat));
        }
        if self.policy_window_secs > repeat {
            return Err(ScheduleError::PolicyWindow { met: self.policy_window_secs, most: repeat });
        }
        Ok(())
    }

    /// The trigger of a schedule that is made on `today`, a number of days since 1970.
    fn inventory_trigger(&self, today: i64) -> Trigger {
        let (kind, day) = match self.inventory {
            Frequency::Once { on } => (TriggerKind::Once, midnight(on).min(MADE_AT_MAX)),
            Frequency::Daily { every_days } => {
                // The days do not depend on when the schedule was made: else making it anew would move them.
                let step = i64::from(every_days).max(1);
                (TriggerKind::Daily { every_days }, (today / step * step).saturating_mul(DAY_MS))
            }
            Frequency::Weekly { days } => (TriggerKind::Weekly { days }, today.saturating_mul(DAY_MS)),
            Frequency::Monthly { day } => (TriggerKind::Monthly { day }, today.saturating_mul(DAY_MS)),
        };
        trigger(kind, Timestamp(day), self.inventory_start_secs, self.inventory_within_secs)
    }
}

/// The schedule of the settings, which have passed [`AgentSchedule::check`]. Equal settings made on the same second
/// give equal schedules; years before 1970 and after 9999 count as these.
pub fn standard_schedule(settings: &AgentSchedule, made_at: Timestamp) -> Nds {
    let made_at = made_at.0.clamp(0, MADE_AT_MAX) / SECOND_MS * SECOND_MS;
    let today = made_at / DAY_MS;
    let midnight = Timestamp(today * DAY_MS);
    let daily = TriggerKind::Daily { every_days: 1 };
    let repeat = Repeat { every_secs: settings.policy_repeat_secs, for_secs: DAY_SECS };
    let policy =
        Trigger { repeat: Some(repeat), ..trigger(daily, midnight, POLICY_START_SECS, settings.policy_window_secs) };
    let catch_up = trigger(daily, midnight, settings.catch_up_start_secs, CATCH_UP_WINDOW_SECS);
    let inventory = Event {
        name: "Generate Inventory".into(),
        id: event_id(1),
        idle_secs: 60,
        // A laptop that is off or asleep each night would never be collected by a night's hours alone.
        catch_up: CatchUp::Always,
        command: command("Tracker", "Report", ""),
        triggers: vec![settings.inventory_trigger(today)],
        ..Event::default()
    };
    let update = Event {
        name: "Update Machine Policy".into(),
        id: event_id(2),
        command: command("PolicyClient", "Apply", "-t Machine"),
        triggers: vec![policy, trigger(TriggerKind::Now, midnight, 0, 0)],
        ..Event::default()
    };
    let upload = Event {
        name: "Upload Client Files".into(),
        id: event_id(3),
        needs_network: true,
        catch_up: CatchUp::OnStartup,
        command: command(UPLOADER, "Upload", ""),
        triggers: vec![catch_up],
        ..Event::default()
    };
    Nds {
        schema: 60,
        name: "Default Machine Schedule".into(),
        made_at: Timestamp(made_at),
        events: vec![inventory, update, upload],
    }
}

/// The schedule with the catch-up of uploads beginning `seconds_of_day` after midnight, which a beacon draws, so that
/// not all beacons' agents upload in one hour. A later time than a day has is the day's last second.
///
/// Moves each daily, weekly or monthly trigger of an event that runs the uploader; all else stays.
pub fn with_catch_up_at(mut nds: Nds, seconds_of_day: u32) -> Nds {
    let time_ms = i64::from(seconds_of_day.min(DAY_SECS - 1)) * SECOND_MS;
    let uploads = nds.events.iter_mut().filter(|event| event.command.component == UPLOADER);
    for trigger in uploads.flat_map(|event| &mut event.triggers) {
        let recurs = match trigger.kind {
            TriggerKind::Daily { .. } | TriggerKind::Weekly { .. } | TriggerKind::Monthly { .. } => true,
            TriggerKind::Now
            | TriggerKind::Once
            | TriggerKind::OnStartup
            | TriggerKind::OnConnect
            | TriggerKind::Logon => false,
        };
        if let (Some(start), true) = (trigger.start, recurs) {
            let midnight = start.plus_ms(-start.0.rem_euclid(DAY_MS));
            trigger.start = Some(midnight.plus_ms(time_ms));
        }
    }
    nds
}

/// The GUIDs of the reference's example.
fn event_id(number: u8) -> Guid {
    let mut bytes = [0x11, 0x11, 0x11, 0x11, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
    bytes[15] = number;
    Guid::from_random(bytes)
}

fn command(component: &str, action: &str, param: &str) -> Command {
    Command { component: component.into(), action: action.into(), param: param.into() }
}

fn trigger(kind: TriggerKind, midnight: Timestamp, start_secs: u32, window_secs: u32) -> Trigger {
    let start = midnight.plus_ms(i64::from(start_secs) * SECOND_MS);
    Trigger { kind, start: Some(start), repeat: None, window_secs }
}

/// The first millisecond of a day.
fn midnight(day: Day) -> i64 {
    let (year, month, day) = day.parts();
    // Every day of the calendar has a stamp.
    Timestamp::from_stamp(&format!("{year:04}{month:02}{day:02}T000000")).map_or(0, |at| at.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = include_str!("../../tests/golden/formats/default.nds");

    fn example() -> Nds {
        Nds::read(EXAMPLE.as_bytes()).unwrap()
    }

    fn problem(change: impl FnOnce(&mut AgentSchedule)) -> String {
        let mut settings = AgentSchedule::default();
        change(&mut settings);
        settings.check().expect_err("a setting is wrong").to_string()
    }

    #[test]
    fn the_default_settings_make_the_example_of_the_reference() {
        let made_at = Timestamp::from_stamp("20250314T000000").unwrap();
        let settings = AgentSchedule { catch_up_start_secs: 62_561, ..AgentSchedule::default() };
        assert_eq!(standard_schedule(&settings, made_at), example());
        let with_defaults = standard_schedule(&AgentSchedule::default(), made_at);
        assert_eq!(with_catch_up_at(with_defaults, 62_561), example());
        assert_eq!(AgentSchedule::default().check(), Ok(()));
    }

    #[test]
    fn a_beacon_moves_the_catch_up_and_nothing_else() {
        let moved = with_catch_up_at(example(), 3_661);
        let mut text = Vec::new();
        moved.write(&mut text).unwrap();
        let expected = EXAMPLE.replace("utf-8", "UTF-8").replace("172241", "010101");
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let last = with_catch_up_at(example(), u32::MAX).events[2].triggers[0].start;
        assert_eq!(last, Timestamp::from_stamp("20250314T235959"));
        let mut once = example();
        once.events[2].triggers[0].kind = TriggerKind::Once;
        assert_eq!(with_catch_up_at(once.clone(), 3_661), once);
    }

    #[test]
    fn every_bad_setting_is_named_with_what_would_be_right() {
        let cases = [
            (
                problem(|it| it.inventory_start_secs = 86_400),
                "`inventory_start_secs` is 86400: a time of day is 0 to 86399 seconds after midnight",
            ),
            (
                problem(|it| it.catch_up_start_secs = u32::MAX),
                "`catch_up_start_secs` is 4294967295: a time of day is 0 to 86399 seconds after midnight",
            ),
            (
                problem(|it| it.inventory = Frequency::Daily { every_days: 0 }),
                "`inventory.daily.every_days` is 0: it can be 1 to 366",
            ),
            (
                problem(|it| it.inventory = Frequency::Daily { every_days: 367 }),
                "`inventory.daily.every_days` is 367: it can be 1 to 366",
            ),
            (
                problem(|it| it.inventory = Frequency::Weekly { days: 0 }),
                "`inventory.weekly.days` is 0: add up Monday 1, Tuesday 2, Wednesday 4 to Sunday 64, at least one",
            ),
            (
                problem(|it| it.inventory = Frequency::Weekly { days: 128 }),
                "`inventory.weekly.days` is 128: add up Monday 1, Tuesday 2, Wednesday 4 to Sunday 64, at least one",
            ),
            (
                problem(|it| it.inventory = Frequency::Monthly { day: 29 }),
                "`inventory.monthly.day` is 29: it can be 1 to 28, or 0 for the last day of each month",
            ),
            (
                problem(|it| it.inventory_within_secs = 86_401),
                "`inventory_within_secs` is 86401: with this frequency it can be at most 86400",
            ),
            (
                problem(|it| (it.inventory, it.inventory_within_secs) = (Frequency::Weekly { days: 1 | 4 }, 172_801)),
                "`inventory_within_secs` is 172801: with this frequency it can be at most 172800",
            ),
            (
                problem(|it| it.policy_repeat_secs = 0),
                "`policy_repeat_secs` is 0: it has to divide a day (86400) and be at least 60",
            ),
            (
                problem(|it| it.policy_repeat_secs = 50_000),
                "`policy_repeat_secs` is 50000: it has to divide a day (86400) and be at least 60",
            ),
            (
                problem(|it| it.policy_repeat_secs = 30),
                "`policy_repeat_secs` is 30: it has to divide a day (86400) and be at least 60",
            ),
            (
                problem(|it| it.policy_window_secs = 43_201),
                "`policy_window_secs` is 43201: it can be at most `policy_repeat_secs`, which is 43200",
            ),
        ];
        for (met, expected) in cases {
            assert_eq!(met, expected);
        }
    }

    #[test]
    fn the_vendors_hour_and_windows_up_to_the_period_are_taken() {
        for settings in [
            AgentSchedule { policy_window_secs: 3_600, ..AgentSchedule::default() },
            AgentSchedule { inventory_within_secs: 86_400, ..AgentSchedule::default() },
            AgentSchedule {
                inventory: Frequency::Monthly { day: 0 },
                inventory_within_secs: 28 * 86_400,
                ..AgentSchedule::default()
            },
        ] {
            assert_eq!(settings.check(), Ok(()), "{settings:?}");
        }
    }

    #[test]
    fn settings_read_back_and_an_unknown_one_is_refused() {
        let on = "2025-04-01".parse().unwrap();
        for inventory in [
            Frequency::Once { on },
            Frequency::Daily { every_days: 3 },
            Frequency::Weekly { days: 5 },
            Frequency::Monthly { day: 0 },
        ] {
            let settings = AgentSchedule { inventory, ..AgentSchedule::default() };
            let json = serde_json::to_string(&settings).unwrap();
            assert_eq!(serde_json::from_str::<AgentSchedule>(&json).unwrap(), settings);
        }
        let weekly = toml::from_str::<AgentSchedule>("inventory.weekly.days = 5\npolicy_window_secs = 3600").unwrap();
        assert_eq!((weekly.inventory, weekly.policy_window_secs), (Frequency::Weekly { days: 5 }, 3_600));
        for text in ["{\"inventory_secs\":1}", "{\"inventory\":{\"daily\":{\"every_days\":1,\"at\":2}}}"] {
            let refused = serde_json::from_str::<AgentSchedule>(text).expect_err(text).to_string();
            assert!(refused.starts_with("unknown field"), "{refused}");
        }
    }

    #[test]
    fn a_schedule_made_anew_keeps_the_days_of_the_old_one() {
        let settings = AgentSchedule { inventory: Frequency::Daily { every_days: 7 }, ..AgentSchedule::default() };
        let start = |stamp| {
            let made_at = Timestamp::from_stamp(stamp).unwrap();
            standard_schedule(&settings, made_at).events[0].triggers[0].start.unwrap().0
        };
        let (first, later) = (start("20250314T120000"), start("20250403T070000"));
        assert!(later > first);
        assert_eq!((later - first) % (7 * DAY_MS), 0);
    }

    #[test]
    fn once_is_the_day_that_was_picked() {
        let on = "2025-04-01".parse().unwrap();
        let settings = AgentSchedule { inventory: Frequency::Once { on }, ..AgentSchedule::default() };
        let trigger = standard_schedule(&settings, Timestamp(0)).events[0].triggers[0];
        assert_eq!(trigger.kind, TriggerKind::Once);
        assert_eq!(trigger.start, Timestamp::from_stamp("20250401T010000"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_passes_the_check_makes_a_schedule_that_agents_read(
            kind in 0..4u8, number in 0..400u32, start in 0..90_000u32, within in 0..100_000u32,
            divisor in 1..=1_440u32, made_at: i64,
        ) {
            let inventory = match kind {
                0 => Frequency::Once { on: Day::of(Timestamp(made_at)) },
                1 => Frequency::Daily { every_days: number },
                2 => Frequency::Weekly { days: number as u8 },
                _ => Frequency::Monthly { day: number as u8 },
            };
            let settings = AgentSchedule {
                inventory,
                inventory_start_secs: start,
                inventory_within_secs: within,
                policy_repeat_secs: DAY_SECS / divisor,
                policy_window_secs: DAY_SECS / divisor,
                catch_up_start_secs: start,
            };
            let schedule = standard_schedule(&settings, Timestamp(made_at));
            if settings.check().is_ok() {
                let mut text = Vec::new();
                schedule.write(&mut text).unwrap();
                prop_assert_eq!(Nds::read(&text[..]).unwrap(), schedule);
            }
        }
    }
}
