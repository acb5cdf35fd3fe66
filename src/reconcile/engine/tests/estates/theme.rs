//! What an estate is about, so that its licences meet the devices that matter to them.

/// One kind of estate.
pub struct Theme {
    /// What the types of its licences are drawn from.
    pub types: &'static [usize],
    /// The least number of devices.
    pub devices: usize,
    /// In a hundred, one of these.
    pub vms_percent: &'static [usize],
    /// In a hundred of the pairs of device and application, one of these.
    pub installed_percent: &'static [usize],
    /// How often a device or user is allocated without need; nobody has to be.
    pub allocated_percent: &'static [usize],
}

/// Everything, with two types outside the engine.
const MIXED: Theme = Theme {
    types: &[1, 2, 3, 4, 5, 12, 13, 15, 16, 17, 18, 22, 25, 29, 30, 31, 33, 39, 40, 41, 43, 6, 42],
    devices: 3,
    vms_percent: &[15, 45, 70],
    installed_percent: &[15, 30, 50],
    allocated_percent: &[0, 5, 10, 25],
};

/// People and their devices.
const DESKTOPS: Theme = Theme {
    types: &[2, 2, 2, 3, 4, 4, 13, 12, 39, 40],
    devices: 4,
    vms_percent: &[0, 15, 30],
    installed_percent: &[30, 50],
    allocated_percent: &[0, 0, 10],
};

/// Databases on few servers.
const DATABASES: Theme = Theme {
    types: &[16, 16, 17, 17, 17],
    devices: 5,
    vms_percent: &[50, 75],
    installed_percent: &[40, 70],
    allocated_percent: &[0, 0, 5],
};

/// Many virtual machines on few hosts.
const HOSTS: Theme = Theme {
    types: &[25, 25, 43, 41, 41, 33, 33, 22],
    devices: 8,
    vms_percent: &[60, 90],
    installed_percent: &[50, 90],
    allocated_percent: &[0, 0, 5],
};

/// Processors, cores, points, resources.
const POINTS: Theme = Theme {
    types: &[2, 15, 18, 30, 30, 31, 29],
    devices: 4,
    vms_percent: &[15, 60],
    installed_percent: &[30, 60],
    allocated_percent: &[0, 0, 10],
};

/// One of these.
pub const THEMES: [&Theme; 8] = [&MIXED, &MIXED, &DESKTOPS, &DATABASES, &DATABASES, &HOSTS, &HOSTS, &POINTS];
