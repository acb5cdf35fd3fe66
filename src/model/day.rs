//! A day of the calendar, as install dates and the terms of entitlements name it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::shorten;
use crate::time::Timestamp;

/// A day of the years 1 to 9999, without a time zone. Four bytes, also as an `Option`.
///
/// Stored as the number YYYYMMDD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Day(NonZeroU32);

/// The text or number is no day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a day: write YYYY-MM-DD or YYYYMMDD")]
pub struct DayError(String);

impl Day {
    /// The day with this year (1 to 9999), month and day of the month; `None` when the calendar has none.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Day> {
        let date = jiff::civil::Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
        let number = u32::from(year) * 10_000 + u32::from(month) * 100 + u32::from(day);
        if date.year() < 1 { None } else { NonZeroU32::new(number).map(Day) }
    }

    /// The day that `at` falls on in UTC; a time outside the years 1 to 9999 falls on the nearest day inside.
    pub fn of(at: Timestamp) -> Day {
        let first = || Day::new(1, 1, 1).expect("the first day of the calendar");
        at.to_stamp()[..8].parse().unwrap_or_else(|_| first())
    }

    /// Days from `earlier` to this day; negative when it comes later.
    pub fn days_since(self, earlier: Day) -> i64 {
        let number = |day: Day| {
            let (year, month, day) = day.parts();
            // Every day is one of the calendar, so its parts fit.
            let date = jiff::civil::Date::new(year as i16, month as i8, day as i8).unwrap_or_default();
            date.to_datetime(jiff::civil::Time::midnight()).duration_since(jiff::civil::Date::ZERO.into()).as_hours()
                / 24
        };
        number(self) - number(earlier)
    }

    /// Year, month, day of the month.
    pub fn parts(self) -> (u16, u8, u8) {
        let number = self.0.get();
        ((number / 10_000) as u16, (number / 100 % 100) as u8, (number % 100) as u8)
    }
}

impl FromStr for Day {
    type Err = DayError;

    /// Reads `YYYY-MM-DD`, or `YYYYMMDD` as inventory files write it.
    fn from_str(text: &str) -> Result<Day, DayError> {
        let parts = match text.len() {
            8 => [text.get(..4), text.get(4..6), text.get(6..)],
            10 if text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-' => {
                [text.get(..4), text.get(5..7), text.get(8..)]
            }
            _ => [None; 3],
        };
        let number = |part: Option<&str>| part.filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
        let [year, month, day] = parts.map(number);
        let read = || Day::new(year?, u8::try_from(month?).ok()?, u8::try_from(day?).ok()?);
        read().ok_or_else(|| DayError(shorten(text)))
    }
}

impl TryFrom<u32> for Day {
    type Error = DayError;
    fn try_from(number: u32) -> Result<Day, DayError> {
        format!("{number:08}").parse()
    }
}

impl From<Day> for u32 {
    fn from(day: Day) -> u32 {
        day.0.get()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A day as people write it, for files and settings: `YYYY-MM-DD`. The number YYYYMMDD reads as well.
pub mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Day;

    /// Writes `YYYY-MM-DD`.
    pub fn serialize<S: Serializer>(day: &Day, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(day)
    }

    /// Reads either form. The input has to say what it holds, as JSON and TOML do.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a day has to be a text like \"2026-12-01\"")]
        enum Written {
            Text(String),
            Number(u32),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => text.parse().map_err(D::Error::custom),
            Written::Number(number) => Day::try_from(number).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_read_as_the_same_day() {
        let day: Day = "2024-02-29".parse().unwrap();
        assert_eq!("20240229".parse(), Ok(day));
        assert_eq!((day.parts(), day.to_string().as_str()), ((2024, 2, 29), "2024-02-29"));
        assert_eq!(Day::try_from(u32::from(day)), Ok(day));
        assert_eq!(size_of::<Option<Day>>(), 4);
    }

    #[test]
    fn what_the_calendar_does_not_have_is_refused() {
        for text in
            ["", "20230229", "2024-13-01", "2024-1-01", "00000101", "2024/01/01", "٢٠٢٤", "+2240101", "2024-01é"]
        {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        assert!(Day::try_from(u32::MAX).is_err());
    }

    #[test]
    fn days_stand_in_the_order_of_the_calendar() {
        let days =
            ["0001-01-01", "2023-12-31", "2024-01-01", "2024-02-01", "9999-12-31"].map(|d| d.parse::<Day>().unwrap());
        assert!(days.is_sorted_by(|a, b| a < b));
        assert_eq!(Day::of(Timestamp(i64::MIN)), days[0]);
        assert_eq!(Day::of(Timestamp(1_704_067_199_999)), days[1]);
        assert_eq!(Day::of(Timestamp(1_704_067_200_000)), days[2]);
    }
}
