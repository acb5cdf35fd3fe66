//! A licence: what it covers, what was bought, on which terms, and who it was given to.
//!
//! Source: reconcile-files reference, sections 3, 5.1 and 5.2.

use super::{Entitlement, Exemption, Metric, Settings, Total};
use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::estate::Number;

/// What an application is to a licence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// What it was bought for.
    #[default]
    Primary,
    /// Free beside a primary; with a ratio so many for each device with a primary.
    Supplementary(Option<Decimal>),
}

impl Role {
    /// Whether it is free beside a primary.
    pub fn is_supplementary(self) -> bool {
        matches!(self, Role::Supplementary(_))
    }
}

/// An application that a licence covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Which one.
    pub application: Number,
    /// Among the licences that cover it, 1 is asked first; `None`: automatic, after all that are numbered.
    pub priority: Option<u64>,
    /// What it is to the licence.
    pub role: Role,
}

/// How firmly somebody is tied to a licence. Source: reconcile reference, section 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllocationKind {
    /// Its installations take from this licence only, before all others.
    #[default]
    Allocated,
    /// The same; the operator wants to hear when the first installation arrives.
    Awaiting,
    /// The same, and it counts one without any installation.
    Permanent,
}

/// Who is tied to a licence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Allocated {
    /// A device of the estate.
    Device(Number),
    /// A device that is not known, or not yet.
    UnknownDevice(Box<str>),
    /// A user.
    User(Number),
}

/// Somebody set aside for by the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Who.
    pub to: Allocated,
    /// How firmly.
    pub kind: AllocationKind,
    /// Set: needs no right.
    pub exemption: Option<Exemption>,
}

/// Devices in this role need no right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExemptRole {
    /// Text of the role, compared byte by byte.
    pub role: Number,
    /// Why.
    pub reason: Exemption,
}

/// The largest figure of a period in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Text of the region.
    pub region: Number,
    /// The figure.
    pub peak: Decimal,
    /// First day of the period.
    pub since: Day,
}

/// A licence. Lists are in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct Licence {
    /// What it counts; `None`: its cell is bad.
    pub metric: Option<Metric>,
    /// The first bad cell among all that is said of it, `FILE:LINE COLUMN`: it takes nothing.
    pub bad_data: Option<Box<str>>,
    /// What is wrong with that cell, and what to write; blank when none is.
    pub problem: Box<str>,
    /// Its terms.
    pub settings: Settings,
    /// What it covers, ascending by application.
    pub links: Vec<Link>,
    /// What was bought.
    pub entitlements: Vec<Entitlement>,
    /// Who it was given to, each once.
    pub allocations: Vec<Allocation>,
    /// Roles that need no right, each once.
    pub exempt_roles: Vec<ExemptRole>,
    /// Peaks of earlier runs, each region once.
    pub peaks: Vec<Peak>,
}

impl Licence {
    /// Rights in force on `day`.
    pub fn total(&self, day: Day) -> Total {
        if self.metric.is_some_and(Metric::is_unlimited) {
            return Total::Unlimited;
        }
        self.entitlements
            .iter()
            .filter(|entitlement| entitlement.in_force(day))
            .map(|entitlement| entitlement.quantity)
            .sum()
    }

    /// What `application` is to it, where it covers it by a row of its own.
    pub fn link(&self, application: Number) -> Option<&Link> {
        let place = self.links.binary_search_by_key(&application, |link| link.application).ok()?;
        Some(&self.links[place])
    }

    /// Why devices of `role` need no right; `None`: they do.
    pub fn exempt_role(&self, role: Number) -> Option<Exemption> {
        self.exempt_roles.iter().find(|exempt| exempt.role == role).map(|exempt| exempt.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_force_entitles() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let term = |quantity: u64, effective: Option<&str>, expiry: Option<&str>| Entitlement {
            quantity: Total::Limited(quantity.into()),
            effective: effective.map(day),
            expiry: expiry.map(day),
            retired: false,
        };
        let mut licence = Licence {
            metric: Some(Metric::DEVICE),
            entitlements: vec![
                term(1, None, None),
                term(10, Some("2026-01-01"), Some("2026-12-31")),
                Entitlement { retired: true, ..term(100, None, None) },
            ],
            ..Licence::default()
        };
        for (at, total) in [("2025-12-31", 1_u64), ("2026-01-01", 11), ("2026-12-31", 11), ("2027-01-01", 1)] {
            assert_eq!(licence.total(day(at)), Total::Limited(total.into()), "{at}");
        }
        licence.entitlements[1].quantity = Total::Unlimited;
        assert_eq!(licence.total(day("2026-06-01")), Total::Unlimited);
        assert_eq!(licence.total(day("2027-06-01")), Total::Limited(1_u64.into()));
        licence.metric = Some(Metric::SITE);
        assert_eq!(licence.total(day("2027-06-01")), Total::Unlimited);
    }
}
