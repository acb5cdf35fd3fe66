use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::time::{SECOND_MS, Timestamp};

/// A time of day on days of the week, by the clock of a zone with all its changes; or so long after the time before.
///
/// A time that the clock skips means the first moment behind the gap by as much as it lies in it; one that the clock shows
/// twice means the first. So each day that it is of has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trigger(Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Daily { minute: u16, days: u8 },
    Every { ms: i64 },
}

/// Minutes of a day.
const MINUTES: u16 = 24 * 60;
/// Their names, from Monday on.
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// Most seconds between two times: a century.
const SECS_MAX: i64 = 100 * 366 * 86_400;
/// All days of a week.
const EVERY_DAY: u8 = 0x7f;

impl Trigger {
    /// `minute` counts from midnight; `days` has bit 0 for Monday to bit 6 for Sunday. `None` for what is no time, or never.
    pub fn daily(minute: u16, days: u8) -> Option<Trigger> {
        let days = days & EVERY_DAY;
        (minute < MINUTES && days != 0).then_some(Trigger(Form::Daily { minute, days }))
    }

    /// So many milliseconds after the time before, at least one.
    pub fn every(ms: i64) -> Trigger {
        Trigger(Form::Every { ms: ms.max(1) })
    }

    /// Reads `hh:mm`; every day.
    pub fn parse(text: &str) -> Option<Trigger> {
        let (hour, minute) = text.split_once(':')?;
        let number = |text: &str| {
            let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| is_number)
        };
        let (hour, minute) = (number(hour)?, number(minute)?);
        if hour < 24 && minute < 60 { Trigger::daily(hour * 60 + minute, EVERY_DAY) } else { None }
    }

    /// Reads what is printed: `03:00`, `03:00 monday friday` or `every 3600 s`.
    pub fn read(text: &str) -> Option<Trigger> {
        if let Some(secs) = text.strip_prefix("every ").and_then(|rest| rest.strip_suffix(" s")) {
            let secs: i64 = secs.parse().ok().filter(|secs| (1..=SECS_MAX).contains(secs))?;
            return Some(Trigger::every(secs * SECOND_MS));
        }
        let mut words = text.split(' ');
        let trigger = Trigger::parse(words.next()?)?;
        let mut days = 0_u8;
        for word in words {
            let day = 1 << DAYS.iter().position(|day| *day == word)?;
            if days & day != 0 {
                return None;
            }
            days |= day;
        }
        if days == 0 { Some(trigger) } else { trigger.on(days) }
    }

    /// The same time of day on these days alone.
    pub fn on(self, days: u8) -> Option<Trigger> {
        match self.0 {
            Form::Daily { minute, .. } => Trigger::daily(minute, days),
            Form::Every { .. } => None,
        }
    }

    /// The first moment behind `after`; [`Timestamp::NEVER`] when that is beyond the calendar.
    pub fn next_after(self, after: Timestamp, zone: &TimeZone) -> Timestamp {
        let (minute, days) = match self.0 {
            Form::Daily { minute, days } => (minute, days),
            Form::Every { ms } => return after.plus_ms(ms),
        };
        let Ok(instant) = jiff::Timestamp::from_millisecond(after.0) else { return Timestamp::NEVER };
        // A change of the clock may put the moment of a day before or behind that day's noon, never a week away.
        let mut day = zone.to_datetime(instant).date().yesterday().ok();
        for _ in 0..10 {
            let Some(date) = day else { break };
            match on_day(date, minute, days, zone) {
                Some(at) if at > after => return at,
                _ => day = date.tomorrow().ok(),
            }
        }
        Timestamp::NEVER
    }
}

