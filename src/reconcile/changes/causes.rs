//! Why units came, went or count differently: their installations in two runs, side by side.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::facts::{self, Fact};
use super::side::Side;
use super::{Cause, TermChange, Tie, UnitChange, UnitKind};
use crate::model::estate::Number;
use crate::model::licensing::Metric;
use crate::model::reconciliation::UnitId;
use crate::reconcile::engine::TakenRow;

/// Finds the causes of `units`, which are units of the licence that both sides look at.
pub fn explain(before: &Side<'_, '_>, after: &Side<'_, '_>, terms: &[TermChange], units: &mut [UnitChange]) {
    if units.is_empty() {
        return;
    }
    let [rows_before, rows_after] = [before, after].map(|side| rows_of(side, units));
    let [reached_before, reached_after] = [before, after].map(|side| reached_by(side, units));
    let licence = after.terms().or(before.terms());
    let looked_at = [before, after].map(|side| side.terms().map(facts::of).unwrap_or_default());
    let mut facts = looked_at.concat();
    facts.sort_by_key(|&(name, _)| name);
    facts.dedup_by_key(|&mut (name, _)| name);
    let mut search = Search {
        before,
        after,
        ties: [before.ties(), after.ties()],
        facts,
        counts_use: licence
            .and_then(|licence| licence.metric)
            .is_some_and(|metric| metric.counts_persons() || metric == Metric::ORACLE_NAMED_USER_PLUS),
        weighs_use: licence.is_some_and(|licence| licence.metric == Some(Metric::ORACLE_NAMED_USER_PLUS)),
        have_terms: terms.iter().any(TermChange::changes_counting),
        found: BTreeSet::new(),
    };
    for (place, unit) in units.iter_mut().enumerate() {
        let reached = [&reached_before, &reached_after].map(|reached| &reached[place]);
        unit.causes = search.causes(unit, [&rows_before[place], &rows_after[place]], reached);
    }
}

/// For each of `units` the installations that it is made of, ascending by ids.
fn rows_of(side: &Side<'_, '_>, units: &[UnitChange]) -> Vec<Vec<TakenRow>> {
    let mut rows: Vec<Vec<TakenRow>> = vec![Vec::new(); units.len()];
    let Some(licence) = side.licence else { return rows };
    let places = places(side, units);
    let (mut parts, mut of_row) = (side.found.parts(licence), Vec::new());
    for row in side.taken() {
        parts.units(&row, &mut of_row);
        for place in of_row.iter().filter_map(|unit| places.get(unit)) {
            rows[*place].push(row);
        }
    }
    rows
}

/// Where each unit that the estate knows stands among `units`.
fn places(side: &Side<'_, '_>, units: &[UnitChange]) -> HashMap<UnitId, usize> {
    let estate = side.estate();
    let known = |unit: &UnitChange| match unit.unit {
        UnitKind::Device => estate.device_ids.find(&unit.id).map(UnitId::Device),
        UnitKind::User => estate.user_ids.find(&unit.id).map(UnitId::User),
    };
    units.iter().enumerate().filter_map(|(place, unit)| Some((known(unit)?, place))).collect()
}

/// For each of `units` what it reaches of a licence that counts access.
fn reached_by<'c>(side: &Side<'_, 'c>, units: &[UnitChange]) -> Vec<BTreeSet<&'c str>> {
    let mut reached: Vec<BTreeSet<&'c str>> = vec![BTreeSet::new(); units.len()];
    let counts_access = side.terms().and_then(|terms| terms.metric).is_some_and(Metric::counts_access);
    let Some(licence) = side.licence.filter(|_| counts_access) else { return reached };
    let places = places(side, units);
    let (estate, links) = (side.estate(), &side.found.context().links);
    for access in estate.access.iter().filter(|access| links.role(licence, access.application).is_some()) {
        let who = [
            access.device.map(|device| UnitId::Device(device.get())),
            access.user.map(|user| UnitId::User(user.get())),
        ];
        for place in who.iter().flatten().filter_map(|who| places.get(who)) {
            reached[*place].insert(estate.application_ids.name(access.application));
        }
    }
    reached
}

