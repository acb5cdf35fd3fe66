//! One of the two runs, looked at for one licence.

use hashbrown::HashMap;

use super::{Tie, UnitKind};
use crate::model::decimal::Decimal;
use crate::model::estate::{Estate, Number};
use crate::model::licensing::{Allocated, AllocationKind, Licence};
use crate::model::reconciliation::{Answer, Outcome, Position, Reason, Unit, UnitId};
use crate::reconcile::engine::{Reconciled, TakenRow};

/// See the module's head.
pub struct Side<'s, 'c> {
    /// The run.
    pub found: &'s Reconciled<'c>,
    /// The licence; `None`: it is not there.
    pub licence: Option<Number>,
}

/// What became of an installation.
pub struct Fate {
    /// The licence that took it.
    pub taker: Option<Number>,
    application: Number,
    place: usize,
}

impl<'s, 'c> Side<'s, 'c> {
    /// The run, looked at for the licence with this id.
    pub fn new(found: &'s Reconciled<'c>, licence: &str) -> Side<'s, 'c> {
        Side { found, licence: found.context().licensing.ids.find(licence) }
    }

    /// Its estate.
    pub fn estate(&self) -> &'c Estate {
        self.found.context().estate
    }

    /// The position of the licence.
    pub fn position(&self) -> Option<&'s Position> {
        self.licence.map(|licence| &self.found.positions()[licence as usize])
    }

    /// The licence as it is written.
    pub fn terms(&self) -> Option<&'c Licence> {
        self.licence.map(|licence| &self.found.context().licensing.licences[licence as usize])
    }

    /// The units of the licence.
    pub fn units(&self) -> Vec<Unit> {
        self.licence.map(|licence| self.found.working(licence).units).unwrap_or_default()
    }

    /// The same by kind and id, ascending.
    pub fn sorted<'u>(&self, units: &'u [Unit]) -> Vec<(UnitKind, &'u str, &'u Unit)>
    where
        'c: 'u,
    {
        let estate = self.estate();
        let named = units.iter().map(|unit| match &unit.id {
            UnitId::Device(device) => (UnitKind::Device, estate.device_ids.name(*device), unit),
            UnitId::UnknownDevice(id) => (UnitKind::Device, &**id, unit),
            UnitId::User(user) => (UnitKind::User, estate.user_ids.name(*user), unit),
        });
        let mut named: Vec<_> = named.collect();
        // Mostly sorted already.
        named.sort_by_key(|&(kind, id, _)| (kind, id));
        named
    }

    /// What the licence took, ascending by device, then application: by number and so by id.
    pub fn taken(&self) -> Vec<TakenRow> {
        self.licence.map(|licence| self.found.taken_by(licence)).unwrap_or_default()
    }

    /// Ids of device and application.
    pub fn names(&self, row: &TakenRow) -> (&'c str, &'c str) {
        (self.estate().device_ids.name(row.device), self.estate().application_ids.name(row.application))
    }

    /// The id of a licence.
    pub fn licence_name(&self, licence: Number) -> &'c str {
        self.found.context().licensing.ids.name(licence)
    }

    /// What became of an installation here; `None`: there is none.
    pub fn fate(&self, device: &str, application: &str) -> Option<Fate> {
        let device = self.estate().device_ids.find(device)?;
        let application = self.estate().application_ids.find(application)?;
        let place = self.estate().installations.of_application(application).binary_search(&device).ok()?;
        let taker = self.found.outcome(application, place).taken().map(|taken| taken.licence);
        Some(Fate { taker, application, place })
    }

    /// Why the licence with this id refused an installation here, if it did.
    pub fn refusal(&self, fate: &Fate, licence: &str) -> Option<Reason> {
        let licence = self.found.context().licensing.ids.find(licence)?;
        let verdict = self.found.verdict(fate.application, fate.place)?;
        match (verdict.outcome, verdict.answer(licence)) {
            (Outcome::NotLicensable, _) => None,
            (_, Answer::Rejected(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Who is tied to the licence.
    pub fn ties(&self) -> HashMap<(UnitKind, &'c str), Tie> {
        let estate = self.estate();
        let tie = |allocation: &'c crate::model::licensing::Allocation| {
            let who = match &allocation.to {
                Allocated::Device(device) => (UnitKind::Device, estate.device_ids.name(*device)),
                Allocated::UnknownDevice(device) => (UnitKind::Device, &**device),
                Allocated::User(user) => (UnitKind::User, estate.user_ids.name(*user)),
            };
            let kind = match allocation.kind {
                AllocationKind::Allocated => "allocated",
                AllocationKind::Awaiting => "awaiting",
                AllocationKind::Permanent => "permanent",
            };
            (who, Tie { kind, exemption: allocation.exemption })
        };
        self.terms().into_iter().flat_map(|terms| &terms.allocations).map(tie).collect()
    }

    /// How much a user uses an application on a device.
    pub fn use_of(&self, device: &str, application: &str, user: &str) -> Option<Decimal> {
        let estate = self.estate();
        let (device, application) = (estate.device_ids.find(device)?, estate.application_ids.find(application)?);
        let (user, used) = (estate.user_ids.find(user)?, estate.usage.of(application, device));
        let place = used.binary_search_by_key(&user, |used| used.user).ok()?;
        Some(used[place].quantity)
    }
}
