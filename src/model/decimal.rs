//! Exact decimals: points, capacities and quantities of licences, never rounded unless a metric says so.
//!
//! Source: reconcile-files reference, section 1 (*Number*, and how numbers are written).

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Digits behind the point that are read.
const READ_PLACES: usize = 9;
/// Digits behind the point that are kept: those of a product of two that were read.
const PLACES: usize = 2 * READ_PLACES;
/// Parts of one.
const ONE: i128 = 1_000_000_000_000_000_000;
/// Parts of what was read.
const READ_PART: i128 = 1_000_000_000;
/// Digits before the point that are read.
pub const WHOLE_DIGITS_MAX: usize = 12;

/// A decimal in parts of 10^-18. Sums and products beyond 1.7 x 10^20 stay at the largest value.
///
/// Stored as the higher and the lower half of its parts; shown as its text, which is exact where a number of JSON is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "(i64, u64)")]
pub struct Decimal(i128);

impl From<(i64, u64)> for Decimal {
    fn from((high, low): (i64, u64)) -> Decimal {
        Decimal(i128::from(high) << 64 | i128::from(low))
    }
}

impl From<Decimal> for (i64, u64) {
    fn from(Decimal(parts): Decimal) -> (i64, u64) {
        ((parts >> 64) as i64, parts as u64)
    }
}

/// The text is no number that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no number, write digits such as 1200 or 0.5: at most {WHOLE_DIGITS_MAX} before the point and {READ_PLACES} behind it"
)]
pub struct DecimalError;

/// Digits only, without needless zeros in front, so that their number says how large it is.
fn digits(text: &str) -> Option<&str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.trim_start_matches('0')).filter(|digits| digits.len() <= WHOLE_DIGITS_MAX)
}

