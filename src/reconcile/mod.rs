//! The licence position: titles are recognised as applications, applications use licences, use is compared with rights.
//!
//! ```text
//! Title --Recogniser--> Recognised --Installations--> (application, device) --consume--> Consumption --position--> Position
//! ```
//!
//! A pure function of titles, rules, fleet, licences and day. The order of its inputs changes nothing: recognition looks
//! at one title at a time, installations are sorted by application and device before any licence is asked, and what a
//! hash table holds is never walked.
//!
//! Source: reconcile-files reference; sections are given at the items below.

pub mod recognition;

pub mod installations;

pub mod consumption;
pub mod position;

pub mod engine;
pub mod evidence;
pub mod output;
pub mod sentences;

pub mod changes;
pub mod savings;
pub mod what_if;

pub use consumption::consume;
pub use installations::{DeviceSoftware, Installation, Installations};
pub use position::position;
pub use recognition::{Recognised, Recogniser, RecogniserError};

use crate::model::day::Day;
use crate::model::licence::Licence;
use crate::model::position::{Consumption, Position};
use crate::model::software::{Application, ApplicationId};

/// Installations that no licence covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlicensed {
    /// The application.
    pub application: ApplicationId,
    /// On how many devices.
    pub devices: u64,
}

/// What a reconcile finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciliation {
    /// Consumption of each licence, ascending by licence.
    pub consumptions: Vec<Consumption>,
    /// Position of each licence, ascending by licence.
    pub positions: Vec<Position>,
    /// Applications that are installed, licensable and covered by no licence, ascending.
    pub unlicensed: Vec<Unlicensed>,
}

/// The licence position of a fleet on the day `as_of`.
///
/// `fleet` gives each device once, without those that are only an alias of another. Memory: proportional to the
/// installations of applications that some licence covers, not to the fleet.
pub fn reconcile<'f>(
    recognised: &Recognised<'_>,
    applications: &[Application],
    licences: &[Licence],
    fleet: impl IntoIterator<Item = DeviceSoftware<'f>>,
    as_of: Day,
) -> Reconciliation {
    let mut licences: Vec<&Licence> = licences.iter().collect();
    licences.sort_by(|a, b| a.id.cmp(&b.id));
    let installations = Installations::collect(recognised, applications, &licences, fleet);
    let consumptions = consume(&licences, &installations, as_of);
    let positions = licences.iter().zip(&consumptions).map(|(licence, used)| position(licence, used, as_of)).collect();
    Reconciliation { consumptions, positions, unlicensed: installations.unlicensed().collect() }
}

#[cfg(test)]
mod tests;
