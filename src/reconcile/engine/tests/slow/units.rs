//! Types counted by device: 2, 3, 5, 15, 18, 30 (section 6.1).

use std::collections::BTreeSet;

use super::figure::{Figure, Taken, Unit};
use super::licences::Licence;
use super::number::Number;
use super::world::World;

/// "*Units* of types 2, 3, 5, 15, 18, 30: the devices left", less what the use rights make free.
pub fn figure(world: &World, licence: &Licence, left: &[Taken], without: &BTreeSet<Unit>) -> Figure {
    let mut figure = Figure::default();
    let units: BTreeSet<String> = left.iter().map(|taken| taken.device.clone()).collect();
    cover_vms(world, licence, &units, without, &mut figure);
    exempt_second_use(world, licence, &units, &mut figure);
    let mut sum = Number::ZERO;
    for device in units.iter().filter(|device| !figure.free.contains_key(*device)) {
        let consumed = consumed(world, licence, left, device);
        sum = sum.plus(consumed);
        figure.consumed.insert(Unit::device(device), consumed);
    }
    // "With installs_per_right: ceil(sum / n)"
    figure.today = match licence.installs_per_right {
        Some(installs) if licence.kind == 2 => sum.ceil_div(installs),
        _ => sum,
    };
    figure
}

/// "`vm_use` = n: of the VMs whose `host` is a unit or counted without inventory, the first n by device id on each host are
/// covered (0)." For types 2, 3, 15, 18, 30.
fn cover_vms(
    world: &World,
    licence: &Licence,
    units: &BTreeSet<String>,
    without: &BTreeSet<Unit>,
    figure: &mut Figure,
) {
    let Some(limit) = licence.vm_use else { return };
    if licence.kind == 5 {
        return;
    }
    let hosts = world.estate.devices.keys().filter(|id| units.contains(*id) || without.contains(&Unit::device(id)));
    for host in hosts {
        let vms = units.iter().filter(|unit| world.device(unit).vm && world.device(unit).host == *host);
        for vm in vms.take(limit.map_or(usize::MAX, Number::count)) {
            figure.free.insert(vm.clone(), "host");
        }
    }
}

/// "Then `second_use`: for each user (assigned user, else calculated user), if a unit of theirs is not a VM and not portable,
/// the first of their portable non-VM units by device id is exempt (reason 10)." For types 2 and 3.
fn exempt_second_use(world: &World, licence: &Licence, units: &BTreeSet<String>, figure: &mut Figure) {
    if !licence.second_use || !matches!(licence.kind, 2 | 3) {
        return;
    }
    let users: BTreeSet<&str> =
        units.iter().map(|unit| world.device(unit).user()).filter(|id| !id.is_empty()).collect();
    for user in users {
        let theirs: Vec<&String> =
            units.iter().filter(|unit| world.device(unit).user() == user && !world.device(unit).vm).collect();
        let (portable, fixed): (Vec<&String>, Vec<&String>) =
            theirs.into_iter().partition(|unit| world.device(unit).portable());
        if let (Some(first), false) = (portable.first(), fixed.is_empty()) {
            figure.free.insert((*first).clone(), "second_use");
        }
    }
}

/// What one unit counts: the table of section 6.1.
fn consumed(world: &World, licence: &Licence, left: &[Taken], device: &str) -> Number {
    let row = world.device(device);
    let processors = row.processors.unwrap_or(Number::ZERO);
    let cores = row.cores.unwrap_or(Number::ZERO);
    let points = world.points(licence, row).unwrap_or(Number::ZERO);
    match licence.kind {
        // "without `multiple_use` each unit counts once per application left on it"
        2 if !licence.multiple_use => Number::whole(left.iter().filter(|taken| taken.device == device).count()),
        // "with core_cap: processors x ceil(cores / (processors x cap))"
        30 => match licence.core_cap {
            Some(cap) => processors.times(cores.ceil_div(processors.times(cap))),
            None => processors,
        },
        15 => cores.times(points),
        18 => processors.times(points),
        _ => Number::whole(1),
    }
}

/// "Blank or 0 is missing"; "No rule: `no_points_rule`".
pub fn missing(world: &World, licence: &Licence, device: &str) -> Option<&'static str> {
    let row = world.device(device);
    let needs_cores = licence.kind == 15 || (licence.kind == 30 && licence.core_cap.is_some());
    if needs_cores && row.cores.is_none() {
        Some("core_count_missing")
    } else if matches!(licence.kind, 18 | 30) && row.processors.is_none() {
        Some("processor_count_missing")
    } else if matches!(licence.kind, 15 | 18) && world.points(licence, row).is_none() {
        Some("no_points_rule")
    } else {
        None
    }
}
