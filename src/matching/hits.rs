//! Which sets hit which devices at one Matcher.

use rayon::prelude::*;

/// Which sets hit which devices at one Matcher.
#[derive(Default)]
pub(super) struct Hits {
    /// Ascending by set, then by device.
    pub(super) list: Vec<Hit>,
    /// Devices of the groups behind each other, those of a group ascending.
    devices: Vec<u32>,
    ends: Vec<u32>,
}

/// A set in a group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    pub(super) set: u32,
    /// The first device of the group.
    pub(super) first: u32,
    pub(super) group: u32,
}

impl Hits {
    /// Adds a group; each set comes once for each of its records there.
    pub(super) fn add(&mut self, sets: impl Iterator<Item = u32>, devices: impl Iterator<Item = u32>) {
        let start = self.devices.len();
        self.devices.extend(devices);
        let own = &mut self.devices[start..];
        own.sort_unstable();
        let first = own[0];
        // Without doubles: merged devices are one.
        let mut kept = start + 1;
        for at in start + 1..self.devices.len() {
            if self.devices[at] != self.devices[kept - 1] {
                self.devices[kept] = self.devices[at];
                kept += 1;
            }
        }
        self.devices.truncate(kept);
        let group = self.ends.len() as u32;
        self.ends.push(kept as u32);
        self.list.extend(sets.map(|set| Hit { set, first, group }));
    }

    pub(super) fn sort(&mut self) {
        self.list.par_sort_unstable();
        self.list.dedup();
    }

    pub(super) fn devices(&self, group: u32) -> &[u32] {
        let start = group.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.devices[start as usize..self.ends[group as usize] as usize]
    }
}
