//! Purchases, and what they come to on a day.
//!
//! Source: reconcile-files reference, section 7.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::model::day::Day;
use crate::model::decimal::Decimal;

/// A number of rights, or as many as one likes.
///
/// Stored as the number, or nothing; shown as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Option<Decimal>")]
pub enum Total {
    /// So many.
    Limited(Decimal),
    /// No limit.
    Unlimited,
}

impl Total {
    /// The number, where there is one.
    pub fn limit(self) -> Option<Decimal> {
        match self {
            Total::Limited(limit) => Some(limit),
            Total::Unlimited => None,
        }
    }
}

impl std::iter::Sum for Total {
    fn sum<I: Iterator<Item = Total>>(all: I) -> Total {
        all.fold(Total::Limited(Decimal::ZERO), |sum, one| match (sum, one) {
            (Total::Limited(sum), Total::Limited(more)) => Total::Limited(sum + more),
            _ => Total::Unlimited,
        })
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Total::Limited(count) => count.fmt(f),
            Total::Unlimited => f.write_str("unlimited"),
        }
    }
}

impl From<Option<Decimal>> for Total {
    fn from(limit: Option<Decimal>) -> Total {
        limit.map_or(Total::Unlimited, Total::Limited)
    }
}

impl Serialize for Total {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => self.limit().serialize(serializer),
        }
    }
}

/// One purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// Rights bought.
    pub quantity: Total,
    /// First day in force; `None`: always was.
    pub effective: Option<Day>,
    /// Last day in force; `None`: always will be.
    pub expiry: Option<Day>,
    /// Taken out of use by the operator.
    pub retired: bool,
}

impl Entitlement {
    /// Whether it counts on `day`.
    pub fn in_force(&self, day: Day) -> bool {
        !self.retired && self.effective.is_none_or(|first| first <= day) && !self.has_ended(day)
    }

    /// Whether its last day is past.
    pub fn has_ended(&self, day: Day) -> bool {
        self.expiry.is_some_and(|last| last < day)
    }

    /// Whether it was in use and its last day is past.
    pub fn has_expired(&self, day: Day) -> bool {
        !self.retired && self.has_ended(day)
    }
}
