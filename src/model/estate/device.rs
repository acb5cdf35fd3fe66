//! A device as licences see it: what it is, where it stands, what is in it and who uses it.
//!
//! Source: reconcile-files reference, section 2, `devices.csv`.

use super::{Number, Slot, Texts};
use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::pattern::fold;

/// What a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A machine of its own.
    #[default]
    Physical,
    /// A virtual machine.
    Vm,
}

/// How firmly a virtual machine is bound to its share of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partition {
    /// It may use all of the host, as far as licences care.
    #[default]
    Soft,
    /// It has its own cores.
    Hard,
    /// It may use so much and no more.
    Capped,
    /// It may use what its pool has.
    Uncapped,
}

/// Texts of a processor or server by which rules give points: devices of one class are told apart by nothing but their
/// number of processors and the day they were bought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Class {
    /// Folded: vendor, family, model, operating system, place.
    pub texts: [Box<str>; 5],
}

/// A device. Numbers point into the [`Estate`](super::Estate).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// What it is.
    pub kind: Kind,
    /// How a virtual machine is bound.
    pub partition: Partition,
    /// It stands in somebody else's house.
    pub in_cloud: bool,
    /// It is carried about.
    pub is_portable: bool,
    /// Its system is of the Windows family: paths of files are not compared.
    pub is_windows: bool,
    /// What it runs on.
    pub host: Option<Slot>,
    /// Text of its cluster.
    pub cluster: Number,
    /// Text of its region.
    pub region: Number,
    /// Text of its role.
    pub role: Number,
    /// Its enterprise group.
    pub group: Option<Slot>,
    /// Who it was given to.
    pub assigned_user: Option<Slot>,
    /// Who was seen to use it most.
    pub calculated_user: Option<Slot>,
    /// Its class for points.
    pub class: Number,
    /// When it was bought.
    pub bought: Option<Day>,
    /// Occupied sockets; 0: not known.
    pub processors: u64,
    /// Cores in all, of a virtual machine its virtual ones; 0: not known.
    pub cores: Decimal,
    /// Threads in all, of a virtual machine its virtual processors; 0: not known.
    pub threads: Decimal,
}

/// What a partition has of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Processing units it is entitled to; 0: not known.
    pub entitled_capacity: Decimal,
    /// Cores of its pool; 0: not known.
    pub pool_cores: Decimal,
}

/// Forms of chassis that are carried about, folded. Source: reconcile-files reference, section 6.1.
const PORTABLE: [&str; 9] = [
    "laptop",
    "notebook",
    "sub-notebook",
    "subnotebook",
    "sub notebook",
    "portable",
    "tablet",
    "hand-held",
    "other hand-held",
];

impl Device {
    /// Whether a chassis of this name is carried about.
    pub fn portable(chassis: &str) -> bool {
        let folded = fold(chassis);
        folded == "handheld" || PORTABLE.contains(&&*folded)
    }

    /// Whether `hosted_in` names somebody else's house.
    pub fn cloud(hosted_in: &str) -> bool {
        let folded = fold(hosted_in);
        !folded.is_empty() && folded != "on-premises"
    }

    /// Whether it is a virtual machine that is not in a cloud: licences look for its host.
    pub fn is_guest(&self) -> bool {
        self.kind == Kind::Vm && !self.in_cloud
    }

    /// Whether it is a virtual machine in a cloud.
    pub fn is_cloud_vm(&self) -> bool {
        self.kind == Kind::Vm && self.in_cloud
    }

    /// What it can do: in a cloud its threads, else its cores, else its processors; elsewhere its cores, else its
    /// processors. 0: not known. Source: reconcile-files reference, section 6.2.
    pub fn capacity(&self) -> Decimal {
        if self.in_cloud && self.threads.is_positive() {
            self.threads
        } else if self.cores.is_positive() {
            self.cores
        } else {
            self.processors.into()
        }
    }

    /// Its virtual processors: threads, else cores. 0: not known. Source: reconcile-files reference, section 6.4.
    pub fn vcpus(&self) -> Decimal {
        if self.threads.is_positive() { self.threads } else { self.cores }
    }

    /// Who uses it: the assigned user, else the calculated one.
    pub fn user(&self) -> Option<Number> {
        self.assigned_user.or(self.calculated_user).map(Slot::get)
    }

    /// Whether it stands in a cluster.
    pub fn is_clustered(&self) -> bool {
        self.cluster != Texts::BLANK
    }
}
