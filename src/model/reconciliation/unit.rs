//! What a licence counts: a device or a user, and what each comes to.

use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::Exemption;

/// Who or what is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitId {
    /// A device of the estate.
    Device(Number),
    /// A device that is allocated and not known.
    UnknownDevice(Box<str>),
    /// A user.
    User(Number),
}

/// Why a unit counts as it does: the first that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitReason {
    /// It uses rights.
    Counted,
    /// It uses a resource, of which more is used than is owned.
    NotCovered,
    /// It counts one by its allocation alone.
    NoInventory,
    /// Some of its installations, or the user, needs no right.
    Exempt(Exemption),
    /// Another device of its user counts.
    SecondUse,
    /// Its host covers it.
    Host,
    /// It costs nothing.
    Covered,
}

impl UnitReason {
    /// The word in answers and files.
    pub fn as_str(self) -> &'static str {
        match self {
            UnitReason::Counted => "counted",
            UnitReason::NotCovered => "not_covered",
            UnitReason::NoInventory => "no_inventory",
            UnitReason::Exempt(_) => "exempt",
            UnitReason::SecondUse => "second_use",
            UnitReason::Host => "host",
            UnitReason::Covered => "covered",
        }
    }

    /// The exemption that goes with it.
    pub fn exemption(self) -> Option<Exemption> {
        match self {
            UnitReason::Exempt(exemption) => Some(exemption),
            UnitReason::SecondUse => Some(Exemption::SECOND_USE),
            _ => None,
        }
    }
}

/// A unit of a licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Who or what.
    pub id: UnitId,
    /// Its installations that the licence took, exempt ones included.
    pub raw: u64,
    /// What it comes to, before figures of several are rounded together.
    pub consumed: Decimal,
    /// Why.
    pub reason: UnitReason,
}
