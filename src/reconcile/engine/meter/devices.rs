//! Licences counted by device: each counts one, or its processors or cores by points, and rights make some of them free.
//!
//! Source: reconcile-files reference, section 6.1.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};

use super::super::bits::Bits;
use super::super::context::{ByProfile, Context};
use super::Offered;
use crate::model::decimal::Decimal;
use crate::model::estate::{Kind, Number, Slot};
use crate::model::licensing::{Metric, Settings, VmUse};
use crate::model::reconciliation::Reason;

/// What a device counts for.
#[derive(Clone, Copy, Debug)]
pub enum Weight {
    /// One.
    One,
    /// Its processors, each by the points of this set.
    Processors(Option<Slot>),
    /// Its cores, each by the points of this set.
    Cores(Option<Slot>),
    /// Its processors, each so often as its cores fill this number.
    Capped(Option<u64>),
}

impl Weight {
    /// What a type of licence gives a device.
    pub fn new(metric: Metric, settings: &Settings) -> Weight {
        match metric {
            Metric::CORE_POINTS => Weight::Cores(settings.points),
            Metric::PROCESSOR_POINTS => Weight::Processors(settings.points),
            Metric::PROCESSOR => Weight::Capped(settings.core_cap),
            _ => Weight::One,
        }
    }

