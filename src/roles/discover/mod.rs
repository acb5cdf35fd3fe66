//! Decides from plain facts which database services stand on a host, and writes them down as a discovery.
//!
//! | service | type | shows by | needs |
//! | --- | --- | --- | --- |
//! | Oracle instance | `OracleDatabase`, `OracleASM` | `ora_pmon_SID` and its kin, `oratab` | settings, root on UNIX |
//! | Oracle listener | `OracleListener` | `tnslsnr NAME` | the same |
//! | PostgreSQL | `PostgreSQL` | `postgres`, `postmaster` | - |
//! | MySQL, MariaDB | `MySQL`, `MariaDB` | `mysqld`, `mariadbd` | - |
//! | SQL Server | `SQLServer` | `sqlservr` | - |
//!
//! A program's path decides where it is known, since anybody can name a process; the processes of one server are one
//! service. No argument and no variable of a process is reported: the facts do not hold any. Which instances a
//! listener serves is not told, since only the listener knows.
//!
//! A host without any service has a discovery too, one without services. The caller sends it when the one before had
//! some, so that a server that was removed does not stand on its device for ever.
//!
//! Source: operating document "Adopted: Normal Operation", step 6 (Oracle and its conditions); the other products, and
//! all words of the discovery, are this project's (`agent-beacon-batch` reference, section 6).

mod database;
mod facts;
mod oracle;
mod version;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use self::facts::{HostFacts, OwnedSocket, Process, owned_sockets};
pub use self::oracle::{Oracle, OracleInstance, OracleListener, OracleSkipped};

use self::database::{Database, databases};
use self::oracle::join;
use crate::formats::disco::{Address, Device, Disco, DiscoSource, Instance, SERVICES_MAX, Service, ServiceProperty};
use crate::time::Timestamp;

/// The registered port of Oracle's listener.
const ORACLE_PORT: u16 = 1521;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The discovery: one device, the host itself.
    pub disco: Disco,
    /// Oracle for the second inventory, or why it was not looked for.
    pub oracle: Result<Oracle, OracleSkipped>,
}

/// Decides which services stand on the host. Equal facts in any order give equal discoveries.
pub fn discover(facts: &HostFacts, now: Timestamp) -> Discovered {
    let oracle = oracle::oracle(facts);
    let mut services = Vec::new();
    if let Ok(oracle) = &oracle {
        services.extend(oracle.instances.iter().map(instance_service));
        services.extend(oracle.listeners.iter().map(listener_service));
    }
    services.extend(databases(facts).iter().map(database_service));
    services.sort_by(|a, b| (&a.kind, &a.name, a.port, &a.properties).cmp(&(&b.kind, &b.name, b.port, &b.properties)));
    services.truncate(SERVICES_MAX);
    let disco = Disco {
        source: DiscoSource::Agent,
        machine_name: facts.machine_name.clone(),
        // Files hold whole seconds.
        collected_at: Some(Timestamp(now.0.div_euclid(1_000).saturating_mul(1_000))),
        machine_id: facts.agent,
        tenant_uid: String::new(),
        devices: vec![Device {
            name: facts.machine_name.clone(),
            domain: facts.domain.clone(),
            device_type: "Computer".into(),
            addresses: reachable(&facts.addresses),
            services,
        }],
    };
    Discovered { disco, oracle }
}

fn instance_service(instance: &OracleInstance) -> Service {
    let (state, status) = if instance.is_running { ("running", "RUNNING") } else { ("stopped", "STOPPED") };
    Service {
        kind: if instance.sid.starts_with('+') { "OracleASM" } else { "OracleDatabase" }.into(),
        name: instance.sid.clone(),
        port: None,
        version: instance.version.clone(),
        state: state.into(),
        properties: properties(&[
            ("OracleHome", &instance.home),
            ("UserId", &instance.uid.map(|uid| uid.to_string()).unwrap_or_default()),
        ]),
        instances: vec![Instance { name: instance.sid.clone(), status: status.into() }],
    }
}

fn listener_service(listener: &OracleListener) -> Service {
    let (port, others) = main_port(&listener.ports, ORACLE_PORT);
    Service {
        kind: "OracleListener".into(),
        name: listener.name.clone(),
        port,
        version: listener.version.clone(),
        state: "running".into(),
        properties: properties(&[
            ("OracleHome", &listener.home),
            ("OtherPorts", &join(&others)),
            ("ListensOn", &join(&listener.listens_on)),
            ("UserId", &listener.uid.to_string()),
        ]),
        instances: Vec::new(),
    }
}

fn database_service(database: &Database) -> Service {
    let Database { product, family, version } = database;
    let (port, others) = main_port(&family.ports, product.port);
    let executable = family.head.executable.strip_suffix(" (deleted)").unwrap_or(&family.head.executable);
    Service {
        kind: product.kind.into(),
        name: product.name.into(),
        port,
        version: version.clone(),
        state: "running".into(),
        properties: properties(&[
            ("Executable", executable),
            ("OtherPorts", &join(&others)),
            ("ListensOn", &join(&family.listens_on)),
            ("UserId", &family.head.uid.to_string()),
        ]),
        instances: Vec::new(),
    }
}

/// Those that are not empty.
fn properties(list: &[(&str, &str)]) -> Vec<ServiceProperty> {
    let known = list.iter().filter(|(_, value)| !value.is_empty());
    known.map(|&(name, value)| ServiceProperty { name: name.into(), value: value.into() }).collect()
}

/// The registered port when it is among them, else the lowest; and the others.
fn main_port(ports: &[u16], registered: u16) -> (Option<u16>, Vec<u16>) {
    let main = ports.iter().copied().find(|&port| port == registered).or(ports.first().copied());
    (main, ports.iter().copied().filter(|&port| Some(port) != main).collect())
}

/// The addresses by which others reach the host, ascending, each once: none of the loopback, none of one link only.
fn reachable(addresses: &[Address]) -> Vec<Address> {
    let is_reachable = |address: &&Address| match address.value {
        IpAddr::V4(value) => {
            !(value.is_loopback() || value.is_unspecified() || value.is_link_local() || value.is_multicast())
        }
        IpAddr::V6(value) => {
            !(value.is_loopback() || value.is_unspecified() || value.is_unicast_link_local() || value.is_multicast())
        }
    };
    let mut list: Vec<Address> = addresses.iter().filter(is_reachable).cloned().collect();
    list.sort();
    list.dedup_by(|a, b| a.value == b.value);
    list.truncate(crate::formats::disco::ADDRESSES_MAX);
    list
}
