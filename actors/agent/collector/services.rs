//! The services systemd knows: which program, as whom, started at boot or not, running or not.
//!
//! Whether a service runs is read from the control groups, where each running one has a folder; systemd is not asked.
//! On a host that was not started by systemd nothing is known of that, and the state stays empty.

use std::collections::{BTreeMap, BTreeSet};

use muster::formats::host::systemd::{UNIT_BYTES_LIMIT, Unit, is_template, read_unit, template_of};

use super::host_root::{EntryKind, HostRoot, WalkLimits};
use super::record::ServiceRecord;

/// Folders of unit files, least important first: a file in a later one hides that of the same name.
const FOLDERS: [&str; 5] = [
    "lib/systemd/system",
    "usr/lib/systemd/system",
    "usr/local/lib/systemd/system",
    "run/systemd/system",
    "etc/systemd/system",
];

const SERVICES_LIMIT: usize = 20_000;

#[derive(Default)]
struct Units {
    /// Unit file of each name; `None` for a masked one.
    files: BTreeMap<String, Option<String>>,
    /// Drop-ins of each name, by their own name.
    drop_ins: BTreeMap<String, BTreeMap<String, String>>,
    /// Names that a target wants, and so starts.
    wanted: BTreeSet<String>,
}

/// All services, by name; of a template its wanted instances.
pub fn services(host: &HostRoot) -> Vec<ServiceRecord> {
    let mut units = Units::default();
    for folder in FOLDERS {
        units.read_folder(host, folder);
    }
    let running = running_services(host);
    let instances = units.wanted.iter().filter(|name| template_of(name).is_some());
    let plain = units.files.keys().filter(|name| !is_template(name));
    let names: BTreeSet<&String> = plain.chain(instances).collect();
    if names.len() > SERVICES_LIMIT {
        host.report("etc/systemd/system", format_args!("more than {SERVICES_LIMIT} services, read up to there"));
    }
    names.into_iter().take(SERVICES_LIMIT).filter_map(|name| units.record(host, name, running.as_ref())).collect()
}

impl Units {
    fn read_folder(&mut self, host: &HostRoot, folder: &str) {
        for (name, kind) in host.list(folder) {
            let path = format!("{folder}/{name}");
            if name.ends_with(".wants") || name.ends_with(".requires") {
                self.wanted
                    .extend(host.list(&path).into_iter().map(|(name, _)| name).filter(|n| n.ends_with(".service")));
            } else if let Some(unit) = name.strip_suffix(".d").filter(|unit| unit.ends_with(".service")) {
                let drop_ins =
                    host.list(&path).into_iter().map(|(name, _)| name).filter(|name| name.ends_with(".conf"));
                let drop_ins = drop_ins.map(|name| (name.clone(), format!("{path}/{name}")));
                self.drop_ins.entry(unit.into()).or_default().extend(drop_ins);
            } else if name.ends_with(".service") {
                match (kind, host.read_link(&path)) {
                    (EntryKind::Link, Some(target)) if target == "/dev/null" => _ = self.files.insert(name, None),
                    // A link to a unit of another name is an alias of that one.
                    (EntryKind::Link, Some(target)) if target.rsplit('/').next() != Some(&name) => {}
                    (EntryKind::File | EntryKind::Link, _) => _ = self.files.insert(name, Some(path)),
                    _ => {}
                }
            }
        }
    }

    fn record(&self, host: &HostRoot, name: &str, running: Option<&BTreeSet<String>>) -> Option<ServiceRecord> {
        let template = template_of(name);
        let file = self.files.get(name).or_else(|| self.files.get(template.as_ref()?))?;
        let mut unit = Unit::default();
        if let Some(path) = file {
            unit = read_unit(&host.read_or_empty(path, UNIT_BYTES_LIMIT), unit);
            let of_template = template.iter().filter_map(|template| self.drop_ins.get(template));
            for path in of_template.chain(self.drop_ins.get(name)).flat_map(BTreeMap::values) {
                unit = read_unit(&host.read_or_empty(path, UNIT_BYTES_LIMIT), unit);
            }
        }
        let start_mode = match file {
            None => "disabled",
            Some(_) if self.wanted.contains(name) => "auto",
            Some(_) => "manual",
        };
        let state = match running.map(|running| running.contains(name)) {
            Some(true) => "running",
            Some(false) => "stopped",
            None => "",
        };
        Some(ServiceRecord {
            name: name.trim_end_matches(".service").into(),
            state,
            start_mode,
            account: if file.is_some() { unit.account(name) } else { String::new() },
            path: unit.executable,
        })
    }
}

/// Names of the services with processes; `None` where systemd did not start the host, or its groups are not there.
fn running_services(host: &HostRoot) -> Option<BTreeSet<String>> {
    if !host.exists("run/systemd/system") {
        return None;
    }
    let slice = ["sys/fs/cgroup/system.slice", "sys/fs/cgroup/systemd/system.slice"];
    let slice = slice.into_iter().find(|slice| host.exists(slice))?;
    let limits = WalkLimits { depth: 4, entries: 200_000 };
    let groups = host.walk(slice, limits, |_| true, |name| name == "cgroup.procs");
    let mut running = BTreeSet::new();
    for group in groups.iter().filter_map(|procs| procs.strip_suffix("/cgroup.procs")) {
        // Processes may sit deeper: a service with its own groups has none at the top.
        let Some(service) = group.split('/').find(|folder| folder.ends_with(".service")) else { continue };
        if host.has_bytes(&format!("{group}/cgroup.procs")) {
            running.insert(service.to_owned());
        }
    }
    Some(running)
}
