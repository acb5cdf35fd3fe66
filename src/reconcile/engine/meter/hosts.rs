//! Licences charged at the host: a device that is not virtual counts for itself and for the virtual machines on it.
//!
//! Source: reconcile-files reference, sections 6.2 (types 25 and 43) and 6.4 (types 41, 33 and 22).

use std::cell::Cell;
use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::super::bits::Bits;
use super::super::context::{ByProfile, Context, UNKNOWN_POINTS};
use crate::model::decimal::Decimal;
use crate::model::estate::{Device, Kind, Number};
use crate::model::licensing::{Metric, Settings};
use crate::model::reconciliation::Reason;

/// What a host counts for.
#[derive(Clone, Debug)]
pub struct HostRule {
    metric: Metric,
    settings: Settings,
}

/// What of a licence is on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnHost {
    /// The product is on the host itself.
    pub own: bool,
    /// Distinct virtual machines.
    pub guests: u64,
    /// Sum of their capacities.
    pub capacity: Decimal,
}

/// Cores of a processor that are paid at least. Source: reconcile reference, section 5.5.
const WINDOWS_CORES_MIN: u64 = 8;
/// Cores of a server that are paid at least.
const WINDOWS_SERVER_MIN: u64 = 16;
/// Virtual machines that one full set of Windows Server Standard covers.
const WINDOWS_STANDARD_VMS: u64 = 2;
/// Cores of a processor, or of a virtual machine, that are paid at least.
const SQL_CORES_MIN: u64 = 4;

impl HostRule {
    /// The rule of a licence.
    pub fn new(metric: Metric, settings: &Settings) -> HostRule {
        HostRule { metric, settings: settings.clone() }
    }

    fn counts_cores(&self) -> bool {
        self.metric == Metric::MANAGEMENT_CORE || self.metric == Metric::SERVER_CORE
    }

    /// Whether capacities of virtual machines are summed up.
    fn sums_capacity(&self) -> bool {
        self.metric == Metric::VIRTUAL_PROCESSOR_CORE
            || (self.metric == Metric::PROCESSOR_VALUE_UNIT && self.settings.sub_capacity)
    }

    /// Whether `device` is a virtual machine that is counted for itself.
    pub fn is_vm_unit(&self, context: &Context<'_>, device: Number) -> bool {
        let at = context.device(device);
        self.counts_cores() && at.kind == Kind::Vm && (at.in_cloud || self.settings.per_vm)
    }

    /// The device that is charged for an installation on `device`.
    pub fn unit(&self, context: &Context<'_>, device: Number) -> Result<Number, Reason> {
        if self.is_vm_unit(context, device) { Ok(device) } else { context.charged(device) }
    }

    /// Why an installation on `device` cannot be counted.
    pub fn missing(&self, context: &Context<'_>, device: Number) -> Option<Reason> {
        let at = context.device(device);
        if self.is_vm_unit(context, device) {
            return if !at.vcpus().is_positive() {
                Some(Reason::CoreCountMissing)
            } else if !self.settings.maintenance {
                Some(Reason::MaintenanceMissing)
            } else {
                None
            };
        }
        let unit = match context.charged(device) {
            Ok(unit) => unit,
            Err(reason) => return Some(reason),
        };
        let charged = context.device(unit);
        let is_guest = unit != device;
        if self.metric == Metric::SERVER_PROCESSOR {
            return (charged.processors == 0).then_some(Reason::ProcessorCountMissing);
        }
        if self.counts_cores() {
            let is_refused = self.metric == Metric::SERVER_CORE && self.settings.is_standard && is_guest;
            return if charged.processors == 0 {
                Some(Reason::ProcessorCountMissing)
            } else if !charged.cores.is_positive() {
                Some(Reason::CoreCountMissing)
            } else {
                is_refused.then_some(Reason::VirtualUseNotAllowed)
            };
        }
        let is_known = |at: &Device| at.capacity().is_positive();
        let is_missing = !is_known(charged) || (is_guest && self.sums_capacity() && !is_known(at));
        is_missing.then_some(Reason::CoreCountMissing)
    }

    /// What a device that is charged counts for.
    pub fn value(&self, context: &Context<'_>, unit: Number, on: &OnHost) -> Decimal {
        let at = context.device(unit);
        if self.is_vm_unit(context, unit) {
            let least = if self.metric == Metric::MANAGEMENT_CORE { WINDOWS_CORES_MIN } else { SQL_CORES_MIN };
            return at.vcpus().max(least.into());
        }
        let (processors, cores, guests) = (at.processors, at.cores, on.guests);
        let capacity = || match self.sums_capacity() && !on.own {
            true => on.capacity.min(at.capacity()),
            false => at.capacity(),
        };
        let by_processor = |cores: u64| Decimal::from(processors.saturating_mul(cores));
        match self.metric {
            Metric::PROCESSOR_VALUE_UNIT => {
                let known = context.points(self.settings.points, unit).known;
                let points = known.unwrap_or_else(|| UNKNOWN_POINTS.into());
                capacity().times(points)
            }
            Metric::MANAGEMENT_CORE => {
                let full = by_processor(WINDOWS_CORES_MIN).max(cores).max(WINDOWS_SERVER_MIN.into());
                let sets = if self.settings.is_standard { guests.div_ceil(WINDOWS_STANDARD_VMS).max(1) } else { 1 };
                full.times(sets)
            }
            Metric::SERVER_CORE => {
                let full = by_processor(SQL_CORES_MIN).max(cores);
                let is_by_vm = !self.settings.is_standard && !self.settings.maintenance;
                if is_by_vm { full.max(guests.into()) } else { full }
            }
            Metric::SERVER_PROCESSOR => {
                let processors = processors.max(self.settings.minimum_processors);
                let licences = processors.div_ceil(self.settings.processors_per_license);
                let by_vms = self.settings.vms_per_license.map_or(0, |vms| guests.div_ceil(vms));
                licences.max(by_vms).into()
            }
            _ => capacity(),
        }
    }
}

