//! Moves that may save: from licences that are over-used to those with room.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};

use super::measure::Measure;
use super::moves::Move;
use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::{Allocated, AllocationKind, Metric, Total};
use crate::model::reconciliation::{Outcome, Reason, Unit, UnitId};
use crate::reconcile::engine::{Reconciled, TakenRow};

/// Moves worth trying, the most over-used licence first, each once.
pub fn candidates(found: &Reconciled<'_>, plain: &Measure) -> Vec<Move> {
    let mut list = List { found, plain, moves: Vec::new(), seen: HashSet::new() };
    let over_used = plain.over_used();
    let taken: Vec<Vec<TakenRow>> = over_used.iter().map(|&licence| found.taken_by(licence)).collect();
    for (&licence, rows) in over_used.iter().zip(&taken) {
        list.direct(licence, rows);
    }
    for (&licence, rows) in over_used.iter().zip(&taken) {
        list.by_way_of_a_third(licence, rows);
    }
    list.unlicensed();
    list.moves
}

/// What devices come to for a licence.
type Weights = HashMap<Number, Decimal>;

struct List<'l, 'c> {
    found: &'l Reconciled<'c>,
    plain: &'l Measure,
    moves: Vec<Move>,
    seen: HashSet<Move>,
}

impl List<'_, '_> {
    fn add(&mut self, step: Move) {
        if self.seen.insert(step.clone()) {
            self.moves.push(step);
        }
    }

    /// Other licences that cover an application and are judged, in the order in which they are asked.
    fn others(&self, application: Number, licence: Number) -> Vec<Number> {
        let candidates = self.found.context().links.candidates(application).iter();
        let is_other = |other: &Number| *other != licence && self.plain.is_judged(*other);
        candidates.map(|one| one.licence).filter(is_other).collect()
    }

    /// Whether `first` can be asked before `licence` for an application, and is not yet: by a row of its own.
    fn may_be_first(&self, application: Number, first: Number, licence: Number) -> bool {
        let context = self.found.context();
        let mut asked = context.links.candidates(application).iter().map(|one| one.licence);
        let stands_first = asked.find(|one| *one == first || *one == licence) == Some(first);
        !stands_first && context.licensing.licences[first as usize].link(application).is_some()
    }

    /// What an over-used licence has goes to one with room.
    fn direct(&mut self, licence: Number, rows: &[TakenRow]) {
        let of_device = |unit: Unit| match unit.id {
            UnitId::Device(device) => Some((device, unit.consumed)),
            UnitId::UnknownDevice(_) | UnitId::User(_) => None,
        };
        let weights: Weights = self.found.working(licence).units.into_iter().filter_map(of_device).collect();
        for application in applications(rows) {
            for other in self.others(application, licence) {
                let Some(room) = self.plain.room(other) else { continue };
                if self.may_be_first(application, other, licence) {
                    self.add(Move::Order { application, licence: other });
                }
                let own: Vec<&TakenRow> = rows.iter().filter(|row| row.application == application).collect();
                self.allocate(licence, other, room, &own, &weights);
            }
        }
    }

    /// As many devices as there is room for, those that weigh most first, until the licence is not over-used any more.
    fn allocate(&mut self, from: Number, to: Number, room: Total, rows: &[&TakenRow], weights: &Weights) {
        let licences = &self.found.context().licensing.licences;
        if licences[to as usize].metric.is_some_and(|metric| metric == Metric::NAMED_USER) {
            return;
        }
        let tied = |licence: Number, kind: Option<AllocationKind>| -> HashSet<Number> {
            let allocations = licences[licence as usize].allocations.iter();
            let is_meant = |one: &&crate::model::licensing::Allocation| kind.is_none_or(|kind| one.kind == kind);
            let device = |one: &crate::model::licensing::Allocation| match one.to {
                Allocated::Device(device) => Some(device),
                _ => None,
            };
            allocations.filter(is_meant).filter_map(device).collect()
        };
        // A permanent allocation counts wherever the installation is.
        let (permanent, own) = (tied(from, Some(AllocationKind::Permanent)), tied(to, None));
        let weight = |device: &Number| weights.get(device).copied().unwrap_or_default();
        let is_movable =
            |row: &&&TakenRow| row.is_counted && !permanent.contains(&row.device) && !own.contains(&row.device);
        let mut devices: Vec<Number> = rows.iter().filter(is_movable).map(|row| row.device).collect();
        devices.sort_by_key(|device| (std::cmp::Reverse(weight(device)), *device));
        let (mut sum, over) = (Decimal::ZERO, self.plain.over(from));
        let needed = devices.iter().position(|device| {
            sum += weight(device);
            sum >= over
        });
        devices.truncate(needed.map_or(devices.len(), |last| last + 1));
        self.add_devices(to, Some(from), devices, room);
    }

    fn add_devices(&mut self, licence: Number, from: Option<Number>, mut devices: Vec<Number>, room: Total) {
        if let Some(room) = room.limit() {
            devices.truncate(usize::try_from(room.floor()).unwrap_or(usize::MAX));
        }
        if !devices.is_empty() {
            self.add(Move::Allocate { licence, from, devices });
        }
    }

    /// Another licence would have room if something of its own went to a third one.
    fn by_way_of_a_third(&mut self, licence: Number, rows: &[TakenRow]) {
        let mut ways: BTreeSet<Number> = BTreeSet::new();
        for application in applications(rows) {
            let full = self.others(application, licence).into_iter().filter(|&other| self.plain.room(other).is_none());
            ways.extend(full);
        }
        for way in ways {
            for application in applications(&self.found.taken_by(way)) {
                for third in self.others(application, way) {
                    let has_room = third != licence && self.plain.room(third).is_some();
                    if has_room && self.may_be_first(application, third, way) {
                        self.add(Move::Order { application, licence: third });
                    }
                }
            }
        }
    }

    /// Installations that no licence took, where one with room takes only what is allocated to it.
    fn unlicensed(&mut self) {
        let context = self.found.context();
        for application in 0..context.estate.applications.len() as Number {
            let (verdicts, codes) = self.found.verdicts(application);
            if !verdicts.iter().any(|verdict| verdict.outcome == Outcome::Unlicensed) {
                continue;
            }
            for licence in self.others(application, Number::MAX) {
                let Some(room) = self.plain.room(licence) else { continue };
                let waits = |code: u32| {
                    let verdict = &verdicts[code as usize];
                    verdict.outcome == Outcome::Unlicensed
                        && verdict.rejected.contains(&(licence, Reason::NotAllocated))
                };
                let installed = context.estate.installations.of_application(application);
                let waiting = installed.iter().zip(codes).filter(|&(_, &code)| waits(code));
                let devices: Vec<Number> = waiting.map(|(&device, _)| device).collect();
                if context.licensing.licences[licence as usize].metric != Some(Metric::NAMED_USER) {
                    self.add_devices(licence, None, devices, room);
                }
            }
        }
    }
}

/// Applications among what was taken, ascending.
fn applications(rows: &[TakenRow]) -> BTreeSet<Number> {
    rows.iter().map(|row| row.application).collect()
}
