//! A usage file in memory. Optional texts are empty when absent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::Guid;
use crate::time::Timestamp;

/// One usage file: one machine and the periods that it reports, in document order, no two of one GUID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mmi {
    /// `VERSION` of the format: `1.00`.
    pub version: String,
    /// Version of the agent that wrote the file.
    pub usage_agent: String,
    /// The machine.
    pub device: ManagedDevice,
    /// What each user ran in each period.
    pub periods: Vec<Period>,
}

/// `MD`: the machine, as it names itself. The origin of the package is never taken from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedDevice {
    /// Short name.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// GUID of its agent.
    pub guid: Option<Guid>,
}

/// The inner `USAGE`: one user in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// The account.
    pub user: String,
    /// Its domain.
    pub domain: String,
    /// How long the period is.
    pub kind: PeriodType,
    /// When it began, in whole seconds.
    pub start: Timestamp,
    /// Idempotency key: the same GUID again replaces, it never adds.
    pub guid: Guid,
    /// What was run, in document order.
    pub applications: Vec<AppUsage>,
}

/// `TYPE` of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PeriodType {
    /// One upload period, 8 hours unless policy says otherwise.
    Session,
    /// One week, from Monday 00:00 UTC.
    WeeklySummary,
}

impl PeriodType {
    /// The name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            PeriodType::Session => "Session",
            PeriodType::WeeklySummary => "WeeklySummary",
        }
    }
}

impl FromStr for PeriodType {
    type Err = ();
    fn from_str(text: &str) -> Result<PeriodType, ()> {
        [PeriodType::Session, PeriodType::WeeklySummary].into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

impl fmt::Display for PeriodType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `APPUSAGE`: one application of one user in one period. A count that a file does not give is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppUsage {
    /// Name as in the installation data, at most 256 characters.
    pub name: String,
    /// Version as in the installation data, at most 72 characters.
    pub version: String,
    /// Name of the executable, at most 256 characters.
    pub file_name: String,
    /// Its company, at most 100 characters.
    pub file_company: String,
    /// Its description, at most 200 characters.
    pub file_description: String,
    /// Product it belongs to, at most 256 characters.
    pub file_product_name: String,
    /// Version of that product, at most 200 characters.
    pub file_product_version: String,
    /// Starts.
    pub runs: u32,
    /// Seconds that it ran.
    pub run_secs: u32,
    /// Seconds of them that it was active.
    pub active_secs: u32,
    /// When it was seen running last, in whole seconds.
    pub last_used: Option<Timestamp>,
    /// Installation data that names it: `deb`, `rpm`, `swidtag`.
    pub evidence: String,
}
