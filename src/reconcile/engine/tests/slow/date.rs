//! Dates as days since 1970-01-01, by counting, year after year.

/// The day number of a text `YYYY-MM-DD`; `None` when it names no day of the calendar.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let digits = |from: usize, to: usize| {
        let part = &bytes[from..to];
        if !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(part.iter().fold(0i64, |value, digit| value * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) {
        return None;
    }
    let months: i64 = (1..month).map(|earlier| month_days(year, earlier)).sum();
    Some(days_before(year) + months + day - 1)
}

/// The text `YYYY-MM-DD` of a day that `parse` knows.
pub fn text(day: i64) -> String {
    let mut year = 0;
    while year < 9999 && days_before(year + 1) <= day {
        year += 1;
    }
    let mut left = day - days_before(year);
    let mut month = 1;
    while month < 12 && left >= month_days(year, month) {
        left -= month_days(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first day of `year`, negative before.
fn days_before(year: i64) -> i64 {
    let from_zero = |year: i64| (0..year).map(|earlier| if leap(earlier) { 366 } else { 365 }).sum::<i64>();
    from_zero(year) - from_zero(1970)
}

#[cfg(test)]
mod tests {
    use super::{parse, text};

    #[test]
    fn days_are_counted_from_1970() {
        for (written, day) in [("1970-01-01", 0), ("1969-12-31", -1), ("2000-03-01", 11_017), ("2026-06-15", 20_619)] {
            assert_eq!(parse(written), Some(day), "{written}");
            assert_eq!(text(day), written);
        }
    }

    #[test]
    fn a_day_the_calendar_does_not_have_is_no_date() {
        for bad in ["2025-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "2026-1-1", "26-01-01", "2026/01/01", ""] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(parse("2024-02-29").is_some());
    }
}
