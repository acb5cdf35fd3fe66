//! The position of a licence: what is used, what is owned, and what follows.

use serde::{Deserialize, Serialize};

use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::{Metric, Total};

/// Compliance of a licence. Numbers and names: reconcile reference, section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// No more is used than is owned.
    Compliant = 1,
    /// More is used than is owned, or what was owned has expired.
    AtRisk = 2,
    /// Data that the metric needs are missing.
    Unknown = 3,
    /// Not calculated, or the operator says what it is.
    NotTracked = 4,
}

impl Status {
    /// Its number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Compliant => "Compliant",
            Status::AtRisk => "At Risk",
            Status::Unknown => "Unknown",
            Status::NotTracked => "Not Tracked",
        }
    }
}

/// The largest figure of a region in its period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peak {
    /// Text of the region.
    pub region: Number,
    /// The figure.
    pub peak: Decimal,
    /// First day of the period.
    pub since: Day,
}

/// See the module's head. Source: reconcile-files reference, sections 7 and 8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// What the licence counts; `None`: its cell is bad.
    pub metric: Option<Metric>,
    /// Installations taken, and what counts without one. For types that count access: pairs reached.
    pub raw: u64,
    /// What is used; `None`: the type is not calculated.
    pub consumed: Option<Decimal>,
    /// What is used today, without peaks.
    pub today: Option<Decimal>,
    /// Installations that need no right; for types that count access, devices or users.
    pub exempt: u64,
    /// What is owned.
    pub total: Total,
    /// Compliance.
    pub status: Status,
    /// Devices that could not be counted because something is not known of them.
    pub missing: u64,
    /// Over-use is settled later.
    pub true_up: bool,
}

impl Position {
    /// What is left; `Unlimited` where there is no end to it. `None`: the type is not calculated.
    pub fn available(&self) -> Option<Total> {
        let consumed = self.consumed.filter(|_| self.is_calculated())?;
        Some(match self.total {
            Total::Limited(total) => Total::Limited(total - consumed),
            Total::Unlimited => Total::Unlimited,
        })
    }

    /// What use rights save: device licences only.
    pub fn savings(&self) -> Option<Decimal> {
        let is_device = self.metric == Some(Metric::DEVICE);
        self.consumed.filter(|_| is_device).map(|consumed| Decimal::from(self.raw) - consumed)
    }

    /// What is due at the true-up.
    pub fn true_up_due(&self) -> Option<Decimal> {
        let (consumed, total) = (self.consumed?, self.total.limit()?);
        self.true_up.then(|| (consumed - total).max(Decimal::ZERO))
    }

    fn is_calculated(&self) -> bool {
        self.metric.is_none_or(Metric::is_calculated)
    }
}
