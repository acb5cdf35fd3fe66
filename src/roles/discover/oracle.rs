//! Oracle: which instances and listeners stand on this host, from evidence that needs no login.
//!
//! An instance shows by its process monitor (`ora_pmon_SALES`, `db_pmon_SALES`), a listener by its program and the
//! name behind it (`tnslsnr LISTENER`), and `oratab` names what was set up, running or not. None of it is looked at
//! unless policy delivered inventory settings that enable it, and on UNIX only as root.
//!
//! Source: operating document "Adopted: Normal Operation", step 6; `agent-beacon-batch` reference, sections 1.4 and 4.3.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

use super::facts::{HostFacts, Process, families, file_name};
use super::version;
use crate::formats::host::oratab::{OratabEntry, is_sid};
use crate::formats::inventory_settings::ORACLE_INVENTORY;
use crate::formats::ndi::{Head, NdiWriter, Property, ServiceProvider};

/// What the process monitor of an instance is called, the name of the instance left out. `ora` is the usual one, `db`
/// that of newer releases, `asm` the storage manager, `mdb` the management database, `xe` the express edition.
const MONITORS: [&str; 5] = ["ora_pmon_", "db_pmon_", "asm_pmon_", "mdb_pmon_", "xe_pmon_"];
/// The program of an instance.
const PROGRAM: &str = "oracle";
/// The listener's program, and its name when it was given none.
const LISTENER: (&str, &str) = ("tnslsnr", "LISTENER");

/// Why nothing was looked for. Each text can stand in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OracleSkipped {
    /// `InventorySettings.xml`, or the preference that says where it is, is missing.
    #[error("Oracle is not looked for: there are no inventory settings")]
    NoSettings,
    /// The settings do not enable it.
    #[error("Oracle is not looked for: the inventory settings do not enable {ORACLE_INVENTORY}")]
    NotEnabled,
    /// On UNIX only root may look.
    #[error("Oracle is not looked for: the agent does not run as root")]
    NotRoot,
}

/// Oracle on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oracle {
    /// Instances, ascending by name and home.
    pub instances: Vec<OracleInstance>,
    /// Listeners, ascending by name and home.
    pub listeners: Vec<OracleListener>,
}

/// One instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OracleInstance {
    /// Its name; that of the storage manager begins with `+`.
    pub sid: String,
    /// Where its programs are; empty when not known.
    pub home: String,
    /// As the home's path tells it; empty when it does not.
    pub version: String,
    /// Whether its process monitor runs.
    pub is_running: bool,
    /// What `oratab` says about starting it with the host; `None` when it is not listed.
    pub starts_with_host: Option<bool>,
    /// Account it runs as.
    pub uid: Option<u32>,
}

/// One listener; it runs, or it would not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OracleListener {
    /// Its name.
    pub name: String,
    /// Where its programs are; empty when not known.
    pub home: String,
    /// As the home's path tells it; empty when it does not.
    pub version: String,
    /// Its ports, ascending.
    pub ports: Vec<u16>,
    /// Addresses it listens on.
    pub listens_on: Vec<IpAddr>,
    /// Account it runs as.
    pub uid: u32,
}

/// Looks for Oracle, or says why not.
pub(super) fn oracle(facts: &HostFacts) -> Result<Oracle, OracleSkipped> {
    facts.may_look_for_oracle()?;
    Ok(Oracle { instances: instances(facts), listeners: listeners(facts) })
}

/// Whether `process` can be a monitor or a listener, its title not known yet. Old releases leave the kernel's name that
/// of the program.
pub(super) fn can_be(process: &Process) -> bool {
    match file_name(&process.executable) {
        "" => {
            let is_monitor = MONITORS.iter().any(|prefix| process.name.starts_with(prefix));
            is_monitor || process.name == PROGRAM || process.name == LISTENER.0
        }
        file => file == PROGRAM || file == LISTENER.0,
    }
}

/// The instance whose monitor `process` is. Its title has the whole name, the kernel's is cut to 15 bytes; and whose
/// program is known to be another one only pretends.
fn monitored(process: &Process) -> Option<&str> {
    let titles = [process.title.as_str(), process.name.as_str()];
    let sid = titles.into_iter().find_map(|text| MONITORS.iter().find_map(|prefix| text.strip_prefix(prefix)))?;
    let is_oracle = process.executable.is_empty() || file_name(&process.executable) == PROGRAM;
    (is_oracle && is_sid(sid)).then_some(sid)
}

/// The home that the path of one of its programs names: what stands before `/bin/oracle`.
fn home_of(process: &Process) -> &str {
    let folder = process.executable.rsplit_once('/').map_or("", |(folder, _)| folder);
    folder.strip_suffix("/bin").unwrap_or("")
}

