//! The licence side of a reconcile: what may be used, on which terms, and who it was given to.
//!
//! Source: reconcile-files reference, section 3; words: reconcile reference, sections 3 to 7.

mod entitlement;
mod exemption;
mod licence;
mod metric;
mod points;
mod settings;
mod steps;

pub use entitlement::{Entitlement, Total};
pub use exemption::{Exemption, ExemptionError};
pub use licence::{Allocated, Allocation, AllocationKind, ExemptRole, Licence, Link, Peak, Role};
pub use metric::Metric;
pub use points::{Points, PointsRule, PointsSet};
pub use settings::{Edition, Minimum, MinimumPer, PERIOD_DAYS, Settings, VmUse};
pub use steps::{Step, Steps};

use super::estate::Ids;

/// All licences of an estate, and the tables that they refer to.
#[derive(Clone, Debug, Default)]
pub struct Licensing {
    /// Ids of licences.
    pub ids: Ids,
    /// Licences in the order of their ids.
    pub licences: Vec<Licence>,
    /// Rules of points, by the name of their set.
    pub points: Vec<PointsSet>,
    /// Steps, by the name of their set.
    pub steps: Vec<Steps>,
}
