//! Types charged at the host: 25 and 43 (section 6.2); 41, 33 and 22 (section 6.4).

use std::collections::{BTreeMap, BTreeSet};

use super::estate::Device;
use super::figure::{Figure, Taken, Unit, add};
use super::licences::Licence;
use super::number::Number;
use super::world::World;

/// "*Charged device*: a physical device or a cloud VM: itself; any other VM: follow `host` up to the first that is not a VM;
/// blank: `host_missing`" (section 6.2).
pub fn charged_device<'a>(world: &'a World, device: &str) -> Option<&'a Device> {
    let mut here = world.device(device);
    if here.cloud() {
        return Some(here);
    }
    while here.vm {
        here = world.estate.devices.get(&here.host)?;
    }
    Some(here)
}

/// "*Capacity*: in a cloud threads, else cores, else processors; otherwise cores, else processors" (section 6.2).
pub fn capacity(device: &Device) -> Option<Number> {
    let threads = if device.cloud() { device.threads } else { None };
    threads.or(device.cores).or(device.processors)
}

/// "`count` = vm, and every cloud VM (41, 33)" (section 6.4).
fn counted_as_vm(licence: &Licence, device: &Device) -> bool {
    matches!(licence.kind, 41 | 33) && device.vm && (licence.count == "vm" || device.cloud())
}

/// "vCPU = threads, else cores" (section 6.4).
fn vcpu(device: &Device) -> Option<Number> {
    device.threads.or(device.cores)
}

/// The first reason of section 5.3's order, but "blank: `processor_count_missing` asked first" for 41 and 33.
pub fn missing(world: &World, licence: &Licence, device: &str) -> Option<&'static str> {
    let device = world.device(device);
    if counted_as_vm(licence, device) {
        return match vcpu(device) {
            None => Some("core_count_missing"),
            Some(_) if !licence.maintenance => Some("maintenance_missing"),
            Some(_) => None,
        };
    }
    let Some(charged) = charged_device(world, &device.device) else { return Some("host_missing") };
    if matches!(licence.kind, 25 | 43) {
        let needs_own = licence.kind == 43 || licence.sub_capacity;
        let blank = capacity(charged).is_none() || (needs_own && capacity(device).is_none());
        return blank.then_some("core_count_missing");
    }
    if charged.processors.is_none() {
        Some("processor_count_missing")
    } else if licence.kind != 22 && charged.cores.is_none() {
        Some("core_count_missing")
    } else if licence.kind == 33 && licence.rule == "standard" && device.vm {
        Some("virtual_use_not_allowed")
    } else {
        None
    }
}

/// "25, 43, 41, 33, 22: the charged device (count = vm and cloud: the VM)" (section 8); the device itself where none is
/// known, which only an exempt or supplementary installation can have.
pub fn unit_of(world: &World, licence: &Licence, device: &str) -> Unit {
    let row = world.device(device);
    let charged = if counted_as_vm(licence, row) { Some(row) } else { charged_device(world, device) };
    Unit::device(&charged.unwrap_or(row).device)
}

/// Sums the figures of the charged devices.
pub fn figure(world: &World, licence: &Licence, left: &[Taken]) -> Figure {
    let mut figure = Figure::default();
    let mut charged: BTreeMap<Unit, BTreeSet<String>> = BTreeMap::new();
    for taken in left {
        charged.entry(unit_of(world, licence, &taken.device)).or_default().insert(taken.device.clone());
    }
    for (unit, devices) in charged {
        let host = world.device(&unit.id);
        let consumed = match licence.kind {
            25 | 43 => capacity_charged(world, licence, host, &devices, &mut figure),
            22 => processor_licences(world, licence, host, &devices),
            _ if counted_as_vm(licence, host) => {
                let least = if licence.kind == 41 { 8 } else { 4 };
                vcpu(host).unwrap_or(Number::ZERO).max(Number::whole(least))
            }
            _ => core_licences(world, licence, host, &devices),
        };
        // "`host_in_cluster` is warned when a VM is charged to a host with a cluster" (section 6.4)
        let vm_charged = devices.iter().any(|device| world.device(device).vm && *device != host.device);
        if matches!(licence.kind, 41 | 33 | 22) && vm_charged && !host.cluster.is_empty() {
            figure.warnings.insert(("host_in_cluster", host.device.clone()));
        }
        figure.today = figure.today.plus(consumed);
        figure.consumed.insert(unit, consumed);
    }
    figure
}

/// "Type 43: per charged device its capacity if the product is on it itself, else min(sum of the VMs' capacities, its
/// capacity). Type 25: the same with `sub_capacity`, its whole capacity without; times the points of the charged device (no
/// rule: 120, warning `unknown_processor`). Type 25 is kept per `region` of the charged device" (section 6.2).
fn capacity_charged(
    world: &World,
    licence: &Licence,
    host: &Device,
    devices: &BTreeSet<String>,
    figure: &mut Figure,
) -> Number {
    let whole = capacity(host).unwrap_or(Number::ZERO);
    let of_vms = devices.iter().filter_map(|device| capacity(world.device(device))).fold(Number::ZERO, Number::plus);
    let by_vm = licence.kind == 43 || licence.sub_capacity;
    let cores = if by_vm && !devices.contains(&host.device) { of_vms.min(whole) } else { whole };
    if licence.kind == 43 {
        return cores;
    }
    let points = world.points(licence, host).unwrap_or_else(|| {
        figure.warnings.insert(("unknown_processor", host.device.clone()));
        Number::whole(120)
    });
    let consumed = cores.times(points);
    add(&mut figure.regions, host.region.clone(), consumed);
    consumed
}

/// "V = distinct VMs counted there"; a cloud VM that counts as a host is not one of them.
fn vms(world: &World, host: &Device, devices: &BTreeSet<String>) -> Number {
    Number::whole(devices.iter().filter(|device| world.device(device).vm && **device != host.device).count())
}

/// "22: ceil(max(p, minimum_processors) / processors_per_license); with vms_per_license v: at least ceil(V / v)".
fn processor_licences(world: &World, licence: &Licence, host: &Device, devices: &BTreeSet<String>) -> Number {
    let processors = host.processors.unwrap_or(Number::ZERO).max(licence.minimum_processors);
    let by_processors = processors.ceil_div(licence.processors_per_license);
    match licence.vms_per_license {
        Some(per_license) => by_processors.max(vms(world, host, devices).ceil_div(per_license)),
        None => by_processors,
    }
}

/// The rows of 41 and 33 in section 6.4, for a host with p processors and c cores.
fn core_licences(world: &World, licence: &Licence, host: &Device, devices: &BTreeSet<String>) -> Number {
    let p = host.processors.unwrap_or(Number::ZERO);
    let c = host.cores.unwrap_or(Number::ZERO);
    let v = vms(world, host, devices);
    if licence.kind == 41 {
        let full = p.times(Number::whole(8)).max(c).max(Number::whole(16));
        let sets = v.ceil_div(Number::whole(2)).max(Number::whole(1));
        return if licence.rule == "standard" { full.times(sets) } else { full };
    }
    let full = p.times(Number::whole(4)).max(c);
    let vms_count = licence.rule != "standard" && !licence.maintenance;
    if vms_count { full.max(v) } else { full }
}
