//! What a licence counts: the types of the vendor's schema, whose numbers the project keeps.
//!
//! Source: reconcile reference, section 3.

use std::fmt;

use serde::Deserialize;

/// Names of the types, from 1.
const NAMES: [&str; 45] = [
    "Enterprise",
    "Device",
    "Node-Locked",
    "User",
    "Concurrent User",
    "Appliance",
    "Client Server",
    "OEM",
    "Evaluation",
    "Run-Time",
    "Device (Processor-Limited)",
    "Site",
    "Named User",
    "Device (Core-Limited)",
    "Core Points",
    "Oracle Processor",
    "Oracle Named User Plus",
    "Processor Points",
    "Oracle Legacy",
    "Enterprise Agreement",
    "SAP Named User",
    "Microsoft Server Processor",
    "CAL Legacy",
    "Tiered Device",
    "IBM Processor Value Unit",
    "IBM Authorized User",
    "IBM Concurrent User",
    "IBM Floating User",
    "Custom Metric",
    "Processor",
    "IBM Resource Value Unit",
    "IBM User Value Unit",
    "Microsoft Server Core",
    "Oracle User",
    "SAP Package",
    "Microsoft SCCM Client Device",
    "Microsoft SCCM Client User",
    "Microsoft Developer Network",
    "Microsoft Device CAL",
    "Microsoft User CAL",
    "Microsoft Server/Management Core",
    "SaaS User",
    "IBM VPC",
    "IBM RU",
    "IBM MVS",
];

/// Types that are calculated, beside those below that take no installations. Source: reconcile-files reference, section
/// 5.1.
const ENGINE: [u8; 21] = [1, 2, 3, 4, 5, 12, 13, 15, 16, 17, 18, 22, 25, 29, 30, 31, 33, 39, 40, 41, 43];

/// A licence type, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Metric(u8);

#[allow(missing_docs, reason = "the names are those of the table")]
impl Metric {
    pub const ENTERPRISE: Metric = Metric(1);
    pub const DEVICE: Metric = Metric(2);
    pub const NODE_LOCKED: Metric = Metric(3);
    pub const USER: Metric = Metric(4);
    pub const CONCURRENT_USER: Metric = Metric(5);
    pub const SITE: Metric = Metric(12);
    pub const NAMED_USER: Metric = Metric(13);
    pub const CORE_POINTS: Metric = Metric(15);
    pub const ORACLE_PROCESSOR: Metric = Metric(16);
    pub const ORACLE_NAMED_USER_PLUS: Metric = Metric(17);
    pub const PROCESSOR_POINTS: Metric = Metric(18);
    pub const SERVER_PROCESSOR: Metric = Metric(22);
    pub const PROCESSOR_VALUE_UNIT: Metric = Metric(25);
    pub const CUSTOM: Metric = Metric(29);
    pub const PROCESSOR: Metric = Metric(30);
    pub const RESOURCE_VALUE_UNIT: Metric = Metric(31);
    pub const SERVER_CORE: Metric = Metric(33);
    pub const DEVICE_CAL: Metric = Metric(39);
    pub const USER_CAL: Metric = Metric(40);
    pub const MANAGEMENT_CORE: Metric = Metric(41);
    pub const VIRTUAL_PROCESSOR_CORE: Metric = Metric(43);
}

impl Metric {
    /// The type with this number; `None`: none has it.
    pub fn new(number: u64) -> Option<Metric> {
        (1..=NAMES.len() as u64).contains(&number).then_some(Metric(number as u8))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        NAMES[usize::from(self.0 - 1)]
    }

    /// Whether it is calculated. Others are kept and shown as Not Tracked.
    pub fn is_calculated(self) -> bool {
        ENGINE.contains(&self.0)
    }

    /// Whether it counts who reached a product, and takes no installations.
    pub fn counts_access(self) -> bool {
        self == Metric::DEVICE_CAL || self == Metric::USER_CAL
    }

    /// Whether hosts or servers are charged for what is on them.
    pub fn is_charged(self) -> bool {
        matches!(self.0, 16 | 17 | 22 | 25 | 33 | 41 | 43)
    }

    /// Whether it counts persons.
    pub fn counts_persons(self) -> bool {
        self == Metric::USER || self == Metric::NAMED_USER
    }

    /// Whether any number may be used.
    pub fn is_unlimited(self) -> bool {
        self == Metric::ENTERPRISE || self == Metric::SITE
    }

    /// Whether installations are never refused for want of rights: there is no limit, or nobody compares with it.
    pub fn has_no_limit(self) -> bool {
        self.is_unlimited() || self == Metric::CONCURRENT_USER || self == Metric::CUSTOM || !self.is_calculated()
    }

    /// Whether an allocation may count without an installation.
    pub fn counts_without_inventory(self) -> bool {
        self.is_calculated() && !self.is_unlimited() && !self.counts_access() && self != Metric::CUSTOM
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// As its number.
impl serde::Serialize for Metric {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_numbers_and_names_of_the_schema() {
        for (metric, number, name) in [
            (Metric::ENTERPRISE, 1, "Enterprise"),
            (Metric::NAMED_USER, 13, "Named User"),
            (Metric::ORACLE_PROCESSOR, 16, "Oracle Processor"),
            (Metric::PROCESSOR_VALUE_UNIT, 25, "IBM Processor Value Unit"),
            (Metric::PROCESSOR, 30, "Processor"),
            (Metric::SERVER_CORE, 33, "Microsoft Server Core"),
            (Metric::USER_CAL, 40, "Microsoft User CAL"),
            (Metric::MANAGEMENT_CORE, 41, "Microsoft Server/Management Core"),
            (Metric::VIRTUAL_PROCESSOR_CORE, 43, "IBM VPC"),
        ] {
            assert_eq!((Metric::new(number), metric.as_str()), (Some(metric), name));
        }
        assert_eq!((Metric::new(0), Metric::new(46)), (None, None));
        assert!(!Metric::new(42).unwrap().is_calculated() && Metric::new(42).unwrap().has_no_limit());
    }
}
