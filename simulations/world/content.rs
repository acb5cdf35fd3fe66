//! True bytes of simulated packages, for runs in which nodes store them in their deployed logs.
//!
//! An inventory is a function of its package: the machine's name, serial number and operating system, the titles that the
//! template gives it, and the package's number as kernel version, so that no two are equal.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use muster::formats::gzip;
use muster::formats::ndi::{Hardware, Head, NdiWriter, Package, Property};
use muster::id::{Digest, Guid, TenantId};
use muster::model::package::{Envelope, Hop, Kind, Origin, PackageKey, Sequence, Stream};
use muster::model::software::Title;
use muster::model::stored;
use muster::time::Timestamp;

use super::event::{PackageId, Parcel};
use super::layout::Layout;
use crate::scenario::Scenario;

/// Bodies that are remembered: each is asked for some times on its way.
const BODIES_MAX: usize = 2_000;
/// How file names end.
const ENDING: &str = ".ndi.gz";

/// The only tenant.
pub fn tenant() -> TenantId {
    TenantId::default_tenant()
}

/// The stream that every agent publishes.
pub fn stream() -> Stream {
    Stream::new(Kind::Inventories, "root", "Full")
}

/// The origin of an agent's packages.
pub fn origin(agent: u32) -> Origin {
    Origin(format!("agent-{agent}").into())
}

/// The computer name of a machine.
pub fn name(machine: u32) -> String {
    format!("pc{machine}")
}

/// The serial number of a machine.
pub fn serial(machine: u32) -> String {
    format!("SN-{machine:08}")
}

/// What every source says of a machine of this name.
pub fn computer(name: &str) -> [Property<'_>; 4] {
    [("Name", name), ("Manufacturer", "Acme"), ("Model", "M1"), ("ComputerType", "Computer")]
        .map(|(name, value)| Property { name, value })
}

/// The machine of a computer name.
pub fn machine_of(name: &str) -> Option<u32> {
    name.strip_prefix("pc")?.parse().ok()
}

/// The title of a rank.
pub fn title(rank: u32) -> Title {
    let (version, publisher) = (format!("{}.{}", rank % 9 + 1, rank % 7), format!("Publisher {}", rank % 97));
    Title::new(&format!("Product {rank}"), &version, &publisher, "pkg")
}

/// A body and its digest, and of which collection it is.
type Known = (Timestamp, Bytes, Digest);

/// See the module's head.
pub struct Contents {
    pub(super) seed: u64,
    pub(super) scenario: Arc<Scenario>,
    pub(super) layout: Arc<Layout>,
    /// How often titles are drawn.
    table: Vec<f64>,
    known: Mutex<HashMap<PackageId, Known>>,
}

impl Contents {
    /// Those of a run.
    pub fn new(seed: u64, scenario: Arc<Scenario>, layout: Arc<Layout>) -> Contents {
        let table = scenario.packages.as_ref().map(|packages| packages.table()).unwrap_or_default();
        Contents { seed, scenario, layout, table, known: Mutex::default() }
    }

    /// The operating system of a machine; empty where the template names none.
    pub fn system(&self, machine: u32) -> &str {
        let template = &self.scenario.template;
        template.systems.get(template.system_of(self.seed, machine)).map_or("", |system| &system.name)
    }

    /// Ranks of the titles of a machine.
    pub fn titles(&self, machine: u32) -> BTreeSet<u32> {
        let packages = self.scenario.packages.as_ref();
        packages.map(|packages| packages.of(&self.table, self.seed, machine)).unwrap_or_default()
    }

    fn inventory(&self, parcel: &Parcel) -> io::Result<Vec<u8>> {
        let machine = self.layout.machines.machine_of(parcel.id.agent);
        let (name, stamp) = (name(machine), parcel.collected.to_stamp());
        let head = Head {
            tracker: "1",
            audience: "Machine",
            machine_name: &name,
            user_name: "root",
            has_hardware: true,
            has_software: true,
            date_time: &stamp,
            kind: "Full",
            ..Head::default()
        };
        let mut ndi = NdiWriter::new(Vec::new(), &head)?;
        let (serial, number) = (serial(machine), parcel.id.number.to_string());
        let of = |name, value| Property { name, value };
        let mut hardware = |class, properties: &[Property<'_>]| {
            ndi.hardware(&Hardware { class, name: &name, evidence: "dmi", ..Hardware::default() }, properties)
        };
        hardware("MGS_ComputerSystem", &computer(&name))?;
        hardware("MGS_BIOS", &[of("SerialNumber", &serial)])?;
        hardware("MGS_OperatingSystem", &[of("Caption", self.system(machine)), of("KernelVersion", &number)])?;
        for rank in self.titles(machine) {
            let title = title(rank);
            let package = Package {
                name: title.name(),
                version: title.version(),
                publisher: title.publisher(),
                evidence: title.evidence(),
                ..Package::default()
            };
            ndi.package(&package, &[])?;
        }
        ndi.finish()
    }

    fn body(&self, parcel: &Parcel) -> (Bytes, Digest) {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((collected, body, digest)) = known.get(&parcel.id)
            && *collected == parcel.collected
        {
            return (body.clone(), *digest);
        }
        let xml = self.inventory(parcel).expect("a vector takes every byte");
        let body = Bytes::from(gzip::compress(&xml));
        let digest = Digest::of(&body);
        if known.len() >= BODIES_MAX {
            known.clear();
        }
        known.insert(parcel.id, (parcel.collected, body.clone(), digest));
        (body, digest)
    }

    /// The envelope of a parcel, as a node that took custody of it writes it, and its body.
    pub fn package(&self, parcel: &Parcel) -> (Envelope, Bytes) {
        let (body, digest) = self.body(parcel);
        let PackageId { agent, number } = parcel.id;
        let envelope = Envelope {
            origin: origin(self.layout.machines.origin_of(agent)),
            kind: Kind::Inventories,
            stream: Some(stream()),
            file_name: format!("{agent}-{number}{ENDING}").into(),
            size: body.len() as u64,
            digest,
            sequence: Some(Sequence { epoch: 1, number: u64::from(number) }),
            collected_at: Some(parcel.collected),
            first_received: parcel.first_received,
            unproven: true,
            hops: vec![Hop { node: Guid::NIL, received: parcel.first_received }; usize::from(parcel.hops)],
        };
        (envelope, body)
    }

    /// Key, head and body as the package log takes them.
    pub fn stored_form(&self, parcel: &Parcel) -> (Bytes, Bytes, Bytes) {
        let (envelope, body) = self.package(parcel);
        (envelope.key().encode(&tenant()).into(), stored::pack(&envelope).into(), body)
    }

    /// The key of a parcel.
    pub fn key(&self, parcel: &Parcel) -> PackageKey {
        self.package(parcel).0.key()
    }
}

/// The parcel that an envelope was made of; `None` for one of another maker. Sizes are those of the simulation and not of
/// true bodies, so they are told.
pub fn parcel(envelope: &Envelope, bytes: u32) -> Option<Parcel> {
    // Of two machines with one disk image the origin tells nothing.
    let (agent, number) = envelope.file_name.strip_suffix(ENDING)?.split_once('-')?;
    let id = PackageId { agent: agent.parse().ok()?, number: number.parse().ok()? };
    let (hops, collected) = (envelope.hops.len() as u8, envelope.collected_at?);
    let first_received = envelope.first_received;
    // Clocks are all that an envelope knows.
    Some(Parcel { id, bytes, hops, collected, first_received, made: collected, taken: first_received })
}
