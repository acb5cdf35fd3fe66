//! What nodes left on their disks, read while none of them runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use muster::id::{Digest, TenantId};
use muster::model::aside::AsideFact;
use muster::model::device::DeviceFact;
use muster::model::fact::{FactKey, FactKind};
use muster::model::package::{Envelope, Origin, PackageKey};
use muster::model::settlement::Settlement;
use muster::model::staged::StagedRecord;
use muster::model::stored;
use muster::upload::ledger::StreamLedger;
use muster_actors::log::{Disk, FactIndex, Facts, FolderDisk, Packages, SEGMENT_BYTES};

use super::KillError;
use super::hierarchy::Role;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub struct Stores {
    /// The server's entries.
    pub settled: BTreeMap<PackageKey, Settlement>,
    /// Its ledgers.
    pub ledgers: Vec<(Origin, StreamLedger)>,
    /// Its staged records.
    pub records: Vec<StagedRecord>,
    /// Its devices.
    pub devices: Vec<DeviceFact>,
    /// What each node has in its package log, and whether that is what the key says.
    pub packages: BTreeMap<Role, BTreeMap<PackageKey, bool>>,
    /// What each beacon has set aside, and why.
    pub aside: BTreeMap<Role, Vec<String>>,
    /// What nodes hold and cannot be read.
    pub unreadable: Vec<String>,
    /// Lines of panics in the logs.
    pub panics: Vec<String>,
}

impl Stores {
    /// Reads those below `folder`.
    pub fn read(folder: &Path) -> Result<Stores, KillError> {
        let mut stores = Stores::default();
        for role in Role::ALL {
            let log = std::fs::read_to_string(folder.join(format!("{}.log", role.as_str()))).unwrap_or_default();
            let panics = log.lines().filter(|line| line.contains("panicked at"));
            stores.panics.extend(panics.map(|line| format!("the {}: {line}", role.as_str())));
        }
        for role in Role::RECEIVERS {
            let packages = packages(folder, role, &mut stores.unreadable)?;
            stores.packages.insert(role, packages);
        }
        for role in Role::BEACONS {
            let aside: Vec<((), AsideFact)> = all(role, &facts(folder, role)?, FactKind::Aside, |_| Some(()))?;
            stores.aside.insert(role, aside.into_iter().map(|((), fact)| format!("{:?}", fact.why)).collect());
        }
        let (server, facts) = (Role::Server, facts(folder, Role::Server)?);
        let package = |key| if let FactKey::Package(_, package) = key { Some(package) } else { None };
        stores.settled = all(server, &facts, FactKind::Package, package)?.into_iter().collect();
        let origin = |key| if let FactKey::Ledger(_, origin, _) = key { Some(origin) } else { None };
        stores.ledgers = all(server, &facts, FactKind::Ledger, origin)?;
        let records = all(server, &facts, FactKind::Record, |_| Some(()))?;
        stores.records = records.into_iter().map(|((), record)| record).collect();
        let devices = all(server, &facts, FactKind::Device, |_| Some(()))?;
        stores.devices = devices.into_iter().map(|((), device)| device).collect();
        Ok(stores)
    }

    /// What another reading has that this has not, or the other way round.
    pub fn differences(&self, later: &Stores) -> Vec<String> {
        let mut found = Vec::new();
        if self.settled != later.settled {
            found.push(format!("{} entries at the server became {}", self.settled.len(), later.settled.len()));
        }
        if self.ledgers != later.ledgers {
            found.push("the server's ledgers changed".to_owned());
        }
        if self.records != later.records {
            found.push(format!("{} staged records changed, now {}", self.records.len(), later.records.len()));
        }
        if self.devices != later.devices {
            found.push(format!("{} devices changed, now {}", self.devices.len(), later.devices.len()));
        }
        for (role, aside) in &self.aside {
            if later.aside.get(role) != Some(aside) {
                found.push(format!("what the {} has set aside changed", role.as_str()));
            }
        }
        for (role, packages) in &self.packages {
            if later.packages.get(role) != Some(packages) {
                found.push(format!("the packages of the {} changed", role.as_str()));
            }
        }
        found
    }
}

fn failed(role: Role) -> impl Fn(&dyn std::fmt::Display) -> KillError {
    move |why| KillError::Store { role: role.as_str(), why: why.to_string() }
}

fn disk(folder: &Path, role: Role, log: &str) -> Result<Arc<dyn Disk>, KillError> {
    let path = folder.join(role.as_str()).join(log);
    Ok(Arc::new(FolderDisk::open(&path).map_err(|error| failed(role)(&error))?))
}

fn facts(folder: &Path, role: Role) -> Result<FactIndex, KillError> {
    let opened = Facts::open(disk(folder, role, "facts")?, SEGMENT_BYTES, 1);
    Ok(opened.map_err(|error| failed(role)(&error))?.0.index())
}

fn packages(folder: &Path, role: Role, unreadable: &mut Vec<String>) -> Result<BTreeMap<PackageKey, bool>, KillError> {
    let opened = Packages::open(disk(folder, role, "packages")?, SEGMENT_BYTES, 1);
    let index = opened.map_err(|error| failed(role)(&error))?.0.index();
    let tenant = TenantId::default_tenant();
    let mut found = BTreeMap::new();
    for held in index.after(None, usize::MAX) {
        let read = index.read(held.handle).and_then(Result::ok);
        let envelope = read.as_ref().and_then(|record| stored::unpack::<Envelope>(&record.head).ok());
        let Some((record, envelope)) = read.zip(envelope) else {
            unreadable.push(format!("the {} holds {:?} and cannot read it", role.as_str(), held.key));
            continue;
        };
        let is_whole = Digest::of(&record.body) == envelope.digest && envelope.key().encode(&tenant) == *held.key;
        found.insert(envelope.key(), is_whole);
    }
    Ok(found)
}

fn all<K, T: serde::de::DeserializeOwned>(
    role: Role,
    facts: &FactIndex,
    kind: FactKind,
    part: impl Fn(FactKey) -> Option<K>,
) -> Result<Vec<(K, T)>, KillError> {
    let (mut found, mut wrong) = (Vec::new(), None);
    let damaged = facts.each(&kind.prefix(None), |key, _, value| {
        match (FactKey::decode(key).and_then(&part), stored::unpack(&value)) {
            (Some(part), Ok(value)) => found.push((part, value)),
            (_, value) => wrong = Some(format!("a fact does not read: {:?}", value.err())),
        }
    });
    let wrong = wrong.or(damaged.into_iter().next().map(|(_, error)| error.to_string()));
    wrong.map_or(Ok(found), |why| Err(failed(role)(&why)))
}
