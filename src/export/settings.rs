//! Limits and times of the export.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::export::SegmentLimits;

/// Which of the two documented behaviours applies. Source: export process, on-premises and cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportMode {
    /// The command line decides between everything and changes.
    OnPremises,
    /// Always changes.
    Cloud,
}

/// Section `[servicenow]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportSettings {
    /// The licensed option.
    pub enabled: bool,
    /// On-premises or cloud.
    pub mode: ExportMode,
    /// Most transmissions of one segment, the first one included. Source: export process, default 10.
    pub max_tries: u32,
    /// When a segment is full. 500 records: borrowed from the other direction; 1 MiB: this project's.
    pub segment: SegmentLimits,
    /// Upper bound of the first wait.
    pub retry_base: Duration,
    /// Upper bound of any wait.
    pub retry_cap: Duration,
    /// How long one answer may take.
    pub request_timeout: Duration,
    /// Between two questions about an import.
    pub status_poll: Duration,
    /// How long an import may take.
    pub status_timeout: Duration,
}

impl Default for ExportSettings {
    fn default() -> ExportSettings {
        ExportSettings {
            enabled: true,
            mode: ExportMode::OnPremises,
            max_tries: 10,
            segment: SegmentLimits { records: 500, bytes: 1 << 20 },
            retry_base: Duration::from_secs(1),
            retry_cap: Duration::from_secs(60),
            request_timeout: Duration::from_secs(60),
            status_poll: Duration::from_secs(10),
            status_timeout: Duration::from_secs(14_400),
        }
    }
}
