//! A licence while it is used up: what it says to an installation that is offered, and what it has taken.
//!
//! Source: reconcile-files reference, sections 5.2, 5.3 and 6.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};

use super::bits::Bits;
use super::closed::Closed;
use super::context::{Context, Person};
use super::meter::{Meter, Offered};
use crate::model::decimal::Decimal;
use crate::model::estate::{Number, Texts};
use crate::model::licensing::{Allocated, Allocation, AllocationKind, Exemption, Licence, Metric, Role, Total};
use crate::model::reconciliation::{Reason, UnitId};

/// See the module's head.
#[derive(Debug)]
pub struct Account<'c> {
    licence: &'c Licence,
    /// What it counts; a type that is not known counts nothing.
    metric: Option<Metric>,
    /// What it may be used for; `None`: there is no end to it.
    limit: Option<Decimal>,
    device_rows: HashMap<Number, &'c Allocation>,
    user_rows: HashMap<Number, &'c Allocation>,
    /// Devices, unknown devices and users that count by their allocation alone, as long as nothing of theirs is taken.
    alone: HashSet<Number>,
    alone_unknown: Vec<&'c str>,
    alone_users: HashSet<Number>,
    meter: Meter,
    raw: u64,
    exempt: u64,
    has_supplementary: bool,
    /// Devices with a primary that was taken, and those where one needs a right.
    primaries: Bits,
    counted_primaries: Bits,
    /// Installations taken of each supplementary application.
    supplementary: HashMap<Number, u64>,
    /// Devices that could not be counted because something is not known of them.
    missing: Bits,
    /// Awaited devices and users that have arrived.
    arrived: BTreeSet<UnitId>,
}

/// Who counts for an installation, where persons are counted. Scratch that is used again and again.
#[derive(Clone, Debug, Default)]
pub struct Persons {
    /// Everybody: in scope, and allocated where that is asked for.
    pub all: Vec<Number>,
    /// Those of them that need a right.
    pub counted: Vec<Number>,
}

impl<'c> Account<'c> {
    /// The account of a licence before anything is offered.
    pub fn open(context: &Context<'c>, number: Number) -> Account<'c> {
        let licence = &context.licensing.licences[number as usize];
        let devices = context.estate.devices.len();
        let limit = match licence.total(context.as_of) {
            Total::Limited(limit) if !licence.settings.true_up => Some(limit),
            _ => None,
        };
        let metric = licence.metric.filter(|_| licence.bad_data.is_none());
        let mut account = Account {
            licence,
            metric,
            limit: limit.filter(|_| metric.is_some_and(|metric| !metric.has_no_limit())),
            device_rows: HashMap::new(),
            user_rows: HashMap::new(),
            alone: HashSet::new(),
            alone_unknown: Vec::new(),
            alone_users: HashSet::new(),
            meter: Meter::new(context, number, licence),
            raw: 0,
            exempt: 0,
            has_supplementary: context.links.covered(number).iter().any(|link| link.role.is_supplementary()),
            primaries: Bits::new(devices),
            counted_primaries: Bits::new(devices),
            supplementary: HashMap::new(),
            missing: Bits::new(devices),
            arrived: BTreeSet::new(),
        };
        licence.allocations.iter().for_each(|allocation| account.allocate(allocation));
        account
    }

    fn allocate(&mut self, allocation: &'c Allocation) {
        let is_enough = allocation.kind == AllocationKind::Permanent || self.licence.settings.allocations_consume;
        let counts = self.metric.is_some_and(Metric::counts_without_inventory);
        let is_alone = counts && is_enough && allocation.exemption.is_none();
        let is_named_user = self.licence.metric == Some(Metric::NAMED_USER);
        match &allocation.to {
            // Named users are allocated, never devices.
            Allocated::Device(_) | Allocated::UnknownDevice(_) if is_named_user => {}
            Allocated::Device(device) => {
                self.device_rows.insert(*device, allocation);
                if is_alone {
                    self.alone.insert(*device);
                }
            }
            Allocated::UnknownDevice(device) if is_alone => self.alone_unknown.push(device),
            Allocated::UnknownDevice(_) => {}
            Allocated::User(user) => {
                self.user_rows.insert(*user, allocation);
                if is_alone && self.counts_persons() {
                    self.alone_users.insert(*user);
                }
            }
        }
    }

    fn counts_persons(&self) -> bool {
        // Also of a licence that takes nothing because a cell is bad: who is allocated to it stays so.
        self.licence.metric.is_some_and(Metric::counts_persons)
    }

    /// Whether anybody is allocated to it.
    pub fn has_allocations(&self) -> bool {
        !self.device_rows.is_empty() || (self.counts_persons() && !self.user_rows.is_empty())
    }

    fn row(&self, device: Number) -> Option<&'c Allocation> {
        if self.device_rows.is_empty() { None } else { self.device_rows.get(&device).copied() }
    }