fn on_day(date: Date, minute: u16, days: u8, zone: &TimeZone) -> Option<Timestamp> {
    if days & (1 << date.weekday().to_monday_zero_offset()) == 0 {
        return None;
    }
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    let time = Time::new(hour, minute, 0, 0).ok()?;
    let instant = zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok()?;
    Some(Timestamp(instant.as_millisecond()))
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (minute, days) = match self.0 {
            Form::Daily { minute, days } => (minute, days),
            Form::Every { ms } => return write!(f, "every {} s", ms / SECOND_MS),
        };
        write!(f, "{:02}:{:02}", minute / 60, minute % 60)?;
        let mut on = DAYS.iter().enumerate().filter(|(day, _)| days != EVERY_DAY && days & (1 << day) != 0);
        on.try_for_each(|(_, name)| write!(f, " {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central European: an hour forward on the last Sunday of March at 2, back on that of October at 3.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn next(trigger: &str, after: &str, zone: &TimeZone) -> String {
        let after = Timestamp::from_rfc3339(after).unwrap();
        Trigger::parse(trigger).unwrap().next_after(after, zone).to_rfc3339()
    }

    #[test]
    fn midnight_is_that_of_the_zone_in_winter_and_summer() {
        let zone = berlin();
        assert_eq!(next("00:00", "2026-01-15T12:00:00Z", &zone), "2026-01-15T23:00:00.000Z");
        assert_eq!(next("00:00", "2026-07-15T12:00:00Z", &zone), "2026-07-15T22:00:00.000Z");
        assert_eq!(next("00:00", "2026-07-15T22:00:00Z", &zone), "2026-07-16T22:00:00.000Z", "not the same one again");
        assert_eq!(next("00:00", "2026-07-15T12:00:00Z", &TimeZone::UTC), "2026-07-16T00:00:00.000Z");
    }

    #[test]
    fn a_time_that_is_skipped_comes_once_behind_the_gap_and_one_that_comes_twice_is_the_first() {
        let zone = berlin();
        // 29 March 2026, 02:30 does not exist.
        assert_eq!(next("02:30", "2026-03-28T12:00:00Z", &zone), "2026-03-29T01:30:00.000Z");
        assert_eq!(next("02:30", "2026-03-29T01:30:00Z", &zone), "2026-03-30T00:30:00.000Z");
        // 25 October 2026, 02:30 comes at 00:30 and at 01:30 UTC.
        assert_eq!(next("02:30", "2026-10-24T12:00:00Z", &zone), "2026-10-25T00:30:00.000Z");
        assert_eq!(next("02:30", "2026-10-25T00:30:00Z", &zone), "2026-10-26T01:30:00.000Z");
    }

    #[test]
    fn each_day_of_ten_years_has_one_moment_and_they_ascend() {
        let zone = berlin();
        for text in ["00:00", "02:00", "02:30", "03:00", "23:59"] {
            let trigger = Trigger::parse(text).unwrap();
            let mut at = Timestamp::from_rfc3339("2025-12-31T12:00:00Z").unwrap();
            for day in 0..3_650 {
                let then = trigger.next_after(at, &zone);
                assert!((22..=26).contains(&(then.ms_since(at) / 3_600_000)) || day == 0, "{text} day {day}");
                at = then;
            }
        }
    }

    #[test]
    fn days_of_the_week_are_kept() {
        let sunday = Trigger::parse("03:00").unwrap().on(1 << 6).unwrap();
        let after = Timestamp::from_rfc3339("2026-11-30T11:00:00Z").unwrap();
        assert_eq!(sunday.next_after(after, &TimeZone::UTC).to_rfc3339(), "2026-12-06T03:00:00.000Z");
        assert_eq!(sunday.to_string(), "03:00 sunday");
        let hourly = Trigger::every(3_600_000);
        assert_eq!(hourly.next_after(after, &TimeZone::UTC).to_rfc3339(), "2026-11-30T12:00:00.000Z");
        assert_eq!((hourly.to_string().as_str(), hourly.on(1)), ("every 3600 s", None));
        assert_eq!(sunday.next_after(Timestamp::NEVER, &TimeZone::UTC), Timestamp::NEVER);
    }

    #[test]
    fn what_is_no_time_of_day_is_not_read() {
        for text in ["", "24:00", "00:60", "0:00", "00:0", "-1:00", "+1:00", "00:00:00", "noon"] {
            assert_eq!(Trigger::parse(text), None, "{text}");
        }
        assert_eq!(Trigger::daily(1_440, 1), None);
        assert_eq!(Trigger::daily(0, 0x80), None);
    }
}
