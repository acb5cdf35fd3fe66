//! `devices.csv` of a fleet: each device's row, with what an operator says of it, and hosts by the numbers of devices.

use hashbrown::{HashMap, HashSet};

use super::devices::DEVICES;
use super::fleet_device::{COLUMNS, FleetDevice, HOST};
use super::provenance::{Giver, ProvenanceTable};
use super::table::{FolderError, Table, text};
use super::write::{cell, push_row};
use crate::id::DeviceId;
use crate::model::pattern::fold;

/// The devices of a fleet while they come, ascending by number.
#[derive(Debug, Default)]
pub struct FleetDevices {
    text: String,
    ids: Vec<DeviceId>,
    /// Hosts of virtual machines, which are known when all devices are.
    holes: Vec<Hole>,
    /// Which machine has an identity; `None`: several.
    identities: HashMap<String, Option<DeviceId>>,
    names: FleetNames,
    /// What an operator says, by number or name, folded.
    said: HashMap<String, [String; COLUMNS]>,
    met: HashSet<String>,
    given: ProvenanceTable,
}

/// A host that is to be put in.
#[derive(Debug)]
struct Hole {
    /// Where in the text.
    place: usize,
    /// Of which device.
    guest: DeviceId,
    /// What is said of it, folded.
    host: String,
    /// Whether an operator says so.
    is_said: bool,
    giver: Option<Giver>,
}

/// Numbers of devices by their names: what operators write.
#[derive(Debug, Default)]
pub struct FleetNames {
    ids: HashSet<DeviceId>,
    /// Folded name, and name with domain; `None`: several devices.
    names: HashMap<String, Option<DeviceId>>,
}

/// The frozen devices.
#[derive(Debug)]
pub struct FleetTable {
    /// `devices.csv`.
    pub text: String,
    /// Numbers of the devices, in the order in which they came.
    pub ids: Vec<DeviceId>,
    /// By name.
    pub names: FleetNames,
    /// Devices that an operator speaks of and nobody has, ascending.
    pub unknown: Vec<String>,
    /// Devices that would run on themselves by way of their hosts, ascending: their hosts are left out.
    pub circular: Vec<DeviceId>,
    /// Who gave the cells.
    pub given: ProvenanceTable,
}

impl FleetNames {
    fn add(&mut self, device: &FleetDevice) {
        self.ids.insert(device.id);
        let full = (!device.domain.is_empty()).then(|| format!("{}.{}", device.name, device.domain));
        for name in [Some(&device.name), full.as_ref()].into_iter().flatten().filter(|name| !name.is_empty()) {
            once(&mut self.names, fold(name).into(), device.id);
        }
    }

    /// The device of this number, else the only one of this name.
    pub fn find(&self, text: &str) -> Option<DeviceId> {
        let number = text.parse().ok().map(DeviceId).filter(|id| self.ids.contains(id));
        number.or_else(|| self.names.get(&*fold(text)).copied().flatten())
    }
}

/// The guests that come back to themselves by way of their hosts, ascending. Each device is passed once.
fn circular(holes: &[Hole], hosts: &HashMap<DeviceId, DeviceId>) -> Vec<DeviceId> {
    let (mut passed, mut circular) = (HashSet::new(), Vec::new());
    for hole in holes {
        let (mut way, mut at) = (Vec::new(), hole.guest);
        while passed.insert(at) {
            way.push(at);
            let Some(&host) = hosts.get(&at) else { break };
            at = host;
        }
        // Met on this very way: from there on it is a circle.
        let closes = way.last().and_then(|last| hosts.get(last)) == Some(&at);
        let start = way.iter().position(|&device| device == at).filter(|_| closes);
        circular.extend(start.into_iter().flat_map(|start| way[start..].iter().copied()));
    }
    circular.sort_unstable();
    circular
}

/// Notes whose a text is; a text of two is nobody's.
fn once(known: &mut HashMap<String, Option<DeviceId>>, text: String, id: DeviceId) {
    known.entry(text).and_modify(|other| *other = other.filter(|&other| other == id)).or_insert(Some(id));
}