    /// Everybody who counts for an installation, whether they are in scope or not.
    fn everybody(&self, context: &Context<'c>, application: Number, device: Number, out: &mut Vec<Number>) {
        out.clear();
        out.extend(context.estate.usage.of(application, device).iter().map(|used| used.user));
        if self.licence.metric == Some(Metric::NAMED_USER) {
            let at = context.device(device);
            let users = [at.assigned_user, at.calculated_user];
            out.extend(users.into_iter().flatten().map(|user| user.get()));
            out.sort_unstable();
            out.dedup();
        } else if out.is_empty() {
            out.push(context.user_person(device));
        }
    }

    /// Who counts for an installation. `Err`: everybody is outside the scope.
    pub fn persons(
        &self,
        context: &Context<'c>,
        application: Number,
        device: Number,
        persons: &mut Persons,
    ) -> Result<(), Reason> {
        persons.all.clear();
        persons.counted.clear();
        if !self.counts_persons() {
            return Ok(());
        }
        self.everybody(context, application, device, &mut persons.all);
        let scope = self.licence.settings.scope;
        if scope.is_some() {
            let group = |person| match context.person(person) {
                Person::User(user) => context.estate.users[user as usize].group,
                Person::Device(device) => context.device(device).group,
            };
            persons.all.retain(|&person| context.is_in_scope(group(person), scope));
            if persons.all.is_empty() {
                return Err(Reason::OutOfScope);
            }
        }
        if self.licence.metric == Some(Metric::NAMED_USER) {
            persons.all.retain(|person| self.user_rows.contains_key(person));
        }
        if self.user_rows.is_empty() {
            persons.counted.extend_from_slice(&persons.all);
        } else {
            let needs_right = |person: &&Number| self.user_exemption(**person).is_none();
            persons.counted.extend(persons.all.iter().filter(needs_right));
        }
        Ok(())
    }

    /// Why a person needs no right. A device that stands for one has a number behind all users.
    pub fn user_exemption(&self, person: Number) -> Option<Exemption> {
        self.user_rows.get(&person)?.exemption
    }

    /// Whether an installation is allocated to this licence, which covers its application.
    pub fn is_allocated(
        &self,
        context: &Context<'c>,
        application: Number,
        device: Number,
        persons: &mut Persons,
    ) -> bool {
        if self.row(device).is_some() {
            return true;
        }
        if !self.counts_persons() || self.user_rows.is_empty() {
            return false;
        }
        // Nobody in scope is nobody.
        let _ = self.persons(context, application, device, persons);
        persons.all.iter().any(|person| self.user_rows.contains_key(person))
    }

    fn device_exemption(&self, context: &Context<'c>, device: Number) -> Option<Exemption> {
        let said = self.row(device).and_then(|allocation| allocation.exemption);
        if said.is_some() || self.licence.exempt_roles.is_empty() {
            return said;
        }
        let role = context.device(device).role;
        if role == Texts::BLANK { None } else { self.licence.exempt_role(role) }
    }

    /// What the licence says to an installation: why it needs no right, if so, or why it does not take it. `persons` says
    /// who counts.
    pub fn ask(
        &self,
        context: &Context<'c>,
        role: Role,
        (application, device): (Number, Number),
        allocated: bool,
        persons: &mut Persons,
    ) -> Result<Option<Exemption>, Reason> {
        if self.licence.bad_data.is_some() {
            return Err(Reason::BadData);
        }
        let counts_persons = self.counts_persons();
        let scope = self.licence.settings.scope;
        if !counts_persons && scope.is_some() && !context.is_in_scope(context.device(device).group, scope) {
            return Err(Reason::OutOfScope);
        }
        self.persons(context, application, device, persons)?;
        match self.metric {
            Some(Metric::NODE_LOCKED | Metric::ORACLE_NAMED_USER_PLUS) if self.row(device).is_none() => {
                return Err(Reason::NotAllocated);
            }
            Some(Metric::NAMED_USER) if persons.all.is_empty() => return Err(Reason::NotAllocated),
            _ => {}
        }
        match role {
            Role::Primary => {}
            Role::Supplementary(None) if !self.primaries.contains(device) => return Err(Reason::PrimaryMissing),
            Role::Supplementary(None) => {}
            Role::Supplementary(Some(ratio)) => {
                let taken = self.supplementary.get(&application).copied().unwrap_or_default();
                if i128::from(taken) >= ratio.times(self.counted_primaries.count()).floor() {
                    return Err(Reason::RatioUsedUp);
                }
            }
        }
        let exemption = self.device_exemption(context, device).or_else(|| {
            let is_nobody_left = counts_persons && persons.counted.is_empty();
            let numbers = || persons.all.iter().filter_map(|&person| self.user_exemption(person));
            if is_nobody_left { numbers().min() } else { None }
        });
        if exemption.is_some() || role.is_supplementary() {
            return Ok(exemption);
        }
        if let Some(reason) = self.meter.missing(context, device) {
            return Err(reason);
        }
        let offered = Offered { application, device, persons: &persons.counted, alone: &self.alone };
        if !allocated && self.is_full_for(context, &offered) {
            return Err(Reason::Full);
        }
        Ok(None)
    }

