//! Types 16 and 17 (section 6.3).

use std::collections::{BTreeMap, BTreeSet};

use super::estate::Device;
use super::figure::{Figure, Taken, Unit, add};
use super::hosts::{capacity, charged_device};
use super::licences::Licence;
use super::number::Number;
use super::world::World;

/// What is billed: whole servers, and partitions of servers that are not billed whole.
#[derive(Debug, Default)]
struct Billed {
    whole: BTreeSet<String>,
    partitions: BTreeSet<String>,
}

/// "VM with another partition: itself as a partition ...; with standard_edition partitions are treated as `soft` with
/// soft_level `host`."
fn is_partition(licence: &Licence, device: &Device) -> bool {
    device.vm && !device.cloud() && device.partition != "soft" && licence.standard_edition.is_empty()
}

/// "*Servers billed*: physical device or cloud VM: itself. VM with partition `soft`: its charged device, and with soft_level
/// `cluster` every physical device of the same non-blank cluster." `None` without a charged device. Not for partitions.
fn whole_servers(world: &World, licence: &Licence, device: &Device) -> Option<BTreeSet<String>> {
    let charged = charged_device(world, &device.device)?;
    let mut servers = BTreeSet::from([charged.device.clone()]);
    let soft = device.vm && !device.cloud();
    if soft && device.partition == "soft" && licence.soft_level == "cluster" && !charged.cluster.is_empty() {
        let cluster = world.estate.devices.values().filter(|other| !other.vm && other.cluster == charged.cluster);
        servers.extend(cluster.map(|other| other.device.clone()));
    }
    Some(servers)
}

/// A partition is billed "itself as a partition, unless its charged device is billed whole".
fn billed(world: &World, licence: &Licence, left: &[Taken]) -> Billed {
    let mut billed = Billed::default();
    for taken in left {
        let device = world.device(&taken.device);
        if !is_partition(licence, device) {
            billed.whole.extend(whole_servers(world, licence, device).unwrap_or_default());
        }
    }
    for taken in left {
        let device = world.device(&taken.device);
        let swallowed =
            charged_device(world, &device.device).is_some_and(|charged| billed.whole.contains(&charged.device));
        if is_partition(licence, device) && !swallowed {
            billed.partitions.insert(device.device.clone());
        }
    }
    billed
}

/// "Cores of a partition: `capped` entitled_capacity, else cores; `hard` cores; `uncapped` cores; never more than pool_cores,
/// or where that is blank the host's cores if known."
fn partition_cores(world: &World, device: &Device) -> Option<Number> {
    let entitled = if device.partition == "capped" { device.entitled_capacity } else { None };
    let cores = entitled.or(device.cores)?;
    let host_cores = world.estate.devices.get(&device.host).and_then(|host| host.cores);
    match device.pool_cores.or(host_cores) {
        Some(most) => Some(cores.min(most)),
        None => Some(cores),
    }
}

/// "for a partition: ... its charged device if known".
fn server_of<'a>(world: &'a World, partition: &'a Device) -> &'a Device {
    charged_device(world, &partition.device).unwrap_or(partition)
}

/// The reasons of section 5.3 in their order. "Data needed: 16 and `processor` cores; `socket` and standard_edition
/// processors; `server` the capacity of cloud VMs." standard_edition counts processors in place of cores.
pub fn missing(world: &World, licence: &Licence, device: &str) -> Option<&'static str> {
    let device = world.device(device);
    let standard = !licence.standard_edition.is_empty();
    let partition = is_partition(licence, device);
    let servers: Vec<&Device> = if partition {
        vec![server_of(world, device)]
    } else {
        match whole_servers(world, licence, device) {
            Some(servers) => servers.iter().map(|server| world.device(server)).collect(),
            None => return Some("host_missing"),
        }
    };
    let needs_cores = !standard && (licence.kind == 16 || licence.minimum_per == "processor");
    let needs_processors = standard || (licence.kind == 17 && licence.minimum_per == "socket");
    let needs_capacity = licence.kind == 17 && licence.minimum_per == "server";
    let blank_cores = if partition {
        partition_cores(world, device).is_none()
    } else {
        servers.iter().any(|server| server.cores.is_none())
    };
    if needs_cores && blank_cores {
        return Some("core_count_missing");
    }
    if needs_capacity && device.vm && device.cloud() && capacity(device).is_none() {
        return Some("core_count_missing");
    }
    if needs_processors && servers.iter().any(|server| server.processors.is_none()) {
        return Some("processor_count_missing");
    }
    // "more than 4 (SE) or 2 (SE1, SE2) on a server: `too_many_sockets`"
    let most = Number::whole(if licence.standard_edition == "SE" { 4 } else { 2 });
    let too_many = servers.iter().any(|server| server.processors.is_some_and(|processors| processors > most));
    (standard && too_many).then_some("too_many_sockets")
}

