//! Exact decimals: what section 1 calls *number*, and everything made of numbers.

use std::cmp::Ordering;
use std::fmt;

/// A decimal `mantissa / 10^scale` without needless zeros.
///
/// Inputs have at most 12 digits before and 9 behind the point, and no formula multiplies more than two of them, so 18
/// places are always enough. Beyond 38 digits in all the value sticks at the largest one: it never wraps, never panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    mantissa: i128,
    scale: u32,
}

impl Number {
    /// Nothing.
    pub const ZERO: Number = Number { mantissa: 0, scale: 0 };

    const LARGEST: Number = Number { mantissa: i128::MAX, scale: 0 };

    /// A whole number.
    pub fn whole(value: usize) -> Number {
        Number::new(value as i128, 0)
    }

    /// "Number: non-negative decimal, at most 9 digits after the point" (section 1); at most 12 before it.
    pub fn parse(text: &str) -> Option<Number> {
        let (whole, part) = match text.split_once('.') {
            Some((whole, part)) if !part.is_empty() => (whole, part),
            Some(_) => return None,
            None => (text, ""),
        };
        if whole.is_empty() || whole.len() > 12 || part.len() > 9 {
            return None;
        }
        if !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mantissa = format!("{whole}{part}").parse().ok()?;
        Some(Number::new(mantissa, part.len() as u32))
    }

    /// "Integer: digits" (section 1); at most 12.
    pub fn parse_integer(text: &str) -> Option<Number> {
        if text.contains('.') { None } else { Number::parse(text) }
    }

    fn new(mut mantissa: i128, mut scale: u32) -> Number {
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Number { mantissa, scale }
    }

    /// Both mantissas over the larger of the two scales, unless they do not fit.
    fn aligned(self, other: Number) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let raise = |number: Number| number.mantissa.checked_mul(10i128.checked_pow(scale - number.scale)?);
        Some((raise(self)?, raise(other)?, scale))
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Number) -> Number {
        match self.aligned(other).and_then(|(a, b, scale)| Some(Number::new(a.checked_add(b)?, scale))) {
            Some(sum) => sum,
            None => Number::LARGEST,
        }
    }

    /// The difference, which may be negative.
    #[must_use]
    pub fn minus(self, other: Number) -> Number {
        self.plus(Number { mantissa: -other.mantissa, scale: other.scale })
    }

    /// The product.
    #[must_use]
    pub fn times(self, other: Number) -> Number {
        match self.mantissa.checked_mul(other.mantissa) {
            Some(mantissa) => Number::new(mantissa, self.scale + other.scale),
            None => Number::LARGEST,
        }
    }

    /// Rounded down to a whole number.
    #[must_use]
    pub fn floor(self) -> Number {
        match 10i128.checked_pow(self.scale) {
            Some(unit) => Number::new(self.mantissa.div_euclid(unit), 0),
            None => Number::ZERO,
        }
    }

    /// Rounded up to a whole number.
    #[must_use]
    pub fn ceil(self) -> Number {
        let floor = self.floor();
        if floor == self { self } else { floor.plus(Number::whole(1)) }
    }

    /// The smallest whole number not below `self / divisor`; both are non-negative. Nothing is divided by zero: 0.
    #[must_use]
    pub fn ceil_div(self, divisor: Number) -> Number {
        match self.aligned(divisor) {
            Some((_, 0, _)) => Number::ZERO,
            Some((a, b, _)) => Number::new(a / b + i128::from(a % b != 0), 0),
            None => Number::LARGEST,
        }
    }

    /// True for 0.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The whole number as a count, at most `usize::MAX`.
    pub fn count(self) -> usize {
        usize::try_from(self.floor().mantissa).unwrap_or(usize::MAX)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match self.aligned(*other) {
            Some((a, b, _)) => a.cmp(&b),
            None => self.floor().mantissa.cmp(&other.floor().mantissa),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    /// "Plain decimals without needless zeros (`1200`, `0.5`, `-3`)" (section 1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = self.scale as usize;
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, part) = digits.split_at(digits.len() - scale);
        write!(f, "{sign}{whole}.{part}")
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn number(text: &str) -> Number {
        Number::parse(text).expect("a number")
    }

    #[test]
    fn numbers_are_written_without_needless_zeros() {
        for (text, written) in [("1200", "1200"), ("0.50", "0.5"), ("007.000", "7"), ("0.000000001", "0.000000001")] {
            assert_eq!(number(text).to_string(), written);
        }
        assert_eq!(number("2").minus(number("5")).to_string(), "-3");
        assert_eq!(number("0.2").minus(number("0.25")).to_string(), "-0.05");
    }

    #[test]
    fn a_number_has_at_most_twelve_digits_before_and_nine_after_the_point() {
        assert!(Number::parse("999999999999.999999999").is_some());
        for bad in ["1000000000000", "0.0000000001", "", ".5", "5.", "-1", "+1", "1e3", "1,5", "٣", "1.2.3"] {
            assert_eq!(Number::parse(bad), None, "{bad}");
        }
        assert_eq!(Number::parse_integer("1.0"), None);
    }

    #[test]
    fn rounding_up_and_dividing_are_exact() {
        assert_eq!(number("5.5").ceil(), number("6"));
        assert_eq!(number("6").ceil(), number("6"));
        assert_eq!(number("96").ceil_div(number("64")), number("2"));
        assert_eq!(number("64").ceil_div(number("64")), number("1"));
        assert_eq!(number("0.1").times(number("0.2")), number("0.02"));
        assert!(number("0.1").plus(number("0.2")) == number("0.3") && number("10") > number("9.999999999"));
    }

    #[test]
    fn the_largest_inputs_neither_wrap_nor_panic() {
        let largest = number("999999999999.999999999");
        assert!(largest.times(largest) > largest);
        assert!(largest.times(largest).plus(number("0.000000001")) > largest);
    }
}
