//! A licence: which applications it covers, how many it entitles to, and its terms.
//!
//! Source: reconcile-files reference, section 3; the words are those of the reconcile reference, sections 3 to 7.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::day::Day;
pub use super::licensing::{Exemption, ExemptionError};
use super::name::name;
use super::software::ApplicationId;
use crate::id::DeviceId;

name! {
    /// Id of a licence.
    LicenceId
}

/// What a licence counts. The engine's first; others of the 45 types of the reference follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Type 2: devices with an installation.
    Device,
}

impl Metric {
    /// Number of the type in `licenses.csv`. Source: reconcile reference, section 3.
    pub fn number(self) -> u8 {
        match self {
            Metric::Device => 2,
        }
    }

    /// Name of the type.
    pub fn as_str(self) -> &'static str {
        match self {
            Metric::Device => "Device",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A number of rights, or as many as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quantity {
    /// So many.
    Limited(u64),
    /// No limit.
    Unlimited,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Limited(count) => count.fmt(f),
            Quantity::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// One purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// Rights bought.
    pub quantity: Quantity,
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
        !self.retired && self.effective.is_none_or(|first| first <= day) && !self.has_expired(day)
    }

    /// Whether its last day is past.
    pub fn has_expired(&self, day: Day) -> bool {
        self.expiry.is_some_and(|last| last < day)
    }
}

/// How firmly a device is tied to a licence. Source: reconcile reference, section 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllocationKind {
    /// Its installations take from this licence only, before all others.
    #[default]
    Allocated,
    /// The same; the operator wants to hear when the first installation arrives.
    Awaiting,
    /// The same, and it counts one without any installation.
    Permanent,
}

/// A device set aside for by the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// The device; it need not be known yet.
    pub device: DeviceId,
    /// How firmly.
    pub kind: AllocationKind,
    /// Set: the device needs no right.
    pub exemption: Option<Exemption>,
}

/// Devices in this role need no right: `test`, `development`, `backup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExemptRole {
    /// The role as devices carry it, compared byte by byte.
    pub role: Box<str>,
    /// Why.
    pub reason: Exemption,
}

/// An application that a licence covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which one.
    pub application: ApplicationId,
    /// Among the licences that cover it, 1 is asked first; `None`: automatic, after all that are numbered.
    pub priority: Option<u32>,
}

/// Over-use is settled at the end of a term, and allowed until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrueUp {
    /// Last day on which over-use is allowed; `None`: open.
    pub until: Option<Day>,
}

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Unique in a tenant.
    pub id: LicenceId,
    /// As people call it.
    pub name: Box<str>,
    /// Who sold it.
    pub publisher: Box<str>,
    /// What it counts.
    pub metric: Metric,
    /// What it covers, each application once.
    pub links: Vec<Link>,
    /// What was bought.
    pub entitlements: Vec<Entitlement>,
    /// Devices tied to it, each once.
    pub allocations: Vec<Allocation>,
    /// Roles that need no right, each once.
    pub exempt_roles: Vec<ExemptRole>,
    /// Several covered applications on one device count once; without it a device counts once for each of them.
    pub multiple_use: bool,
    /// So many counted installations use up one right, the last of them also when it is not full.
    pub installs_per_right: NonZeroU32,
    /// Every allocation counts one without any installation, not only a permanent one.
    pub allocations_consume: bool,
    /// Set: over-use is settled later.
    pub true_up: Option<TrueUp>,
}

impl Licence {
    /// Rights in force on `day`: the sum of the entitlements, or unlimited when one of them is.
    pub fn entitled(&self, day: Day) -> Quantity {
        let in_force = self.entitlements.iter().filter(|entitlement| entitlement.in_force(day));
        in_force.fold(Quantity::Limited(0), |sum, entitlement| match (sum, entitlement.quantity) {
            (Quantity::Limited(sum), Quantity::Limited(more)) => Quantity::Limited(sum.saturating_add(more)),
            _ => Quantity::Unlimited,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_force_entitles() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let term = |quantity, effective: Option<&str>, expiry: Option<&str>| Entitlement {
            quantity: Quantity::Limited(quantity),
            effective: effective.map(day),
            expiry: expiry.map(day),
            retired: false,
        };
        let mut licence = Licence {
            id: "l".parse().unwrap(),
            name: "".into(),
            publisher: "".into(),
            metric: Metric::Device,
            links: vec![],
            entitlements: vec![
                term(1, None, None),
                term(10, Some("2026-01-01"), Some("2026-12-31")),
                Entitlement { retired: true, ..term(100, None, None) },
            ],
            allocations: vec![],
            exempt_roles: vec![],
            multiple_use: false,
            installs_per_right: NonZeroU32::MIN,
            allocations_consume: false,
            true_up: None,
        };
        for (at, total) in [("2025-12-31", 1), ("2026-01-01", 11), ("2026-12-31", 11), ("2027-01-01", 1)] {
            assert_eq!(licence.entitled(day(at)), Quantity::Limited(total), "{at}");
        }
        licence.entitlements[1].quantity = Quantity::Unlimited;
        assert_eq!(licence.entitled(day("2026-06-01")), Quantity::Unlimited);
        assert_eq!(licence.entitled(day("2027-06-01")), Quantity::Limited(1));
    }
}
