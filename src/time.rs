//! Points in time as whole milliseconds, so that a decision can be tested with plain numbers.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One second, one minute, one hour and one day in milliseconds.
pub const SECOND_MS: i64 = 1_000;
/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, or since the start of a simulation.
///
/// Arithmetic saturates: a hostile clock can be far away, but cannot wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Later than everything: "no timer is wanted".
    pub const NEVER: Timestamp = Timestamp(i64::MAX);

    /// The point `duration` later.
    pub fn after(self, duration: Duration) -> Timestamp {
        self.plus_ms(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }

    /// The point `ms` later (earlier when negative).
    pub fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here; 0 when `earlier` is in fact later.
    pub fn ms_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }

    /// Time from `earlier` to here; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.ms_since(earlier) as u64)
    }

    /// `2025-03-14T03:15:22.000Z`; times outside the years 0 to 9999 show the nearest bound.
    pub fn to_rfc3339(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// `20250314T031522`, the form of inventory files and upload names (UTC).
    pub fn to_stamp(self) -> String {
        self.civil().strftime("%Y%m%dT%H%M%S").to_string()
    }

    /// Reads `YYYYMMDDThhmmss` with an optional trailing `Z`, as UTC. `None` for anything else.
    pub fn from_stamp(text: &str) -> Option<Timestamp> {
        let digits = text.strip_suffix('Z').unwrap_or(text);
        if digits.len() != 15
            || !digits.bytes().enumerate().all(|(i, b)| if i == 8 { b == b'T' } else { b.is_ascii_digit() })
        {
            return None;
        }
        let number = |from: usize, to: usize| digits[from..to].parse::<i16>().ok();
        let part = |from: usize| digits[from..from + 2].parse::<i8>().ok();
        let civil =
            jiff::civil::DateTime::new(number(0, 4)?, part(4)?, part(6)?, part(9)?, part(11)?, part(13)?, 0).ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp(zoned.timestamp().as_millisecond()))
    }

    /// Reads RFC 3339 (`2025-03-14T03:15:22Z`, any offset). `None` for anything else.
    pub fn from_rfc3339(text: &str) -> Option<Timestamp> {
        text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()))
    }

    /// Reads a date of HTTP as everybody has to write it (`Fri, 14 Mar 2025 03:15:22 GMT`). `None` for anything else.
    /// Source: RFC 9110, section 5.6.7, IMF-fixdate.
    pub fn from_http_date(text: &str) -> Option<Timestamp> {
        // Mail has the same form with more freedom: folded lines, comments, other zones.
        if text.len() != 29 || !text.ends_with(" GMT") {
            return None;
        }
        let read = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
        read.ok().map(|at| Timestamp(at.as_millisecond()))
    }

    fn civil(self) -> jiff::Zoned {
        // What jiff holds of the years 0000 to 9999, so that the text keeps its fixed width.
        let ms = self.0.clamp(-62_167_219_200_000, 253_402_207_199_999);
        let at = jiff::Timestamp::from_millisecond(ms).expect("clamped into jiff's range");
        at.to_zoned(jiff::tz::TimeZone::UTC)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_as_the_same_second() {
        let at = Timestamp::from_stamp("20250314T031522").unwrap();
        assert_eq!(at, Timestamp(1_741_922_122_000));
        assert_eq!(at.to_stamp(), "20250314T031522");
        assert_eq!(Timestamp::from_stamp("20250314T031522Z"), Some(at));
        assert_eq!(at.to_rfc3339(), "2025-03-14T03:15:22.000Z");
        assert_eq!(Timestamp::from_rfc3339("2025-03-14T04:15:22+01:00"), Some(at));
    }

    #[test]
    fn a_date_of_http_is_read_in_its_one_form_only() {
        let at = Timestamp::from_stamp("20250314T031522");
        assert_eq!(Timestamp::from_http_date("Fri, 14 Mar 2025 03:15:22 GMT"), at);
        for text in [
            "",
            "Fri, 14 Mar 2025 03:15:22 +0100",
            "Thu, 14 Mar 2025 03:15:22 GMT",
            "Fri, 14 Mar 2025 03:15:22 UTC",
            "Friday, 14-Mar-25 03:15:22 GMT",
            "Fri Mar 14 03:15:22 2025",
            "Fri, 14 Mar 2025 03:15 (a) GMT",
            "Fri, 32 Mar 2025 03:15:22 GMT",
        ] {
            assert_eq!(Timestamp::from_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_stamp_is_refused() {
        for text in [
            "",
            "20250314",
            "20251314T000000",
            "20250314T250000",
            "20250314 031522",
            "+0250314T031522",
            "2025٣314T0315",
        ] {
            assert_eq!(Timestamp::from_stamp(text), None, "{text}");
        }
    }

    #[test]
    fn far_times_saturate_and_still_print() {
        assert_eq!(Timestamp::NEVER.plus_ms(1), Timestamp::NEVER);
        assert_eq!(Timestamp(i64::MIN).to_rfc3339(), "0000-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::NEVER.to_rfc3339(), "9999-12-30T21:59:59.999Z");
        assert_eq!(Timestamp(5).ms_since(Timestamp(9)), 0);
    }
}