/// A search for the causes of one unit after the other.
struct Search<'s, 'c> {
    before: &'s Side<'s, 'c>,
    after: &'s Side<'s, 'c>,
    /// Who is tied to the licence, in the first and the second run.
    ties: [HashMap<(UnitKind, &'c str), Tie>; 2],
    facts: Vec<Fact>,
    /// Whether use decides who is a unit, and whether how much of it there is does.
    counts_use: bool,
    weighs_use: bool,
    have_terms: bool,
    found: BTreeSet<Cause>,
}

impl Search<'_, '_> {
    fn causes(&mut self, unit: &UnitChange, rows: [&[TakenRow]; 2], reached: [&BTreeSet<&str>; 2]) -> Vec<Cause> {
        self.found.clear();
        if unit.unit == UnitKind::Device {
            self.device(&unit.id);
        }
        self.tie(unit.unit, &unit.id);
        let [mut before, mut after] = rows;
        loop {
            let order = match (before.first(), after.first()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(was), Some(is)) => self.before.names(was).cmp(&self.after.names(is)),
            };
            let was = before.first().filter(|_| order.is_le());
            let is = after.first().filter(|_| order.is_ge());
            self.installation(unit, was, is);
            before = &before[usize::from(was.is_some())..];
            after = &after[usize::from(is.is_some())..];
        }
        let [was, is] = reached;
        for application in was.symmetric_difference(is) {
            let reaches = is.contains(application);
            self.found.insert(Cause::Access { application: (*application).to_owned(), reaches });
        }
        if let (Some(was), Some(is)) = (unit.before, unit.after) {
            let is_counted = |word: &str| word == "counted" || word == "not_covered";
            if was.reason != is.reason && !(is_counted(was.reason) && is_counted(is.reason)) {
                self.found.insert(Cause::CountsAs { before: was.reason, after: is.reason });
            }
            if self.have_terms {
                self.found.insert(Cause::Terms);
            }
        }
        if self.found.is_empty() {
            self.found.insert(if self.have_terms { Cause::Terms } else { Cause::Elsewhere });
        }
        std::mem::take(&mut self.found).into_iter().collect()
    }

    /// What is to be said of an installation that the unit was, or is, made of.
    fn installation(&mut self, unit: &UnitChange, was: Option<&TakenRow>, is: Option<&TakenRow>) {
        let names = was.map(|row| self.before.names(row)).or(is.map(|row| self.after.names(row)));
        let Some((device, application)) = names else { return };
        match (was, is) {
            (Some(was), Some(is)) => self.stayed(device, application, was, is),
            (None, _) => self.came(device, application),
            (_, None) => self.went(device, application),
        }
        if self.counts_use && unit.unit == UnitKind::User {
            let [before, after] = [self.before, self.after].map(|side| side.use_of(device, application, &unit.id));
            if before.is_some() != after.is_some() || (self.weighs_use && before != after) {
                let (application, device) = (application.to_owned(), device.to_owned());
                self.found.insert(Cause::Usage { application, device, before, after });
            }
        }
    }

    fn stayed(&mut self, device: &str, application: &str, was: &TakenRow, is: &TakenRow) {
        let (application, name) = (application.to_owned(), device.to_owned());
        if was.exemption != is.exemption {
            let (before, after) = (was.exemption, is.exemption);
            self.found.insert(Cause::Exemption { application, device: name, before, after });
        } else if was.is_counted != is.is_counted {
            self.found.insert(Cause::Free { application, device: name, is_free: !is.is_counted });
        }
        self.device(device);
        self.tie(UnitKind::Device, device);
    }

    fn came(&mut self, device: &str, application: &str) {
        let (name, installed) = (device.to_owned(), application.to_owned());
        if self.before.estate().device_ids.find(device).is_none() {
            self.found.insert(Cause::DeviceNew { device: name });
            return;
        }
        let Some(fate) = self.before.fate(device, application) else {
            self.found.insert(Cause::Installed { application: installed, device: name, evidence: None });
            return;
        };
        let own = self.own_name();
        let from = fate.taker.map(|licence| self.before.licence_name(licence));
        if from.is_none_or(|from| Some(from) != own.as_deref()) {
            let because = match from {
                // What the other one says now.
                Some(from) => self.after.fate(device, application).and_then(|fate| self.after.refusal(&fate, from)),
                // What this one said then.
                None => own.and_then(|own| self.before.refusal(&fate, &own)),
            };
            let license = from.map(str::to_owned);
            self.found.insert(Cause::MovedFrom { application: installed, device: name, license, because });
        }
        self.device(device);
        self.tie(UnitKind::Device, device);
    }

    fn went(&mut self, device: &str, application: &str) {
        let (name, installed) = (device.to_owned(), application.to_owned());
        if self.after.estate().device_ids.find(device).is_none() {
            self.found.insert(Cause::DeviceGone { device: name });
            return;
        }
        let Some(fate) = self.after.fate(device, application) else {
            self.found.insert(Cause::Removed { application: installed, device: name, evidence: None });
            return;
        };
        let own = self.own_name();
        let to = fate.taker.map(|licence| self.after.licence_name(licence));
        if to.is_none_or(|to| Some(to) != own.as_deref()) {
            let because = own.and_then(|own| self.after.refusal(&fate, &own));
            let license = to.map(str::to_owned);
            self.found.insert(Cause::MovedTo { application: installed, device: name, license, because });
        }
        self.device(device);
        self.tie(UnitKind::Device, device);
    }

    /// The id of the licence.
    fn own_name(&self) -> Option<String> {
        let name = |side: &Side<'_, '_>| side.licence.map(|licence| side.licence_name(licence).to_owned());
        name(self.after).or_else(|| name(self.before))
    }

    /// What is another on a device.
    fn device(&mut self, device: &str) {
        let find = |side: &Side<'_, '_>| -> Option<Number> { side.estate().device_ids.find(device) };
        let (was, is) = match (find(self.before), find(self.after)) {
            (Some(was), Some(is)) => (was, is),
            (None, None) => return,
            (was, _) => {
                let device = device.to_owned();
                self.found.insert(match was {
                    Some(_) => Cause::DeviceGone { device },
                    None => Cause::DeviceNew { device },
                });
                return;
            }
        };
        for (fact, read) in &self.facts {
            let (before, after) = (read(self.before.estate(), was), read(self.after.estate(), is));
            if before != after {
                self.found.insert(Cause::Fact { device: device.to_owned(), fact, before, after });
            }
        }
    }

    /// Whether somebody is tied to the licence otherwise.
    fn tie(&mut self, unit: UnitKind, id: &str) {
        let [before, after] = [0, 1].map(|side| self.ties[side].get(&(unit, id)).copied());
        if before != after {
            self.found.insert(Cause::Allocation { unit, id: id.to_owned(), before, after });
        }
    }
}