    /// Whether one more installation would exceed the rights and cost one.
    fn is_full_for(&self, context: &Context<'c>, offered: &Offered<'_>) -> bool {
        let Some(limit) = self.limit else { return false };
        let with = self.meter.figure_with(context, offered);
        with + self.alone_count() > limit && with > self.meter.figure(context)
    }

    fn alone_count(&self) -> Decimal {
        let count = self.alone.len() + self.alone_unknown.len() + self.alone_users.len();
        (count as u64).into()
    }

    /// Notes that something is not known of a device.
    pub fn miss(&mut self, device: Number) {
        self.missing.insert(device);
    }

    /// Takes an installation. `role`: what it is to the licence, where that covers it. `is_counted`: it is neither exempt
    /// nor free beside another one.
    pub fn take(
        &mut self,
        context: &Context<'c>,
        role: Option<Role>,
        (application, device): (Number, Number),
        exemption: Option<Exemption>,
        is_counted: bool,
        persons: &Persons,
    ) {
        self.raw += 1;
        self.exempt += u64::from(exemption.is_some());
        if is_counted {
            let offered = Offered { application, device, persons: &persons.counted, alone: &self.alone };
            self.meter.take(context, &offered);
        }
        self.is_no_longer_alone(device, &persons.all);
        if role.is_some() {
            self.arrive(device, &persons.all);
        }
        match role {
            Some(Role::Primary) if self.has_supplementary => {
                self.primaries.insert(device);
                if exemption.is_none() {
                    self.counted_primaries.insert(device);
                }
            }
            Some(Role::Supplementary(Some(_))) => *self.supplementary.entry(application).or_default() += 1,
            _ => {}
        }
    }

    fn is_no_longer_alone(&mut self, device: Number, persons: &[Number]) {
        if !self.alone.is_empty()
            && self.alone.remove(&device)
            && let Meter::Devices(devices) = &mut self.meter
        {
            devices.is_no_longer_alone(device);
        }
        if !self.alone_users.is_empty() {
            persons.iter().for_each(|person| {
                self.alone_users.remove(person);
            });
        }
    }

    fn arrive(&mut self, device: Number, persons: &[Number]) {
        let is_awaited = |allocation: &&Allocation| allocation.kind == AllocationKind::Awaiting;
        if self.row(device).is_some_and(|allocation| is_awaited(&allocation)) {
            self.arrived.insert(UnitId::Device(device));
        }
        if !self.user_rows.is_empty() {
            let awaited = persons.iter().filter(|person| self.user_rows.get(*person).is_some_and(is_awaited));
            self.arrived.extend(awaited.map(|&person| UnitId::User(person)));
        }
    }

    /// Lets go of a member that was counted, because the suite that it is in came after it.
    pub fn give_back(&mut self, persons: &[Number]) {
        if let Meter::Persons(counted) = &mut self.meter {
            counted.give_back(persons);
        }
    }

    /// Whether members may be counted before their suites come.
    pub fn counts_members_first(&self) -> bool {
        matches!(self.meter, Meter::Persons(super::meter::Persons::Counted(_)))
    }

    /// Devices that are exempt because another device of their user counts.
    pub fn second_use(&self) -> BTreeSet<Number> {
        match &self.meter {
            Meter::Devices(devices) => devices.second_use(),
            _ => BTreeSet::new(),
        }
    }

    /// Installations that are exempt because of another device of their user.
    pub fn add_exempt(&mut self, count: u64) {
        self.exempt += count;
    }

    /// What it comes to.
    pub fn close(self, context: &Context<'c>) -> Closed {
        let alone = self.alone_count();
        let mut regions = match &self.meter {
            Meter::Hosts(hosts) => hosts.regions().clone(),
            _ => BTreeMap::new(),
        };
        if self.metric == Some(Metric::PROCESSOR_VALUE_UNIT) {
            // A sum does not depend on the order of its parts.
            for device in &self.alone {
                *regions.entry(context.device(*device).region).or_default() += Decimal::ONE;
            }
            if !self.alone_unknown.is_empty() {
                *regions.entry(Texts::BLANK).or_default() += (self.alone_unknown.len() as u64).into();
            }
        }
        let devices = self.alone.iter().map(|&device| UnitId::Device(device));
        let unknown = self.alone_unknown.iter().map(|&device| UnitId::UnknownDevice(device.into()));
        let users = self.alone_users.iter().map(|&user| UnitId::User(user));
        let mut units: Vec<UnitId> = devices.chain(unknown).chain(users).collect();
        units.sort_unstable();
        Closed {
            raw: self.raw + units.len() as u64,
            exempt: self.exempt,
            today: self.meter.figure(context) + alone,
            regions,
            missing: self.missing.count(),
            alone: units,
            arrived: self.arrived.into_iter().collect(),
            has_taken: self.raw > 0,
        }
    }
}
