//! How long a receiver wants to be left alone: the header `Retry-After`, for every sender alike.
//!
//! Source: delivery contract, section 5, "honour `Retry-After` between 1 s and 1 h"; RFC 9110, section 10.2.3.

use crate::time::{HOUR_MS, SECOND_MS, Timestamp};

/// The wish in milliseconds, within a second and an hour; `None` when it says nothing that is understood, and the sender's
/// own wait counts.
///
/// Seconds, or a date that is compared with the `date` of the same answer, so that a wrong clock here does not matter;
/// `present` stands in when there is none. A date that is over, like 0, is the least wait; too much is the longest.
pub fn retry_after_ms(value: &str, date: Option<&str>, present: Timestamp) -> Option<i64> {
    let value = value.trim();
    let wish_ms = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are more than an hour too.
        value.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(SECOND_MS)
    } else {
        let from = date.and_then(Timestamp::from_http_date).unwrap_or(present);
        Timestamp::from_http_date(value)?.ms_since(from)
    };
    Some(wish_ms.clamp(SECOND_MS, HOUR_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MINUTE_MS;

    const NOON: &str = "Fri, 14 Mar 2025 12:00:00 GMT";

    fn noon() -> Timestamp {
        Timestamp::from_stamp("20250314T120000Z").unwrap()
    }

    #[test]
    fn seconds_are_kept_within_a_second_and_an_hour_and_what_is_no_wish_is_none() {
        for (value, wanted) in [
            ("60", Some(MINUTE_MS)),
            (" 5 ", Some(5 * SECOND_MS)),
            ("0", Some(SECOND_MS)),
            ("3601", Some(HOUR_MS)),
            ("99999999999999999999999999", Some(HOUR_MS)),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after_ms(value, None, noon()), wanted, "{value}");
        }
    }

    #[test]
    fn a_date_counts_from_the_answers_own_date_or_else_from_the_present() {
        let at = |value, date| retry_after_ms(value, date, noon());
        let five_past = "Fri, 14 Mar 2025 12:05:00 GMT";
        assert_eq!(at(five_past, None), Some(5 * MINUTE_MS));
        // The clock here is a year behind that of the receiver.
        let (theirs, then) = ("Sat, 14 Mar 2026 12:00:00 GMT", "Sat, 14 Mar 2026 12:02:00 GMT");
        assert_eq!(at(then, Some(theirs)), Some(2 * MINUTE_MS));
        assert_eq!(at(then, None), Some(HOUR_MS));
        assert_eq!(at(five_past, Some("no date")), Some(5 * MINUTE_MS));
        assert_eq!(at("Fri, 14 Mar 2025 11:00:00 GMT", Some(NOON)), Some(SECOND_MS), "it is over");
        assert_eq!(at("Fri, 14 Mar 2025 25:00:00 GMT", Some(NOON)), None);
        assert_eq!(at("2025-03-14T12:05:00Z", Some(NOON)), None);
    }
}