/// Section 6.3.
pub fn figure(world: &World, licence: &Licence, left: &[Taken]) -> Figure {
    if licence.kind == 16 {
        return processor_figure(world, licence, left);
    }
    let mut figure = Figure::default();
    let users = users(world, left);
    let sum = users.values().fold(Number::ZERO, |sum, quantity| sum.plus(*quantity));
    let minimum = licence.minimum.unwrap_or(Number::ZERO);
    // "Figure: max(users, minimum x M); M by minimum_per"
    figure.today = match licence.minimum_per {
        "processor" => {
            let processors = processor_figure(world, licence, left);
            figure.warnings = processors.warnings;
            sum.max(minimum.times(processors.today))
        }
        "socket" => sum.max(minimum.times(sockets(world, licence, left))),
        "license" if left.is_empty() => sum,
        "license" => sum.max(minimum),
        "server" => by_server(world, licence, left),
        _ => sum,
    };
    figure.consumed = users.into_iter().map(|(user, quantity)| (Unit::user(&user), quantity)).collect();
    figure
}

/// "Type 16: per factor: sum of cores, times factor, rounded up; summed over factors. standard_edition: sum of processors".
/// What each server or partition consumes is rounded up for itself (section 8).
fn processor_figure(world: &World, licence: &Licence, left: &[Taken]) -> Figure {
    let mut figure = Figure::default();
    let billed = billed(world, licence, left);
    if !licence.standard_edition.is_empty() {
        for server in &billed.whole {
            let processors = world.device(server).processors.unwrap_or(Number::ZERO);
            figure.today = figure.today.plus(processors);
            figure.consumed.insert(Unit::device(server), processors);
        }
        return figure;
    }
    let mut cores_by_factor: BTreeMap<Number, Number> = BTreeMap::new();
    let whole = billed.whole.iter().map(|id| world.device(id)).map(|server| (server, server, server.cores));
    let partitions = billed.partitions.iter().map(|id| world.device(id));
    let partitions = partitions.map(|device| (device, server_of(world, device), partition_cores(world, device)));
    for (device, server, cores) in whole.chain(partitions) {
        let cores = cores.unwrap_or(Number::ZERO);
        let (factor, warning) = world.factor(licence, server);
        if let Some(code) = warning {
            figure.warnings.insert((code, server.device.clone()));
        }
        add(&mut cores_by_factor, factor, cores);
        figure.consumed.insert(Unit::device(&device.device), cores.times(factor).ceil());
    }
    for (factor, cores) in cores_by_factor {
        figure.today = figure.today.plus(cores.times(factor).ceil());
    }
    figure
}

/// "sum over distinct users, not builtin, of their largest usage quantity on installations counted".
fn users(world: &World, left: &[Taken]) -> BTreeMap<String, Number> {
    let mut users: BTreeMap<String, Number> = BTreeMap::new();
    for taken in left {
        for ((application, device, user), quantity) in &world.estate.usage {
            if *application == taken.application && *device == taken.device && !builtin(world, user) {
                let largest = users.entry(user.clone()).or_insert(*quantity);
                *largest = quantity.max(largest).to_owned();
            }
        }
    }
    users
}

fn builtin(world: &World, user: &str) -> bool {
    world.estate.users.get(user).is_some_and(|user| user.builtin)
}

/// "`socket` sum of processors of the servers (a partition's server is its charged device if known)".
fn sockets(world: &World, licence: &Licence, left: &[Taken]) -> Number {
    let billed = billed(world, licence, left);
    let partitions = billed.partitions.iter().map(|id| server_of(world, world.device(id)).device.clone());
    let servers: BTreeSet<String> = billed.whole.iter().cloned().chain(partitions).collect();
    servers.iter().filter_map(|server| world.device(server).processors).fold(Number::ZERO, Number::plus)
}

/// "`server`: sum over servers (a partition's server is its charged device if known) of max(minimum, users of the
/// installations charged there); for a cloud VM minimum x ceil(capacity / 8)."
fn by_server(world: &World, licence: &Licence, left: &[Taken]) -> Number {
    let minimum = licence.minimum.unwrap_or(Number::ZERO);
    let billed = billed(world, licence, left);
    let mut charged: BTreeMap<String, Vec<Taken>> = billed.whole.iter().map(|id| (id.clone(), Vec::new())).collect();
    for taken in left {
        let server = server_of(world, world.device(&taken.device));
        charged.entry(server.device.clone()).or_default().push(taken.clone());
    }
    let mut sum = Number::ZERO;
    for (server, installations) in charged {
        let server = world.device(&server);
        let users = users(world, &installations).values().fold(Number::ZERO, |sum, quantity| sum.plus(*quantity));
        let least = if server.vm && server.cloud() {
            let capacity = capacity(server).unwrap_or(Number::ZERO);
            minimum.times(capacity.ceil_div(Number::whole(8)))
        } else {
            minimum
        };
        sum = sum.plus(least.max(users));
    }
    sum
}

/// "16: the server or partition billed (a partition swallowed by its server: the server)" (section 8). An exempt or
/// supplementary installation has the unit it would have; the device itself when no charged device is known.
pub fn unit_of(world: &World, licence: &Licence, device: &str, figure: &Figure) -> Unit {
    let row = world.device(device);
    let charged = charged_device(world, device).unwrap_or(row);
    let server = Unit::device(&charged.device);
    // A server has a unit of its own exactly when it is billed whole: a partition is never anyone's charged device.
    if is_partition(licence, row) && !figure.consumed.contains_key(&server) { Unit::device(device) } else { server }
}

/// "17: the users (consumed = quantity; builtin users are left out)" (section 8).
pub fn users_of(world: &World, taken: &Taken) -> BTreeSet<Unit> {
    users(world, std::slice::from_ref(taken)).keys().map(|user| Unit::user(user)).collect()
}