fn instances(facts: &HostFacts) -> Vec<OracleInstance> {
    let mut found: BTreeMap<(String, String), OracleInstance> = BTreeMap::new();
    let mut monitors: Vec<(&Process, &str)> =
        facts.processes.iter().filter_map(|process| Some((process, monitored(process)?))).collect();
    // Of two that claim one name the older process counts.
    monitors.sort_by_key(|(process, _)| process.pid);
    for (process, sid) in monitors {
        let entry = facts.oratab.iter().find(|entry| is_entry_of(entry, sid));
        let home = match home_of(process) {
            "" => entry.map_or("", |entry| &entry.home),
            home => home,
        };
        let instance = OracleInstance {
            sid: sid.into(),
            home: home.into(),
            version: version::of_path(home),
            is_running: true,
            starts_with_host: entry.map(|entry| entry.starts_with_host),
            uid: Some(process.uid),
        };
        found.entry((sid.into(), home.into())).or_insert(instance);
    }
    let running: Vec<String> = found.keys().map(|(sid, _)| sid.clone()).collect();
    for entry in &facts.oratab {
        let Some(sid) = &entry.sid else { continue };
        if running.iter().any(|known| is_entry_of(entry, known)) {
            continue;
        }
        let instance = OracleInstance {
            sid: sid.clone(),
            home: entry.home.clone(),
            version: version::of_path(&entry.home),
            is_running: false,
            starts_with_host: Some(entry.starts_with_host),
            uid: None,
        };
        found.entry((sid.clone(), entry.home.clone())).or_insert(instance);
    }
    found.into_values().collect()
}

/// Whether the entry is that of instance `sid`. In a cluster it names the database, and the instances number it:
/// `SALES` for `SALES1`, `SALES_2`.
fn is_entry_of(entry: &OratabEntry, sid: &str) -> bool {
    let Some(rest) = entry.sid.as_deref().and_then(|known| sid.strip_prefix(known)) else { return false };
    let digits = rest.strip_prefix('_').unwrap_or(rest);
    rest.is_empty() || (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn listeners(facts: &HostFacts) -> Vec<OracleListener> {
    let (program, unnamed) = LISTENER;
    let is_listener = |process: &Process| match file_name(&process.executable) {
        "" => process.name == program && process.title == program,
        file => file == program,
    };
    let mut listeners: Vec<OracleListener> = families(facts, is_listener)
        .into_iter()
        .map(|family| OracleListener {
            name: if family.head.listener.is_empty() { unnamed } else { &family.head.listener }.into(),
            home: home_of(family.head).into(),
            version: version::of_path(home_of(family.head)),
            ports: family.ports,
            listens_on: family.listens_on,
            uid: family.head.uid,
        })
        .collect();
    listeners.sort_by(|a, b| (&a.name, &a.home, &a.ports).cmp(&(&b.name, &b.home, &b.ports)));
    listeners
}

impl Oracle {
    /// Whether there is nothing to tell, so that no second inventory is made.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.listeners.is_empty()
    }

    /// Writes the second inventory, an `.ndi` of type `Oracle`: a provider for each instance and listener. Databases,
    /// options and users would stand inside, but what they are only a login tells.
    ///
    /// Of `head` the machine, the account and the time are taken; type and sections are those of this file.
    pub fn write_ndi<W: Write>(&self, out: W, head: &Head) -> io::Result<W> {
        let head =
            Head { kind: "Oracle", has_hardware: false, has_software: false, has_service_providers: true, ..*head };
        let mut ndi = NdiWriter::new(out, &head)?;
        let flag = |flag: bool| if flag { "True" } else { "False" };
        for instance in &self.instances {
            let uid = instance.uid.map(|uid| uid.to_string()).unwrap_or_default();
            let state = if instance.is_running { "running" } else { "stopped" };
            let properties = [
                ("OracleHome", instance.home.as_str()),
                ("State", state),
                ("InOratab", flag(instance.starts_with_host.is_some())),
                ("StartsWithHost", instance.starts_with_host.map_or("", flag)),
                ("UserId", &uid),
            ];
            provider(&mut ndi, "OracleInstance", &instance.sid, &instance.version, &properties)?;
        }
        for listener in &self.listeners {
            let (ports, listens_on) = (join(&listener.ports), join(&listener.listens_on));
            let uid = listener.uid.to_string();
            let properties = [
                ("OracleHome", listener.home.as_str()),
                ("State", "running"),
                ("Ports", &ports),
                ("ListensOn", &listens_on),
                ("UserId", &uid),
            ];
            provider(&mut ndi, "OracleListener", &listener.name, &listener.version, &properties)?;
        }
        ndi.finish()
    }
}

/// Properties that are empty are left out.
fn provider<W: Write>(
    ndi: &mut NdiWriter<W>,
    kind: &str,
    name: &str,
    version: &str,
    properties: &[(&str, &str)],
) -> io::Result<()> {
    let known = properties.iter().filter(|(_, value)| !value.is_empty());
    let known: Vec<Property> = known.map(|&(name, value)| Property { name, value }).collect();
    ndi.begin_provider(&ServiceProvider { kind, name, version }, &known)?;
    ndi.end_provider()
}

/// A list as one value of a property.
pub(super) fn join<T: ToString>(list: &[T]) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(";")
}
