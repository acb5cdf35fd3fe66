//! What a meter is told, what it can want, and what survives it.

use std::sync::Arc;

use super::report::UsageReport;
use super::state::MeterState;
use crate::config::agent::UsageRules;
use crate::formats::client_configuration::ClientConfiguration;
use crate::id::Guid;
use crate::model::usage::{Attribution, ProcessSample};
use crate::roles::IntentNumber;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// What policy says about metering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsagePolicy {
    /// Whether processes are looked at at all: `usage.enabled`.
    pub is_enabled: bool,
    /// Whether programs that no installation data names are metered too, under the names of their files.
    pub unattributed: bool,
    /// From one sample to the next: 1 s to 10 min.
    pub sample_every_ms: i64,
    /// Length of a session, after which its sums are uploaded: one sample to a week.
    pub session_ms: i64,
}

impl Default for UsagePolicy {
    /// Off. Source: agent-beacon-batch reference, sections 5.1 (a sample each minute) and 3.4 (UploadPeriod, 8 h).
    fn default() -> UsagePolicy {
        UsagePolicy { is_enabled: false, unattributed: false, sample_every_ms: MINUTE_MS, session_ms: 8 * HOUR_MS }
    }
}

impl UsagePolicy {
    /// What the client configuration of a policy says, on a device with these rules.
    ///
    /// Only programs that installation data names are metered: of others no use can be reported.
    pub fn told(configuration: &ClientConfiguration, rules: UsageRules) -> UsagePolicy {
        let period_secs = rules.period_secs.unwrap_or(configuration.usage_upload_secs);
        UsagePolicy {
            is_enabled: configuration.is_usage_metered && rules.is_allowed,
            unattributed: false,
            sample_every_ms: i64::from(configuration.usage_sample_secs).saturating_mul(SECOND_MS),
            session_ms: i64::from(period_secs).saturating_mul(SECOND_MS),
        }
    }

    /// The nearest policy that can be followed.
    pub(super) fn bounded(self) -> UsagePolicy {
        let sample_every_ms = self.sample_every_ms.clamp(SECOND_MS, 10 * MINUTE_MS);
        UsagePolicy { sample_every_ms, session_ms: self.session_ms.clamp(sample_every_ms, 7 * DAY_MS), ..self }
    }
}

/// What survives, and what the meter begins with.
pub struct MeterDurable {
    /// Whose meter it is.
    pub agent: Guid,
    /// Policy as last heard.
    pub policy: UsagePolicy,
    /// Which application an executable belongs to.
    pub programs: Arc<dyn Attribution>,
    /// The last remembered state of this agent; without one every running process is a new run.
    pub state: Option<MeterState>,
}

/// All processes at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds since the machine started, time asleep included: the clock that nobody sets.
    pub uptime_ms: u64,
    /// In any order; no two of one number.
    pub processes: Vec<ProcessSample>,
}

/// What can happen to a meter.
pub enum MeterInput {
    /// The processes were listed.
    Sampled(Sample),
    /// They could not be listed.
    SampleFailed,
    /// A report is published: complete, synced, queued for upload.
    Reported {
        /// Its intent.
        intent: IntentNumber,
    },
    /// A report could not be stored.
    ReportFailed {
        /// Its intent.
        intent: IntentNumber,
    },
    /// Policy was heard.
    Policy(UsagePolicy),
    /// The installation data changed.
    Programs(Arc<dyn Attribution>),
}

/// What a meter can want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeterIntent {
    /// List the processes; comes back as `Sampled` or `SampleFailed`.
    Sample,
    /// Publish the report and upload it at once; comes back as `Reported` or `ReportFailed`.
    Report(UsageReport),
    /// Store these bytes in the place of the last ones; [`MeterState::read`] reads them. Nothing comes back, and a loss
    /// costs the time since the store before.
    Remember(Vec<u8>),
}
