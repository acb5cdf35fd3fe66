//! What a licence reconcile starts from: the devices of an estate, who uses them, and what is installed on them.
//!
//! Things are numbered in the order of their ids, so that results, which are ordered by ids byte by byte, are ordered by
//! numbers. An estate of a million devices with fifty applications each takes about 350 MB.
//!
//! Source: reconcile-files reference, section 2; words: reconcile reference.

mod application;
mod chains;
mod device;
mod evidence;
mod group;
mod ids;
mod installations;
mod texts;
mod usage;

pub use application::{Application, Suites, Version};
pub use chains::in_cycle;
pub use device::{Class, Device, Kind, Partition, Share};
pub use evidence::{Evidence, EvidenceText, Found};
pub use group::Groups;
pub use ids::{Ids, Number, Slot, is_same};
pub use installations::{Installations, Pair};
pub use texts::Texts;
pub use usage::{Access, Usage, Used, on_device};

/// A user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its enterprise group.
    pub group: Option<Slot>,
    /// A standard account of a database, which is nobody.
    pub builtin: bool,
}

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// Ids of devices.
    pub device_ids: Ids,
    /// Devices in the order of their ids.
    pub devices: Vec<Device>,
    /// What partitions have, ascending by device; only devices that say something.
    pub shares: Vec<(Number, Share)>,
    /// Classes of devices for points.
    pub classes: Vec<Class>,
    /// Clusters, regions and roles.
    pub texts: Texts,
    /// Ids of users: of everybody who is named anywhere.
    pub user_ids: Ids,
    /// Users in the order of their ids.
    pub users: Vec<User>,
    /// Enterprise groups.
    pub groups: Groups,
    /// Ids of applications.
    pub application_ids: Ids,
    /// Applications in the order of their ids.
    pub applications: Vec<Application>,
    /// Members of suites.
    pub suites: Suites,
    /// What is installed where.
    pub installations: Installations,
    /// Who used what.
    pub usage: Usage,
    /// Who reached what, ascending, each once.
    pub access: Vec<Access>,
}

impl Estate {
    /// A device.
    pub fn device(&self, number: Number) -> &Device {
        &self.devices[number as usize]
    }

    /// What a partition has of its host.
    pub fn share(&self, device: Number) -> Share {
        let place = self.shares.binary_search_by_key(&device, |&(known, _)| known);
        place.map(|place| self.shares[place].1).unwrap_or_default()
    }
}
