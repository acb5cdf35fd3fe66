//! The terms of a licence, as `licenses.csv` has them. What does not concern a type is not looked at.
//!
//! Source: reconcile-files reference, section 3, table of settings.

use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::estate::Slot;

/// How many virtual machines a licensed host covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmUse {
    /// The first so many.
    Some(u64),
    /// All.
    Unlimited,
}

/// Edition of a database that is counted by sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// Standard Edition.
    Se,
    /// Standard Edition One.
    Se1,
    /// Standard Edition 2.
    Se2,
}

impl Edition {
    /// Occupied sockets that a server may have at most. Source: reconcile reference, section 5.1.
    pub fn sockets_max(self) -> u64 {
        match self {
            Edition::Se => 4,
            Edition::Se1 | Edition::Se2 => 2,
        }
    }
}

/// What a minimum number of users is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinimumPer {
    /// Each processor as Oracle counts them.
    Processor,
    /// Each server.
    Server,
    /// The licence.
    License,
    /// Each occupied socket.
    Socket,
}

/// Users that are paid at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// So many.
    pub users: u64,
    /// For each of these.
    pub per: MinimumPer,
}

/// See the module's head. The default is a blank row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Group whose devices, or users, may use it.
    pub scope: Option<Slot>,
    /// Over-use is allowed and settled later.
    pub true_up: bool,
    /// Last day on which over-use is allowed; `None`: open.
    pub true_up_date: Option<Day>,
    /// The operator's word for its status; empty: it is calculated.
    pub manual_status: Box<str>,
    /// Consumption (type 29) or resource (31) entered by hand.
    pub quantity: Option<Decimal>,
    /// Every allocation counts, also without an installation.
    pub allocations_consume: bool,
    /// It covers later versions as well.
    pub upgrade: bool,
    /// It covers earlier versions as well.
    pub downgrade: bool,
    /// Several installations on one device count once.
    pub multiple_use: bool,
    /// A user's portable device is free beside another device of theirs.
    pub second_use: bool,
    /// Virtual machines that a licensed host covers.
    pub vm_use: Option<VmUse>,
    /// Counted installations that use up one right.
    pub installs_per_right: u64,
    /// Cores that one processor licence covers.
    pub core_cap: Option<u64>,
    /// Place of its points in [`Licensing::points`](super::Licensing::points).
    pub points: Option<Slot>,
    /// Capacity of virtual machines counts in place of that of their hosts.
    pub sub_capacity: bool,
    /// How long a peak counts.
    pub period_days: u64,
    /// Set: sockets are counted in place of cores.
    pub standard_edition: Option<Edition>,
    /// A soft partition obliges its host only, not the host's cluster.
    pub soft_level_host: bool,
    /// Users that are paid at least.
    pub minimum: Option<Minimum>,
    /// The standard rule: Windows Server Standard (41), SQL Server Standard (33).
    pub is_standard: bool,
    /// Virtual machines are counted in place of hosts.
    pub per_vm: bool,
    /// Maintenance was bought.
    pub maintenance: bool,
    /// Processors that one right covers (22).
    pub processors_per_license: u64,
    /// Processors that are paid at least (22).
    pub minimum_processors: u64,
    /// Virtual machines that one right covers (22).
    pub vms_per_license: Option<u64>,
    /// The resource is entered by hand (31).
    pub resource_by_hand: bool,
    /// Place of its steps in [`Licensing::steps`](super::Licensing::steps); `None`: the published ones.
    pub steps: Option<Slot>,
}

/// Days that a peak counts unless a licence says otherwise. Source: reconcile reference, section 5.2.
pub const PERIOD_DAYS: u64 = 91;

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            scope: None,
            true_up: false,
            true_up_date: None,
            manual_status: "".into(),
            quantity: None,
            allocations_consume: false,
            upgrade: false,
            downgrade: false,
            multiple_use: false,
            second_use: false,
            vm_use: None,
            installs_per_right: 1,
            core_cap: None,
            points: None,
            sub_capacity: false,
            period_days: PERIOD_DAYS,
            standard_edition: None,
            soft_level_host: false,
            minimum: None,
            is_standard: false,
            per_vm: false,
            maintenance: false,
            processors_per_license: 1,
            minimum_processors: 0,
            vms_per_license: None,
            resource_by_hand: false,
            steps: None,
        }
    }
}
