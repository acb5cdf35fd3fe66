//! The discovery file `.disco`: which services stand on a device, and where they are reached. Uncompressed XML.
//!
//! ```text
//! Discovery                 one finder, one moment                     -> Disco
//!   Device*                 what was found                             -> Device
//!     Address*              IPv4 or IPv6, with Mac and Subnet          -> Address
//!     Service*              Type Name Port Version State               -> Service
//!       Property*           Name Value                                 -> ServiceProperty
//!       Instance*           Name Status                                -> Instance
//! ```
//!
//! Children come in any order; unknown elements and attributes are skipped. What is partly bad is read as far as it is
//! good and told as a list of [`DiscoFinding`]s; what breaks a limit of XML, or leaves in doubt what the file would
//! replace (its version, its source), is refused as a whole.
//!
//! Source: `agent-beacon-batch` reference, section 6; limits: `delivery-contract`, section 7.

mod finding;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::finding::{DiscoFinding, DiscoFindingKind};
pub use self::read::DiscoError;
use crate::id::Guid;
use crate::time::Timestamp;

/// The one version that is written and read.
pub const VERSION: &str = "1";
/// Devices of one file: a network of 16 host bits. The limits from here on are this project's; what is over them is
/// left out and counted.
pub const DEVICES_MAX: usize = 65_536;
/// Addresses of one device.
pub const ADDRESSES_MAX: usize = 1_024;
/// Services of one device.
pub const SERVICES_MAX: usize = 1_024;
/// Properties of one service.
pub const PROPERTIES_MAX: usize = 256;
/// Instances of one service.
pub const INSTANCES_MAX: usize = 1_024;
/// Distinct names of properties in one file. Source: `delivery-contract` reference, section 7.
pub const PROPERTY_NAMES_MAX: usize = 10_000;
/// Bytes of a name, an id or another value that tells one thing from another. Source: the same section.
pub const KEY_BYTES_MAX: usize = 1 << 10;

/// Who found what a file tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscoSource {
    /// The agent of the device itself.
    #[default]
    Agent,
    /// A scan of a network.
    Network,
    /// A directory.
    Ad,
}

impl DiscoSource {
    /// Every source.
    pub const ALL: [DiscoSource; 3] = [DiscoSource::Agent, DiscoSource::Network, DiscoSource::Ad];

    /// The word in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            DiscoSource::Agent => "agent",
            DiscoSource::Network => "network",
            DiscoSource::Ad => "ad",
        }
    }
}

/// The text names no source of a discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a discovery comes from agent, network or ad")]
pub struct UnknownDiscoSource;

impl FromStr for DiscoSource {
    type Err = UnknownDiscoSource;
    fn from_str(text: &str) -> Result<DiscoSource, UnknownDiscoSource> {
        DiscoSource::ALL.into_iter().find(|source| source.as_str() == text).ok_or(UnknownDiscoSource)
    }
}

impl fmt::Display for DiscoSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One discovery file. Optional attributes are empty text when absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disco {
    /// Who found it.
    pub source: DiscoSource,
    /// Short name of the machine that looked; for the source `agent` that of the device.
    pub machine_name: String,
    /// When it looked, UTC in whole seconds; `None` when the file's text is no time.
    pub collected_at: Option<Timestamp>,
    /// GUID of the agent.
    pub machine_id: Option<Guid>,
    /// Tenant the file claims; never believed (the tenant comes from the beacon's registration).
    pub tenant_uid: String,
    /// What was found, in document order.
    pub devices: Vec<Device>,
}

/// `Device`: something with addresses on which services stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Short name.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// `Computer`.
    pub device_type: String,
    /// In document order.
    pub addresses: Vec<Address>,
    /// In document order.
    pub services: Vec<Service>,
}

/// `Address`. Its attribute `Type` follows from the value: `IPv4` or `IPv6`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub value: IpAddr,
    /// Hardware address of its adapter, as written.
    pub mac: String,
    /// Its network, as written.
    pub subnet: String,
}

/// `Service`: a program that serves others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `OracleListener`, `OracleDatabase`, `PostgreSQL`, `MySQL`, `MariaDB`, `SQLServer`, or what another finder writes.
    pub kind: String,
    /// Its name among those of its kind.
    pub name: String,
    /// Where it listens, never 0; `None` when not known.
    pub port: Option<u16>,
    /// Its version, as far as it is known.
    pub version: String,
    /// `running`, `stopped`; empty when not known.
    pub state: String,
    /// In document order.
    pub properties: Vec<ServiceProperty>,
    /// In document order.
    pub instances: Vec<Instance>,
}

/// `Property Name Value`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceProperty {
    /// Name; case counts.
    pub name: String,
    /// Value; lists are separated by `;`.
    pub value: String,
}

/// `Instance`: one of several that a service offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// `READY`, `RUNNING`, `STOPPED`; empty when not known.
    pub status: String,
}

impl Service {
    /// The value of property `name`, the first of them; case counts.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|property| property.name == name).map(|property| property.value.as_str())
    }
}