/// The charged device, what is on it then, and how much that raises the figure.
type Change = (Number, OnHost, Decimal);

/// See the module's head.
#[derive(Debug)]
pub struct Hosts {
    rule: HostRule,
    /// What hosts with nothing but the product on themselves come to; devices that are no guests only.
    alone: ByProfile<Result<Decimal, Reason>>,
    /// Devices whose installations are counted.
    counted: Bits,
    /// Charged devices with the product on themselves.
    own: Bits,
    /// What virtual machines bring to their hosts.
    guests: HashMap<Number, OnHost>,
    /// Whose guests those are: a bit is nearer than an entry.
    has_guests: Bits,
    /// What taking the device would change that the figure was asked for last; nothing was taken since.
    asked: Cell<Option<(Number, Change)>>,
    sum: Decimal,
    /// The same by the text of the region, where regions matter.
    regions: BTreeMap<Number, Decimal>,
}

impl Hosts {
    /// Nothing counted yet.
    pub fn new(context: &Context<'_>, metric: Metric, settings: &Settings) -> Hosts {
        let bound = context.estate.devices.len();
        Hosts {
            rule: HostRule::new(metric, settings),
            alone: ByProfile::new(context),
            counted: Bits::new(bound),
            own: Bits::new(bound),
            guests: HashMap::new(),
            has_guests: Bits::new(bound),
            asked: Cell::new(None),
            sum: Decimal::ZERO,
            regions: BTreeMap::new(),
        }
    }

    /// Why an installation on `device` cannot be counted.
    pub fn missing(&self, context: &Context<'_>, device: Number) -> Option<Reason> {
        if self.is_own(context, device) {
            self.alone(context, device).err()
        } else {
            self.rule.missing(context, device)
        }
    }

    /// Whether `device` is charged for itself.
    fn is_own(&self, context: &Context<'_>, device: Number) -> bool {
        context.charged(device) == Ok(device)
    }

    /// What a device that is charged for itself comes to, without guests.
    fn alone(&self, context: &Context<'_>, device: Number) -> Result<Decimal, Reason> {
        self.alone.get(context, device, || match self.rule.missing(context, device) {
            None => Ok(self.rule.value(context, device, &OnHost { own: true, ..OnHost::default() })),
            Some(reason) => Err(reason),
        })
    }

    /// The charged device, what is on it with one more installation on `device`, and how much that raises the figure.
    fn change(&self, context: &Context<'_>, device: Number) -> Option<Change> {
        if self.counted.contains(device) {
            return None;
        }
        // Most hosts have no guests.
        if self.is_own(context, device) && !self.has_guests.contains(device) {
            let after = OnHost { own: true, ..OnHost::default() };
            return Some((device, after, self.alone(context, device).unwrap_or_default()));
        }
        // Asked for before: an installation without a host is not taken.
        let unit = self.rule.unit(context, device).ok()?;
        let guests = if self.has_guests.contains(unit) { self.guests.get(&unit).copied() } else { None };
        let before = OnHost { own: self.own.contains(unit), ..guests.unwrap_or_default() };
        let mut after = before;
        if unit == device {
            after.own = true;
        } else {
            after.guests += 1;
            after.capacity += context.device(device).capacity();
        }
        let is_known = before.own || guests.is_some();
        let old = if is_known { self.rule.value(context, unit, &before) } else { Decimal::ZERO };
        Some((unit, after, self.rule.value(context, unit, &after) - old))
    }

    /// The figure if an installation on `device` were taken too.
    pub fn figure_with(&self, context: &Context<'_>, device: Number) -> Decimal {
        let change = self.change(context, device);
        self.asked.set(change.map(|change| (device, change)));
        self.sum + change.map(|(.., raise)| raise).unwrap_or_default()
    }

    /// Takes an installation.
    pub fn take(&mut self, context: &Context<'_>, device: Number) {
        let asked = self.asked.take().filter(|(asked, _)| *asked == device).map(|(_, change)| change);
        let Some((unit, after, raise)) = asked.or_else(|| self.change(context, device)) else { return };
        self.counted.insert(device);
        if after.own {
            self.own.insert(unit);
        }
        if after.guests > 0 {
            self.guests.insert(unit, after);
            self.has_guests.insert(unit);
        }
        self.sum += raise;
        if self.rule.metric == Metric::PROCESSOR_VALUE_UNIT {
            let region = context.region(unit);
            match self.regions.get_mut(&region) {
                Some(sum) => *sum += raise,
                None => {
                    self.regions.insert(region, raise);
                }
            }
        }
    }

    /// Today's figure.
    pub fn figure(&self) -> Decimal {
        self.sum
    }

    /// Today's figure by the text of the region, for type 25.
    pub fn regions(&self) -> &BTreeMap<Number, Decimal> {
        &self.regions
    }
}
