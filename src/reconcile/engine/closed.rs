//! What a licence took, in figures, when everything was offered.

use std::collections::BTreeMap;

use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::reconciliation::UnitId;

/// What an account comes to.
#[derive(Debug)]
pub struct Closed {
    /// Installations taken, and what counts without one.
    pub raw: u64,
    /// Installations that need no right.
    pub exempt: u64,
    /// Today's figure.
    pub today: Decimal,
    /// The same by the text of the region, for type 25.
    pub regions: BTreeMap<Number, Decimal>,
    /// Devices that could not be counted.
    pub missing: u64,
    /// What counts without inventory, ascending.
    pub alone: Vec<UnitId>,
    /// Awaited devices and users that have arrived, ascending.
    pub arrived: Vec<UnitId>,
    /// Whether anything was taken.
    pub has_taken: bool,
}