impl FleetDevices {
    /// No devices yet; `said` is the operator's table.
    pub fn new(said: Option<&[u8]>) -> Result<FleetDevices, FolderError> {
        let mut devices = FleetDevices::default();
        push_row(&mut devices.text, DEVICES.columns.iter().copied());
        let said = said.map(|bytes| text(&DEVICES, bytes)).transpose()?;
        if let Some(table) = said.map(|text| Table::open(&DEVICES, text)).transpose()?.flatten() {
            table.rows(|row| {
                let cells = std::array::from_fn(|column| row.text(column).to_owned());
                devices.said.insert(fold(row.text(0)).into(), cells);
                Ok(())
            })?;
        }
        Ok(devices)
    }

    /// Adds a device.
    pub fn add(&mut self, device: FleetDevice) {
        self.names.add(&device);
        for identity in &device.identities {
            once(&mut self.identities, identity.clone(), device.id);
        }
        let FleetDevice { id, name, domain, host, mut cells, given, .. } = device;
        let mut givers = given.map(|given| given.map(Giver::Record));
        let full = format!("{name}.{domain}");
        // The number counts before the name, and a name with its domain before one without.
        for key in [fold(&name).into(), fold(&full).into(), id.to_string()] {
            let Some(said) = self.said.get(&key) else { continue };
            for place in (1..COLUMNS).filter(|&place| !said[place].is_empty()) {
                cells[place].clone_from(&said[place]);
                givers[place] = Some(Giver::Operator);
            }
            self.met.insert(key);
        }
        self.ids.push(id);
        // Whether there is a host is known when all devices are.
        let giver = givers[HOST].take();
        self.given.device(id, &givers);
        let said_host = std::mem::take(&mut cells[HOST]);
        for (place, text) in cells.iter().enumerate() {
            if place > 0 {
                self.text.push(',');
            }
            if place == HOST {
                let host = if said_host.is_empty() { host.as_deref() } else { Some(&*said_host) };
                let is_said = !said_host.is_empty();
                let (place, giver) = (self.text.len(), giver.clone());
                self.holes.extend(host.map(|host| Hole { place, guest: id, host: fold(host).into(), is_said, giver }));
            }
            self.text.push_str(&cell(text));
        }
        self.text.push('\n');
    }

