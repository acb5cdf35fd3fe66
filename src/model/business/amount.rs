//! An amount of money, exact.

use std::fmt;

/// Parts of one: four digits behind the point.
const PARTS: i64 = 10_000;
const DIGITS_MAX: usize = 4;

/// An amount in ten-thousandths, without a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub i64);

/// The text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no amount, write digits such as 1234{mark}50, without blanks and thousands marks")]
pub struct AmountError {
    mark: char,
}

impl Amount {
    /// Reads digits, with up to four behind `mark`, and `-` in front for a credit.
    pub fn read(text: &str, mark: char) -> Result<Amount, AmountError> {
        let read = || {
            let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
            let (whole, part) = digits.split_once(mark).unwrap_or((digits, "0"));
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number(whole) || !is_number(part) || part.len() > DIGITS_MAX {
                return None;
            }
            let part: i64 = format!("{part:0<DIGITS_MAX$}").parse().ok()?;
            let whole: i64 = whole.parse().ok()?;
            whole.checked_mul(PARTS)?.checked_add(part)?.checked_mul(sign).map(Amount)
        };
        read().ok_or(AmountError { mark })
    }
}

impl fmt::Display for Amount {
    /// With a point, and two digits behind it unless it has more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.unsigned_abs() / PARTS as u64, self.0.unsigned_abs() % PARTS as u64);
        let sign = if self.0 < 0 { "-" } else { "" };
        match part % 100 {
            0 => write!(f, "{sign}{whole}.{:02}", part / 100),
            _ => write!(f, "{sign}{whole}.{part:04}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_exact_and_what_could_mean_two_things_is_refused() {
        for (text, shown) in [("1234.5", "1234.50"), ("-0.01", "-0.01"), ("7", "7.00"), ("0.1234", "0.1234")] {
            assert_eq!(Amount::read(text, '.').unwrap().to_string(), shown);
        }
        assert_eq!(Amount::read("12,50", ','), Amount::read("12.5", '.'));
        for text in ["", "-", ".5", "5.", "1,234.50", "1 234", "1e3", "+5", "0.12345", "9223372036854775807", "--1"] {
            assert!(Amount::read(text, '.').is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(parts in any::<i64>()) {
            let amount = Amount(parts.max(-i64::MAX));
            prop_assert_eq!(Amount::read(&amount.to_string(), '.'), Ok(amount));
        }
    }
}
