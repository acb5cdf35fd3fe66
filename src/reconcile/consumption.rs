//! Which licence takes which installation, and what each licence is used for.
//!
//! Installations that are allocated come first, then all others, both by application and device. Each is offered to the
//! licences that cover it, in their order; the first with room takes it. When none has room the first takes it after
//! all: over-consumption belongs to the licence with the highest priority. An exempt installation, and one on a device
//! that counts already, always finds room.
//!
//! Source: reconcile-files reference, sections 5.1 to 5.3 and 6.1, for licences of type Device.

use hashbrown::HashMap;

use super::Installations;
use super::installations::Installation;
use crate::id::DeviceId;
use crate::model::day::Day;
use crate::model::licence::{Allocation, AllocationKind, Exemption, Licence, Quantity};
use crate::model::position::{Consumption, CountReason, How, Reason, Rejected, Taken, Unit};

/// The consumption of each licence, in the order of `licences`, which ascends by id.
pub fn consume(licences: &[&Licence], installations: &Installations, as_of: Day) -> Vec<Consumption> {
    let mut accounts: Vec<Account<'_>> = licences.iter().map(|licence| Account::open(licence, as_of)).collect();
    for allocated in [true, false] {
        for of_application in installations.offered().chunk_by(|a, b| a.application == b.application) {
            let candidates = candidates(&accounts, installations, of_application[0].application);
            for installation in of_application {
                let is_tied = |&account: &usize| accounts[account].allocations.contains_key(&installation.device);
                if candidates.iter().any(is_tied) == allocated {
                    offer(&mut accounts, &candidates, installations, installation, allocated);
                }
            }
        }
    }
    accounts.into_iter().map(|account| account.close(installations)).collect()
}

