//! What an agent does beside its schedule, as an operator writes it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::policy::SettingError;
use crate::formats::client_configuration::ClientConfiguration;
use crate::formats::failover::SelectorCall;
use crate::id::shorten;
use crate::upload::selector::{Chain, SelectorFault, SelectorFinding};

/// How agents order beacons when the operator says nothing. Source: `agent-beacon-batch` reference, section 3.3.
pub(super) const SELECTOR: &str = "MgsRandom;MgsPing;MgsSiteMatch";
/// Most bytes of a selector; a line of the failover list holds it.
const SELECTOR_BYTES_MAX: usize = 1_000;
/// What an agent does beside its schedule, as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientSettings {
    /// Whether the use of programs is metered.
    pub usage_enabled: bool,
    /// Seconds from one look at the processes to the next.
    pub usage_sample_secs: u32,
    /// Seconds from one usage file to the next.
    pub usage_period_secs: u32,
    /// Bytes a second that uploads may take; 0 for any.
    pub upload_bytes_per_s: u64,
    /// Bytes a second that downloads may take; 0 for any.
    pub download_bytes_per_s: u64,
    /// Whether agents upload their own logs.
    pub upload_logs: bool,
    /// Whether what is queued is sent again at the daily catch-up.
    pub catch_up: bool,
    /// What may be looked for in home directories, by name.
    pub home_technologies: BTreeSet<String>,
    /// How agents order beacons; empty for the usual way.
    pub selector: String,
}

impl Default for ClientSettings {
    fn default() -> ClientSettings {
        let usual = ClientConfiguration::default();
        ClientSettings {
            usage_enabled: usual.is_usage_metered,
            usage_sample_secs: usual.usage_sample_secs,
            usage_period_secs: usual.usage_upload_secs,
            upload_bytes_per_s: usual.upload_rate_limit,
            download_bytes_per_s: usual.download_rate_limit,
            upload_logs: usual.are_logs_uploaded,
            catch_up: usual.is_catch_up_on,
            home_technologies: BTreeSet::new(),
            selector: String::new(),
        }
    }
}

impl ClientSettings {
    pub(super) fn configuration(&self) -> Result<ClientConfiguration, SettingError> {
        let mut configuration = ClientConfiguration {
            is_usage_metered: self.usage_enabled,
            usage_sample_secs: self.usage_sample_secs,
            usage_upload_secs: self.usage_period_secs,
            upload_rate_limit: self.upload_bytes_per_s,
            download_rate_limit: self.download_bytes_per_s,
            are_logs_uploaded: self.upload_logs,
            is_catch_up_on: self.catch_up,
            ..ClientConfiguration::default()
        };
        for name in &self.home_technologies {
            let technology = name.parse().map_err(|_| SettingError::Technology(name.clone()))?;
            configuration.home_technologies.insert(technology);
        }
        // What an agent would not take is no setting.
        match ClientConfiguration::read(configuration.write().as_bytes()) {
            Ok((_, findings)) => {
                findings.into_iter().next().map_or(Ok(configuration), |f| Err(SettingError::Configuration(f)))
            }
            Err(_) => Ok(configuration),
        }
    }

    pub(super) fn selector(&self) -> Result<Vec<SelectorCall>, SettingError> {
        let text = if self.selector.trim().is_empty() { SELECTOR } else { &self.selector };
        let fits = Some(text).filter(|text| text.len() <= SELECTOR_BYTES_MAX);
        let calls =
            fits.and_then(SelectorCall::read_all).ok_or_else(|| SettingError::Selector(shorten(&self.selector)))?;
        // What only some systems have is for the agents of those; what none has is a slip.
        let is_slip = |finding: &SelectorFinding| {
            !matches!(finding.fault, SelectorFault::WindowsOnly { .. } | SelectorFault::Unavailable { .. })
        };
        let slip = Chain::read(&calls, false).1.into_iter().find(is_slip);
        slip.map_or(Ok(calls), |finding| Err(SettingError::Algorithm(finding)))
    }
}
