//! The meter of an agent: looks at the processes while policy asks for it, and publishes who used what for how long.
//!
//! ```text
//! DATA/usage.state        what was counted and which processes were seen: written each minute, not synced
//! DATA/uploads/UsageData  usage files, published like every report and uploaded at once
//! ```
//!
//! *Order*: agent -> [`MeterWorld::policy`] -> [`Meter`] -> sampling thread -> core -> outbox -> agent, which uploads.
//! While policy does not ask, there is no timer, no thread and no list of programs. A process is known by its number,
//! start, executable and account; its arguments and its environment are never read.
//!
//! Source: operating document on normal operation, step 4; `agent-beacon-batch` reference, sections 1.2, 1.4 and 5.

pub mod effects;

pub mod state_file;

#[cfg(target_os = "linux")]
pub mod packages;
#[cfg(target_os = "linux")]
pub mod processes;

#[expect(clippy::module_inception, reason = "one actor, one file, named after its noun")]
pub mod meter;

pub use effects::{InstallationData, SampleProcesses};
pub use meter::{Meter, MeterWorld, StopMeter};

#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::sync::Arc;

/// Lists the processes of this host.
#[cfg(target_os = "linux")]
pub fn processes_of_this_host() -> Arc<dyn SampleProcesses> {
    Arc::new(processes::Processes::default())
}

/// The installation data of this host.
#[cfg(target_os = "linux")]
pub fn packages_of_this_host() -> Arc<dyn InstallationData> {
    Arc::new(packages::Packages::new(std::path::Path::new("/")))
}

/// Elsewhere processes are not listed yet; policy that asks for metering is followed to no effect.
#[cfg(not(target_os = "linux"))]
pub fn processes_of_this_host() -> Arc<dyn SampleProcesses> {
    Arc::new(effects::Nothing)
}

/// Elsewhere no installation data is read yet.
#[cfg(not(target_os = "linux"))]
pub fn packages_of_this_host() -> Arc<dyn InstallationData> {
    Arc::new(effects::Nothing)
}
