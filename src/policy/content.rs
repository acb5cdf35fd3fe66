//! The contents of a policy as an agent reads them.

use super::finding::PolicyFinding;
use crate::formats::client_configuration::{ClientConfiguration, ClientConfigurationError};
use crate::formats::failover::{Failover, FailoverError};
use crate::formats::inventory_settings::{InventorySettings, InventorySettingsError};
use crate::formats::nds::{Nds, NdsError};
use crate::formats::osd::CatalogKind;

/// Why a content is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// A schedule.
    #[error(transparent)]
    Schedule(#[from] NdsError),
    /// A schedule that reads, and would run nothing.
    #[error("no event of the schedule begins within a year")]
    Never,
    /// A failover list.
    #[error(transparent)]
    Failover(#[from] FailoverError),
    /// Settings of the agent.
    #[error(transparent)]
    Configuration(#[from] ClientConfigurationError),
    /// Settings of collections.
    #[error(transparent)]
    InventorySettings(#[from] InventorySettingsError),
}

/// What an agent reads out of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// When it does what.
    Schedule(Nds),
    /// Which beacons it may use.
    Failover(Failover),
    /// What else it is to do.
    Configuration(ClientConfiguration),
    /// What it may look for beyond the ordinary.
    InventorySettings(InventorySettings),
    /// Known, but nothing that this version acts on.
    Unused,
}

/// Reads a content, with what of it was left out; the same when it comes and when it is read back at a start.
pub fn read_content(kind: CatalogKind, bytes: &[u8]) -> Result<(Content, Vec<PolicyFinding>), ContentError> {
    let whole = |content| Ok((content, Vec::new()));
    match kind {
        CatalogKind::Schedule => whole(Content::Schedule(Nds::read(bytes)?)),
        CatalogKind::ClientSettings => {
            let (list, found) = Failover::read(bytes)?;
            Ok((Content::Failover(list), found.into_iter().map(PolicyFinding::Failover).collect()))
        }
        CatalogKind::ClientConfiguration => {
            let (told, found) = ClientConfiguration::read(bytes)?;
            Ok((Content::Configuration(told), found.into_iter().map(PolicyFinding::Configuration).collect()))
        }
        CatalogKind::InventorySettings => whole(Content::InventorySettings(InventorySettings::read(bytes)?)),
        CatalogKind::AgentUpgrade => whole(Content::Unused),
    }
}
