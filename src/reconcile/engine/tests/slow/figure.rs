//! The figure of a licence (section 6), from scratch each time it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::licences::Licence;
use super::number::Number;
use super::world::World;
use super::{hosts, persons, quantity, servers, units};

/// What consumes: a row of consumption.csv by its `unit` and `id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// `device` or `user`.
    pub kind: &'static str,
    pub id: String,
}

impl Unit {
    /// A device.
    pub fn device(id: &str) -> Unit {
        Unit { kind: "device", id: id.to_string() }
    }

    /// A user.
    pub fn user(id: &str) -> Unit {
        Unit { kind: "user", id: id.to_string() }
    }
}

/// An installation that a licence has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub application: String,
    pub device: String,
    /// Of section 5.2; second use comes later.
    pub exemption: Option<usize>,
}

/// A licence's figure and how it comes about.
#[derive(Debug, Default)]
pub struct Figure {
    /// "f is *today's* figure of the licence" (section 5.3).
    pub today: Number,
    /// By unit, not the units without inventory.
    pub consumed: BTreeMap<Unit, Number>,
    /// Devices a use right makes free: `second_use` or `host`.
    pub free: BTreeMap<String, &'static str>,
    /// What is counted without inventory, 1 each.
    pub without_inventory: BTreeSet<Unit>,
    /// Type 25: today's figure by region.
    pub regions: BTreeMap<String, Number>,
    /// Code, subject.
    pub warnings: BTreeSet<(&'static str, String)>,
}

impl Default for Number {
    fn default() -> Number {
        Number::ZERO
    }
}

/// "From the installations taken, in this order: ...; then per type", and what counts without inventory "after all
/// rounding".
pub fn figure(world: &World, licence: &Licence, taken: &[Taken]) -> Figure {
    let left = left(world, licence, taken);
    let without = without_inventory(world, licence, taken);
    let mut figure = match licence.kind {
        2 | 3 | 5 | 15 | 18 | 30 => units::figure(world, licence, &left, &without),
        4 | 13 => persons::figure(world, licence, &left),
        16 | 17 => servers::figure(world, licence, &left),
        22 | 25 | 33 | 41 | 43 => hosts::figure(world, licence, &left),
        29 | 31 => quantity::figure(world, licence, &left),
        _ => Figure::default(), // "1, 12: 0"; 39 and 40 take nothing; "others: blank"
    };
    figure.today = figure.today.plus(Number::whole(without.len()));
    if licence.kind == 25 {
        for unit in &without {
            // "type 25: in the region of its device, blank if unknown"
            let region = world.estate.devices.get(&unit.id).map_or("", |device| device.region.as_str());
            add(&mut figure.regions, region.to_string(), Number::whole(1));
        }
    }
    figure.without_inventory = without;
    figure
}

/// Adds to an entry that may not be there yet.
pub fn add<K: Ord>(map: &mut BTreeMap<K, Number>, key: K, number: Number) {
    let entry = map.entry(key).or_insert(Number::ZERO);
    *entry = entry.plus(number);
}

/// "leave out exempt ones; leave out members whose suite on the same device is taken too; leave out supplementary ones".
pub fn left(world: &World, licence: &Licence, taken: &[Taken]) -> Vec<Taken> {
    let suite_taken = |member: &Taken| {
        let suites = world.estate.suites_of(&member.application);
        taken.iter().any(|suite| suite.device == member.device && suites.contains(&suite.application))
    };
    let supplementary = |one: &Taken| licence.links.get(&one.application).is_some_and(|link| link.supplementary);
    taken
        .iter()
        .filter(|one| one.exemption.is_none())
        .filter(|one| !suite_taken(one))
        .filter(|one| !supplementary(one))
        .cloned()
        .collect()
}

/// "*Without inventory*: a `permanent` allocation (or any, with `allocations_consume`) without exemption, whose device
/// (user) has no installation taken by this licence (is a person of none) ...; not for types 1, 12, 29, 39, 40 and those
/// outside the engine. User rows are looked at for types 4 and 13 only, device rows for all but 13."
fn without_inventory(world: &World, licence: &Licence, taken: &[Taken]) -> BTreeSet<Unit> {
    let mut without = BTreeSet::new();
    if !licence.in_engine() || matches!(licence.kind, 1 | 12 | 29 | 39 | 40) {
        return without;
    }
    for row in &licence.allocations {
        if row.exemption.is_some() || (row.kind != "permanent" && !licence.allocations_consume) {
            continue;
        }
        if !row.device.is_empty() && licence.kind != 13 && !taken.iter().any(|taken| taken.device == row.device) {
            without.insert(Unit::device(&row.device));
        }
        if !row.user.is_empty() && matches!(licence.kind, 4 | 13) {
            let user = Unit::user(&row.user);
            let is_person = taken
                .iter()
                .any(|taken| persons::persons(world, licence, &taken.application, &taken.device).contains(&user));
            if !is_person {
                without.insert(user);
            }
        }
    }
    without
}

/// The data reasons of section 5.3: "section 6; not asked when exempt or supplementary".
pub fn missing(world: &World, licence: &Licence, device: &str) -> Option<&'static str> {
    match licence.kind {
        15 | 18 | 30 => units::missing(world, licence, device),
        16 | 17 => servers::missing(world, licence, device),
        22 | 25 | 33 | 41 | 43 => hosts::missing(world, licence, device),
        31 => quantity::missing(world, licence, device),
        _ => None,
    }
}

/// The unit an installation belongs to, for the `raw` of consumption.csv (section 8): none for a user licence on an
/// installation without users.
pub fn units_of(world: &World, licence: &Licence, taken: &Taken, figure: &Figure) -> BTreeSet<Unit> {
    match licence.kind {
        4 | 13 => persons::persons(world, licence, &taken.application, &taken.device),
        16 => BTreeSet::from([servers::unit_of(world, licence, &taken.device, figure)]),
        17 => servers::users_of(world, taken),
        22 | 25 | 33 | 41 | 43 => BTreeSet::from([hosts::unit_of(world, licence, &taken.device)]),
        _ => BTreeSet::from([Unit::device(&taken.device)]),
    }
}