    /// Puts the hosts in.
    pub fn finish(self) -> FleetTable {
        let FleetDevices { text, ids, holes, identities, names, said, met, mut given } = self;
        let found = |hole: &Hole| {
            // A report may name any machine, itself too: only what is no guest can be the host that it means.
            let by_name = || names.find(&hole.host).filter(|_| hole.is_said);
            Some((hole.guest, identities.get(&hole.host).copied().flatten().or_else(by_name)?))
        };
        let mut hosts: HashMap<DeviceId, DeviceId> = holes.iter().filter_map(found).collect();
        let circular = circular(&holes, &hosts);
        circular.iter().for_each(|guest| _ = hosts.remove(guest));
        let (mut whole, mut from) = (String::with_capacity(text.len() + 8 * holes.len()), 0);
        for Hole { place, guest, giver, .. } in holes {
            whole.push_str(&text[from..place]);
            if let Some(host) = hosts.get(&guest) {
                whole.push_str(&host.to_string());
                given.cell(guest, HOST, giver);
            }
            from = place;
        }
        whole.push_str(&text[from..]);
        let mut unknown: Vec<String> =
            said.into_iter().filter(|(key, _)| !met.contains(key)).map(|(_, cells)| cells[0].clone()).collect();
        unknown.sort_unstable();
        FleetTable { text: whole, ids, names, unknown, circular, given }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::folder::{Folder, Source, with_library, with_numbers};
    use crate::model::software::Application;

    fn device(id: u64, name: &str, host: Option<&str>, identity: &str) -> FleetDevice {
        let mut cells: [String; COLUMNS] = Default::default();
        (cells[0], cells[1]) = (id.to_string(), name.to_owned());
        cells[2] = if host.is_some() { "vm".into() } else { "physical".into() };
        FleetDevice {
            id: DeviceId(id),
            name: name.into(),
            domain: "lab".into(),
            identities: vec![fold(identity).into(), fold(name).into()],
            host: host.map(|host| fold(host).into()),
            cells,
            given: Default::default(),
        }
    }

    struct Files(Vec<(&'static str, String)>);

    impl Source for Files {
        type Bytes = Vec<u8>;
        type Error = FolderError;
        fn file(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, FolderError> {
            Ok(self.0.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone().into_bytes()))
        }
    }

    fn table(said: &str) -> FleetTable {
        let mut devices = FleetDevices::new(Some(said.as_bytes())).unwrap();
        devices.add(device(2, "Guest,1", Some("UUID-7"), ""));
        devices.add(device(7, "host", None, "uuid-7"));
        devices.add(device(10, "twin", None, "x"));
        devices.add(device(11, "twin", None, "x"));
        devices.add(device(12, "lost", Some("x"), ""));
        devices.finish()
    }

    #[test]
    fn hosts_are_found_by_what_only_one_machine_has_and_an_operator_has_the_last_word() {
        let said = "device,cluster,host,cores\nHOST.lab,c1,,\n11,,,4\nlost,,host,\nnobody,c2,,\n";
        let FleetTable { text, ids, names, unknown, .. } = table(said);
        assert_eq!(ids, [2, 7, 10, 11, 12].map(DeviceId));
        assert_eq!(unknown, ["nobody"]);
        assert_eq!(
            (names.find("HOST"), names.find("7"), names.find("twin")),
            (Some(DeviceId(7)), Some(DeviceId(7)), None)
        );
        let applications = with_library(None, &[]).unwrap();
        let files =
            vec![("devices.csv", text), ("applications.csv", applications), ("licenses.csv", "license,type\n".into())];
        let folder = Folder::read(&mut Files(files)).unwrap();
        let estate = folder.estate;
        let of = |id: &str| *estate.device(estate.device_ids.find(id).unwrap());
        let host = |id: &str| of(id).host.map(|host| estate.device_ids.name(host.get()).to_owned());
        assert_eq!((host("2"), host("12")), (Some("7".into()), Some("7".into())));
        assert_eq!(estate.texts.text(of("7").cluster), "c1");
        assert_eq!(of("11").cores.to_string(), "4");
        assert!(!of("10").cores.is_positive());
        assert_eq!(table("device\n").text.matches(",x").count(), 0, "an identity of two machines is nobody's");
        let mut itself = FleetDevices::new(None).unwrap();
        let guest = FleetDevice { identities: vec![], ..device(3, "loop", Some("loop"), "") };
        itself.add(guest);
        let row = format!("\n3,loop,vm{}\n", ",".repeat(COLUMNS - 3));
        assert!(itself.finish().text.ends_with(&row), "no guest is its own host");
        // An operator's slip leaves the hosts of the circle out, and of nobody else.
        let said = "device,host\n10,11\n11,10\n7,7\n12,10\n";
        let FleetTable { text, circular, .. } = table(said);
        assert_eq!(circular, [7, 10, 11].map(DeviceId));
        let hosts: Vec<&str> =
            text.lines().skip(1).map(|line| line.rsplit(',').nth(COLUMNS - 1 - HOST).unwrap()).collect();
        assert_eq!(hosts, ["7", "", "", "", "10"]);
    }

    #[test]
    fn names_become_numbers_and_every_row_stays_on_its_line() {
        let names = table("device\n").names;
        let form = crate::model::folder::LicenceTable::Allocations.form();
        let written = b"kind,license,device\n\nawaiting,l,host\n,l,Guest,1\n";
        assert!(with_numbers(form, written, &names).is_err(), "a comma in a name wants quotes");
        let written = b"kind,license,device\n\nawaiting,l,host\n\n,l,\"Guest,1\"\n,l,new\n";
        let (text, repeated) = with_numbers(form, written, &names).unwrap();
        assert_eq!(text, "license,device,user,kind,exemption\n\nl,7,,awaiting,\n\nl,2,,,\nl,new,,,\n");
        assert_eq!(repeated, [0; 0]);
        let twice = b"license,device\nl,host\nl,7\nm,7\n";
        let (text, repeated) = with_numbers(form, twice, &names).unwrap();
        assert_eq!(text, "license,device,user,kind,exemption\nl,7,,,\n\nm,7,,,\n", "one device under two names");
        assert_eq!(repeated, [3]);
    }

    #[test]
    fn an_operators_application_stands_for_the_librarys() {
        let library = |id: &str| Application {
            id: id.parse().unwrap(),
            publisher: "P".into(),
            product: "X".into(),
            version: "".into(),
            edition: "".into(),
            classification: crate::model::software::Classification::Unknown,
            licensable: id != "part",
        };
        let said = b"application,option_of\nb,a\n";
        assert_eq!(
            with_library(Some(said), &["a", "b", "part"].map(library)).unwrap(),
            "application,publisher,product,version,edition,licensable,option_of\nb,,,,,,a\na,P,X,,,,\npart,P,X,,,no,\n"
        );
    }
}