/// The licences that cover an application, in the order in which they are asked.
///
/// True-up licences last: they take what exceeds the others. Then by priority, automatic ones behind all that are
/// numbered and among them unlimited ones first, then by id.
fn candidates(accounts: &[Account<'_>], installations: &Installations, application: u32) -> Vec<usize> {
    let id = &installations.applications()[application as usize];
    let mut candidates = Vec::new();
    for (place, account) in accounts.iter().enumerate() {
        let links = account.licence.links.iter().filter(|link| link.application == *id);
        // A library has each link once; should one come twice, the better priority counts.
        let Some(priority) = links.map(|link| link.priority.map_or(u64::MAX, u64::from)).min() else { continue };
        let behind_unlimited = priority == u64::MAX && account.total != Quantity::Unlimited;
        candidates.push((account.licence.true_up.is_some(), priority, behind_unlimited, place));
    }
    candidates.sort_unstable();
    candidates.into_iter().map(|(.., place)| place).collect()
}

/// Offers one installation to its candidates; one of them takes it.
fn offer(
    accounts: &mut [Account<'_>],
    candidates: &[usize],
    installations: &Installations,
    installation: &Installation,
    allocated: bool,
) {
    let role = installations.exempt_role(installation.device);
    let mut taker = None;
    let mut rejected = Vec::new();
    for &candidate in candidates {
        let account = &accounts[candidate];
        let reason = if allocated != account.allocations.contains_key(&installation.device) {
            Reason::AllocatedElsewhere
        } else if !allocated && account.is_full_for(installation.device, role) {
            Reason::Full
        } else {
            taker = Some((candidate, if allocated { How::Allocated } else { How::Priority }));
            break;
        };
        rejected.push((candidate, reason));
    }
    if taker.is_none() {
        let full = rejected.iter().find(|(_, reason)| *reason == Reason::Full);
        taker = full.map(|&(candidate, _)| (candidate, How::Overflow));
    }
    if allocated {
        // Also those behind the one that took it hear why they were not asked.
        let untied = |&&candidate: &&usize| !accounts[candidate].allocations.contains_key(&installation.device);
        rejected = candidates.iter().filter(untied).map(|&candidate| (candidate, Reason::AllocatedElsewhere)).collect();
    }
    for (candidate, reason) in rejected {
        if taker.is_none_or(|(taker, _)| taker != candidate) {
            accounts[candidate].rejected.push((*installation, reason));
        }
    }
    if let Some((taker, how)) = taker {
        accounts[taker].take(installation, role, how);
    }
}

/// A licence while it is used up.
struct Account<'l> {
    licence: &'l Licence,
    total: Quantity,
    allocations: HashMap<DeviceId, &'l Allocation>,
    /// Devices that count by their allocation alone, as long as none of their installations is taken.
    without_inventory: u64,
    /// What each device with a taken installation has. Looked up while installations come, sorted at the end.
    devices: HashMap<DeviceId, OnDevice>,
    /// Sum over devices of what they count for, before a right is shared.
    sum: u64,
    taken: Vec<(Installation, How, Option<Exemption>)>,
    rejected: Vec<(Installation, Reason)>,
}

#[derive(Clone, Copy, Default)]
struct OnDevice {
    raw: u32,
    counted: u32,
    /// The lowest of its exempt installations.
    exemption: Option<Exemption>,
}

impl<'l> Account<'l> {
    fn open(licence: &'l Licence, as_of: Day) -> Account<'l> {
        let mut account = Account {
            licence,
            total: licence.entitled(as_of),
            allocations: HashMap::new(),
            without_inventory: 0,
            devices: HashMap::new(),
            sum: 0,
            taken: Vec::new(),
            rejected: Vec::new(),
        };
        for allocation in &licence.allocations {
            // The first of two counts.
            account.allocations.entry(allocation.device).or_insert(allocation);
        }
        let counting = account.allocations.values().filter(|allocation| account.counts_alone(allocation));
        account.without_inventory = counting.count() as u64;
        account
    }

    /// Whether a device counts by this allocation alone.
    fn counts_alone(&self, allocation: &Allocation) -> bool {
        let kind_counts = allocation.kind == AllocationKind::Permanent || self.licence.allocations_consume;
        kind_counts && allocation.exemption.is_none()
    }

    /// Why an installation on `device` needs no right: what the operator said of the device, else its role.
    fn exemption(&self, device: DeviceId, role: Option<&str>) -> Option<Exemption> {
        let said = self.allocations.get(&device).and_then(|allocation| allocation.exemption);
        said.or_else(|| {
            let roles = &self.licence.exempt_roles;
            roles.iter().find(|exempt| Some(&*exempt.role) == role).map(|exempt| exempt.reason)
        })
    }

    /// What `sum` comes to with those that count without inventory.
    fn figure(&self, sum: u64) -> u64 {
        sum.div_ceil(u64::from(self.licence.installs_per_right.get())) + self.without_inventory
    }

    /// What one more installation on `device` adds to the sum.
    fn weight(&self, device: DeviceId) -> u64 {
        let counts_already = self.devices.get(&device).is_some_and(|on_device| on_device.counted > 0);
        u64::from(!(self.licence.multiple_use && counts_already))
    }

    /// Whether an installation on `device` would exceed the rights and cost one.
    fn is_full_for(&self, device: DeviceId, role: Option<&str>) -> bool {
        let Quantity::Limited(total) = self.total else { return false };
        if self.licence.true_up.is_some() || self.exemption(device, role).is_some() {
            return false;
        }
        let with = self.figure(self.sum + self.weight(device));
        with > total && with > self.figure(self.sum)
    }

    fn take(&mut self, installation: &Installation, role: Option<&str>, how: How) {
        let device = installation.device;
        let exemption = self.exemption(device, role);
        let weight = if exemption.is_some() { 0 } else { self.weight(device) };
        if !self.devices.contains_key(&device)
            && self.allocations.get(&device).is_some_and(|allocation| self.counts_alone(allocation))
        {
            self.without_inventory -= 1;
        }
        let on_device = self.devices.entry(device).or_default();
        on_device.raw += 1;
        on_device.counted += weight as u32;
        on_device.exemption = match (on_device.exemption, exemption) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.sum += weight;
        self.taken.push((*installation, how, exemption));
    }

    fn close(self, installations: &Installations) -> Consumption {
        let consumed = self.figure(self.sum);
        let mut units: Vec<Unit> = Vec::with_capacity(self.devices.len());
        units.extend(self.devices.iter().map(|(&device, on_device)| Unit {
            device,
            raw: on_device.raw,
            consumed: on_device.counted,
            reason: match on_device.exemption {
                Some(exemption) if on_device.counted == 0 => CountReason::Exempt(exemption),
                _ => CountReason::Counted,
            },
        }));
        let alone = self
            .allocations
            .iter()
            .filter(|(device, allocation)| !self.devices.contains_key(*device) && self.counts_alone(allocation));
        units.extend(alone.map(|(&device, _)| Unit { device, raw: 0, consumed: 1, reason: CountReason::NoInventory }));
        units.sort_unstable();
        let awaited = self.allocations.iter().filter(|(device, allocation)| {
            allocation.kind == AllocationKind::Awaiting && self.devices.contains_key(*device)
        });
        let mut arrived: Vec<DeviceId> = awaited.map(|(&device, _)| device).collect();
        arrived.sort_unstable();

        let application = |place: u32| installations.applications()[place as usize].clone();
        let taken = self.taken.into_iter().map(|(installation, how, exemption)| {
            let Installation { application: place, title, device } = installation;
            Taken { device, application: application(place), title, how, exemption }
        });
        let mut taken: Vec<Taken> = taken.collect();
        taken.sort_unstable();
        let rejected = self.rejected.into_iter().map(|(installation, reason)| Rejected {
            device: installation.device,
            application: application(installation.application),
            reason,
        });
        let mut rejected: Vec<Rejected> = rejected.collect();
        rejected.sort_unstable();
        Consumption {
            licence: self.licence.id.clone(),
            consumed,
            raw: taken.len() as u64 + self.without_inventory,
            exempt: taken.iter().filter(|taken| taken.exemption.is_some()).count() as u64,
            units,
            taken,
            rejected,
            arrived,
        }
    }
}