/// Reads an *Integer* of the reference: digits.
pub fn integer(text: &str) -> Option<u64> {
    let digits = digits(text)?;
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

impl Decimal {
    /// 0.
    pub const ZERO: Decimal = Decimal(0);
    /// 1.
    pub const ONE: Decimal = Decimal(ONE);

    /// A whole number.
    pub fn whole(number: impl Into<i128>) -> Decimal {
        Decimal(number.into().saturating_mul(ONE))
    }

    /// The smallest number that files take and that is not below this one; of one beyond all that they take, the largest.
    pub fn readable(self) -> Decimal {
        let largest = ONE * 10_i128.pow(WHOLE_DIGITS_MAX as u32) - READ_PART;
        let up = self.0.saturating_add(READ_PART - 1).div_euclid(READ_PART).saturating_mul(READ_PART);
        Decimal(up.min(largest))
    }

    /// Reads a *Number* of the reference: digits, and a point with up to nine behind it.
    pub fn read(text: &str) -> Result<Decimal, DecimalError> {
        let read = || {
            let Some((whole, part)) = text.split_once('.') else {
                return Some(Decimal(i128::from(integer(text)?) * ONE));
            };
            if part.is_empty() || part.len() > READ_PLACES || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let scale = 10_i128.pow((PLACES - part.len()) as u32);
            Some(Decimal(i128::from(integer(whole)?) * ONE + i128::from(part.parse::<u64>().ok()?) * scale))
        };
        read().ok_or(DecimalError)
    }

    /// Whether it is above 0.
    pub fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Exactly this times `other`, neither of which is a product itself, unless of whole numbers.
    pub fn times(self, other: impl Into<Decimal>) -> Decimal {
        let other: Decimal = other.into();
        debug_assert!(self.0 % READ_PART == 0 && other.0 % READ_PART == 0, "a product of products loses digits");
        Decimal((self.0 / READ_PART).saturating_mul(other.0 / READ_PART))
    }

    /// How often `share`, a whole number above 0, is begun.
    pub fn shares(self, share: u64) -> Decimal {
        let share = i128::from(share).saturating_mul(ONE);
        Decimal::whole(self.0.div_euclid(share) + i128::from(self.0.rem_euclid(share) > 0))
    }

    /// The next whole number that is not below.
    pub fn ceil(self) -> Decimal {
        let over = self.0.rem_euclid(ONE);
        if over == 0 { self } else { Decimal(self.0.saturating_add(ONE - over)) }
    }

    /// The whole number below or at it.
    pub fn floor(self) -> i128 {
        self.0.div_euclid(ONE)
    }
}

impl std::ops::Add for Decimal {
    type Output = Decimal;
    fn add(self, other: Decimal) -> Decimal {
        Decimal(self.0.saturating_add(other.0))
    }
}

impl std::ops::AddAssign for Decimal {
    fn add_assign(&mut self, other: Decimal) {
        *self = *self + other;
    }
}

impl std::ops::Sub for Decimal {
    type Output = Decimal;
    fn sub(self, other: Decimal) -> Decimal {
        Decimal(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Decimal {
    fn sum<I: Iterator<Item = Decimal>>(all: I) -> Decimal {
        all.fold(Decimal::ZERO, |sum, one| sum + one)
    }
}

impl From<u64> for Decimal {
    fn from(number: u64) -> Decimal {
        // At most 1.9 x 10^37 parts: no need to look whether it is too much.
        Decimal(i128::from(number) * ONE)
    }
}

/// A plain decimal without needless zeros: `1200`, `0.5`, `-3`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.unsigned_abs() / ONE as u128, self.0.unsigned_abs() % ONE as u128);
        let sign = if self.0 < 0 { "-" } else { "" };
        match part {
            0 => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{}", format!("{part:0PLACES$}").trim_end_matches('0')),
        }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => <(i64, u64)>::from(*self).serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::read(text).unwrap()
    }

    #[test]
    fn what_is_too_fine_or_too_large_for_files_is_the_next_that_they_take() {
        let third = Decimal::read("0.333333333").unwrap();
        let large = Decimal::read("999999999999").unwrap();
        for (exact, readable) in [
            (third.times(third), "0.111111111"),
            (third, "0.333333333"),
            (Decimal::whole(1200), "1200"),
            (large.times(large), "999999999999.999999999"),
        ] {
            assert_eq!(exact.readable().to_string(), readable);
            assert_eq!(Decimal::read(readable).unwrap(), exact.readable());
            assert!(exact.readable() >= exact || exact > large);
        }
    }

    #[test]
    fn a_decimal_is_stored_exactly_and_shown_as_its_text() {
        for decimal in [
            Decimal::ZERO,
            Decimal::read("0.5").unwrap(),
            Decimal::ZERO - Decimal(7),
            Decimal(i128::MAX),
            Decimal(i128::MIN),
        ] {
            let bytes = crate::model::stored::pack(&decimal);
            assert_eq!(crate::model::stored::unpack::<Decimal>(&bytes).unwrap(), decimal);
            assert_eq!(serde_json::to_value(decimal).unwrap(), decimal.to_string());
        }
    }

    #[test]
    fn numbers_are_read_exactly_and_written_without_needless_zeros() {
        for (text, shown) in [
            ("1200", "1200"),
            ("0.50", "0.5"),
            ("007.000000001", "7.000000001"),
            ("0", "0"),
            ("000000000000000012", "12"),
            ("999999999999.999999999", "999999999999.999999999"),
        ] {
            assert_eq!(decimal(text).to_string(), shown, "{text}");
        }
        for text in ["", ".5", "5.", "-1", "+1", "1e3", "1 0", "1.0000000001", "1000000000000", "1,5", "٣"] {
            assert_eq!(Decimal::read(text), Err(DecimalError), "{text}");
        }
        assert_eq!((decimal("2") - decimal("5")).to_string(), "-3");
        assert_eq!((decimal("2") - decimal("2.5")).to_string(), "-0.5");
        assert_eq!(
            (integer("0042"), integer(""), integer("1.0"), integer("1000000000000")),
            (Some(42), None, None, None)
        );
    }

    #[test]
    fn rounding_up_happens_once_and_only_where_it_is_asked_for() {
        assert_eq!(decimal("11").times(decimal("0.5")).ceil(), decimal("6"));
        let least = decimal("0.000000001");
        assert_eq!(least.times(least).to_string(), "0.000000000000000001");
        assert_eq!(least.times(least).ceil(), decimal("1"));
        assert_eq!((decimal("16").shares(8), decimal("16.5").shares(8)), (decimal("2"), decimal("3")));
        assert_eq!((decimal("7").ceil(), decimal("7.1").ceil()), (decimal("7"), decimal("8")));
        assert_eq!(decimal("7.9").floor(), 7);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(whole in 0..1_000_000_000_000_u64, part in 0..1_000_000_000_u64) {
            let number = Decimal(i128::from(whole) * ONE + i128::from(part) * READ_PART);
            prop_assert_eq!(Decimal::read(&number.to_string()), Ok(number));
        }

        #[test]
        fn a_product_is_the_product(a in 0..1_000_000_000_000_i128, b in 0..1_000_000_000_000_i128) {
            prop_assert_eq!(Decimal(a * READ_PART).times(Decimal(b * READ_PART)).0, a * b);
        }
    }
}