    /// What `device` counts for, or what is not known of it.
    pub fn of(self, context: &Context<'_>, device: Number) -> Result<Decimal, Reason> {
        let at = context.device(device);
        let cores = || Some(at.cores).filter(|cores| cores.is_positive()).ok_or(Reason::CoreCountMissing);
        let processors = || Some(at.processors).filter(|&count| count > 0).ok_or(Reason::ProcessorCountMissing);
        match self {
            Weight::One => Ok(Decimal::ONE),
            Weight::Cores(points) => Ok(cores()?.times(context.needed_points(points, device)?)),
            Weight::Processors(points) => {
                let processors = processors()?;
                Ok(context.needed_points(points, device)?.times(processors))
            }
            Weight::Capped(None) => processors().map(Decimal::from),
            Weight::Capped(Some(cap)) => {
                let (cores, processors) = (cores()?, processors()?);
                Ok(cores.shares(processors.saturating_mul(cap)).times(processors))
            }
        }
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct Devices {
    weight: Weight,
    weights: ByProfile<Result<Decimal, Reason>>,
    /// A device counts once for each application on it.
    per_application: bool,
    installs_per_right: u64,
    units: Bits,
    sum: Decimal,
    rights: Option<Rights>,
}

/// What makes devices free.
#[derive(Debug)]
struct Rights {
    vm_use: Option<VmUse>,
    second_use: bool,
    /// What each unit counts for.
    weights: HashMap<Number, Decimal>,
    /// Virtual machines that are units, by their host.
    guests: HashMap<Number, Guests>,
    /// Physical units by their user.
    owners: HashMap<Number, Owned>,
    /// What is free now.
    saved: Decimal,
}

#[derive(Debug, Default)]
struct Guests {
    all: BTreeSet<Number>,
    /// What they count for together.
    sum: Decimal,
}

#[derive(Debug, Default)]
struct Owned {
    /// Units that are not portable.
    fixed: u64,
    /// Portable units.
    portable: BTreeSet<Number>,
}

/// A unit that is there in addition, or counts for more.
#[derive(Clone, Copy)]
struct Extra {
    device: Number,
    weight: Decimal,
}

impl Devices {
    /// Nothing counted yet.
    pub fn new(context: &Context<'_>, metric: Metric, settings: &Settings) -> Devices {
        let vm_use = settings.vm_use.filter(|_| metric != Metric::CONCURRENT_USER);
        let second_use = settings.second_use && [Metric::DEVICE, Metric::NODE_LOCKED].contains(&metric);
        let rights = (vm_use.is_some() || second_use).then(|| Rights {
            vm_use,
            second_use,
            weights: HashMap::new(),
            guests: HashMap::new(),
            owners: HashMap::new(),
            saved: Decimal::ZERO,
        });
        Devices {
            weight: Weight::new(metric, settings),
            weights: ByProfile::new(context),
            per_application: metric == Metric::DEVICE && !settings.multiple_use,
            installs_per_right: if metric == Metric::DEVICE { settings.installs_per_right } else { 1 },
            units: Bits::new(context.estate.devices.len()),
            sum: Decimal::ZERO,
            rights,
        }
    }

    /// What `device` counts for.
    pub fn weight(&self, context: &Context<'_>, device: Number) -> Result<Decimal, Reason> {
        match self.weight {
            Weight::One => Ok(Decimal::ONE),
            weight => self.weights.get(context, device, || weight.of(context, device)),
        }
    }

    /// What one more installation on `device` adds, before anything is free.
    fn raise(&self, context: &Context<'_>, device: Number) -> Decimal {
        if self.units.contains(device) && !self.per_application {
            return Decimal::ZERO;
        }
        // Asked for before: an installation whose weight is not known is not taken.
        self.weight(context, device).unwrap_or_default()
    }

    fn rounded(&self, sum: Decimal) -> Decimal {
        match self.installs_per_right {
            1 => sum,
            share => sum.shares(share),
        }
    }

    /// The figure if this installation were taken too.
    pub fn figure_with(&self, context: &Context<'_>, offered: &Offered<'_>) -> Decimal {
        let raise = self.raise(context, offered.device);
        let free = self.rights.as_ref().map(|rights| {
            rights.saved + rights.change(context, &self.units, offered.alone, rights.extra(offered.device, raise))
        });
        self.rounded(self.sum + raise - free.unwrap_or_default())
    }

    /// Takes an installation.
    pub fn take(&mut self, context: &Context<'_>, offered: &Offered<'_>) {
        let raise = self.raise(context, offered.device);
        if let Some(rights) = &mut self.rights {
            let extra = rights.extra(offered.device, raise);
            rights.saved += rights.change(context, &self.units, offered.alone, extra);
            rights.insert(context, extra);
        }
        self.units.insert(offered.device);
        self.sum += raise;
    }

    /// Today's figure.
    pub fn figure(&self) -> Decimal {
        let free = self.rights.as_ref().map(|rights| rights.saved);
        self.rounded(self.sum - free.unwrap_or_default())
    }

    /// Devices that are free because another device of their user counts.
    pub fn second_use(&self) -> BTreeSet<Number> {
        let Some(rights) = self.rights.as_ref().filter(|rights| rights.second_use) else { return BTreeSet::new() };
        // Sorted at once: the order of the walk shows nowhere.
        rights
            .owners
            .values()
            .filter(|owned| owned.fixed > 0)
            .filter_map(|owned| owned.portable.first().copied())
            .collect()
    }

    /// A device no longer counts by its allocation alone, and what it covers may be covered no longer. `alone` does not
    /// hold it any more.
    pub fn is_no_longer_alone(&mut self, device: Number) {
        let is_unit = self.units.contains(device);
        let Some(rights) = &mut self.rights else { return };
        if rights.vm_use.is_some() && !is_unit {
            rights.saved = rights.saved - rights.covered_by(device, None);
        }
    }
}

impl Rights {
    fn extra(&self, device: Number, raise: Decimal) -> Extra {
        Extra { device, weight: self.weights.get(&device).copied().unwrap_or_default() + raise }
    }

    /// How much more is free with `extra`.
    fn change(&self, context: &Context<'_>, units: &Bits, alone: &HashSet<Number>, extra: Extra) -> Decimal {
        let mut change = Decimal::ZERO;
        let at = context.device(extra.device);
        if self.vm_use.is_some() {
            if !units.contains(extra.device) && !alone.contains(&extra.device) {
                change += self.covered_by(extra.device, None);
            }
            if let (Kind::Vm, Some(host)) = (at.kind, at.host)
                && (units.contains(host.get()) || alone.contains(&host.get()))
            {
                change += self.covered_by(host.get(), Some(extra)) - self.covered_by(host.get(), None);
            }
        }
        if let Some(user) = at.user().filter(|_| self.second_use && at.kind != Kind::Vm) {
            let owned = self.owners.get(&user);
            let (fixed, first) = owned.map_or((0, None), |owned| (owned.fixed, owned.portable.first().copied()));
            let free = |fixed: u64, first: Option<Number>, extra| {
                first.filter(|_| fixed > 0).map(|device| self.weight_with(device, extra)).unwrap_or_default()
            };
            let (fixed_then, first_then) = match at.is_portable {
                true => (fixed, Some(first.map_or(extra.device, |first| first.min(extra.device)))),
                false => (fixed + u64::from(!units.contains(extra.device)), first),
            };
            change += free(fixed_then, first_then, Some(extra)) - free(fixed, first, None);
        }
        change
    }

    /// What a licensed host makes free: its first virtual machines, as many as one right covers.
    fn covered_by(&self, host: Number, extra: Option<Extra>) -> Decimal {
        let nothing = Guests::default();
        let guests = self.guests.get(&host).unwrap_or(&nothing);
        let covered = match self.vm_use {
            None => return Decimal::ZERO,
            Some(VmUse::Unlimited) => {
                let known = |extra: Extra| self.weights.get(&extra.device).copied().unwrap_or_default();
                return guests.sum + extra.map(|extra| extra.weight - known(extra)).unwrap_or_default();
            }
            Some(VmUse::Some(count)) => usize::try_from(count).unwrap_or(usize::MAX),
        };
        let guests = &guests.all;
        let before = guests.iter().copied().take_while(|&guest| extra.is_none_or(|extra| guest < extra.device));
        let after = guests.iter().copied().skip_while(|&guest| extra.is_some_and(|extra| guest <= extra.device));
        let all = before.chain(extra.map(|extra| extra.device)).chain(after.filter(|_| extra.is_some()));
        all.take(covered).map(|guest| self.weight_with(guest, extra)).sum()
    }

    fn weight_with(&self, device: Number, extra: Option<Extra>) -> Decimal {
        match extra {
            Some(extra) if extra.device == device => extra.weight,
            _ => self.weights.get(&device).copied().unwrap_or_default(),
        }
    }

    fn insert(&mut self, context: &Context<'_>, extra: Extra) {
        let at = context.device(extra.device);
        let known = self.weights.insert(extra.device, extra.weight);
        match (at.kind, at.host) {
            (Kind::Vm, Some(host)) => {
                let guests = self.guests.entry(host.get()).or_default();
                guests.all.insert(extra.device);
                guests.sum += extra.weight - known.unwrap_or_default();
            }
            (Kind::Vm, None) => {}
            (Kind::Physical, _) => {
                if let Some(user) = at.user() {
                    self.owners.entry(user).or_default().add(extra.device, at.is_portable, known.is_some());
                }
            }
        }
    }
}

impl Owned {
    fn add(&mut self, device: Number, is_portable: bool, is_known: bool) {
        if is_portable {
            self.portable.insert(device);
        } else {
            self.fixed += u64::from(!is_known);
        }
    }
}
