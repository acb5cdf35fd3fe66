//! A device of a fleet as a row of `devices.csv`: what inventory says of it, in the words of licences.
//!
//! | column | from |
//! | --- | --- |
//! | kind | `vm` when the record has a VMType |
//! | host | HostID of a virtual machine, when exactly one machine has it as UUID, serial number, MachineID or name |
//! | partition | `hard` for LPAR, Zone, vPar and nPar: they have their own cores; else `soft` |
//! | processors, cores, threads | sums over the sockets that were reported |
//! | vendor, family, model | maker of the processor, name of the processor, model of the machine |
//! | hosted_in | the cloud whose name the firmware bears as its maker |
//! | chassis, group | form of the chassis; organisation |
//! | calculated_user | who used its software longest in the periods that are kept |
//!
//! What inventory cannot know (cluster, region, role, who was given a machine) an operator says in a table of the same
//! form; every cell that is filled there counts instead.

use serde::{Deserialize, Serialize};

use super::devices::DEVICES;
use crate::id::DeviceId;
use crate::model::computer::Property;
use crate::model::device::{Device, Provenance};
use crate::model::inventory::Detail;
use crate::model::pattern::fold;

/// Cells of a row.
pub const COLUMNS: usize = DEVICES.columns.len();
/// Place of the host among them.
pub const HOST: usize = 4;

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetDevice {
    /// Its number.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Its domain; empty when not known.
    pub domain: String,
    /// What other records may name as their host: UUID, serial numbers, MachineID, folded. Only of machines that are none
    /// themselves.
    pub identities: Vec<String>,
    /// What it says of its host, folded.
    pub host: Option<String>,
    /// Cells in the order of the form; that of the host is filled when all devices are known.
    pub cells: [String; COLUMNS],
    /// Who gave each of them, as far as a record did.
    pub given: [Option<Provenance>; COLUMNS],
}

/// What a record says, and which one.
pub type Given<'d> = (&'d str, &'d Provenance);

/// Makers of firmware that are clouds, folded, and the word for the cloud.
const CLOUDS: [(&str, &str); 6] = [
    ("amazon ec2", "aws"),
    ("google", "google"),
    ("alibaba cloud", "alibaba"),
    ("digitalocean", "digitalocean"),
    ("hetzner", "hetzner"),
    ("openstack foundation", "openstack"),
];

/// Kinds of partition that have cores of their own, folded.
const HARD: [&str; 4] = ["lpar", "zone", "vpar", "npar"];

/// What of the name of a processor tells its maker.
const MAKERS: [(&str, &str); 5] =
    [("intel", "Intel"), ("amd", "AMD"), ("power", "IBM"), ("sparc", "Oracle"), ("ampere", "Ampere")];

impl FleetDevice {
    /// The row of `device`, whose further details `detail` knows.
    pub fn of<'d>(device: &'d Device, detail: impl Fn(Detail) -> Option<Given<'d>>) -> FleetDevice {
        let of = |property| device.values.get(property);
        let value = |property| of(property).map(|(text, _)| text).unwrap_or_default();
        let processor_type = detail(Detail::ProcessorType);
        let (vm_type, processor) = (fold(value(Property::VMType)), processor_type.map_or("", |(text, _)| text));
        let is_vm = !vm_type.is_empty();
        let manufacturer = fold(value(Property::Manufacturer));
        let cloud = CLOUDS.into_iter().find(|(maker, _)| *maker == manufacturer).filter(|_| is_vm);
        let folded = fold(processor);
        let maker = MAKERS.into_iter().find(|(word, _)| folded.contains(word)).map(|(_, maker)| maker);
        let mut cells: [String; COLUMNS] = Default::default();
        let mut given: [Option<Provenance>; COLUMNS] = Default::default();
        let mut set = |column: &str, text: &str, giver: Option<&Provenance>| {
            set((&mut cells, &mut given), column, text, giver);
        };
        let giver = |property| of(property).map(|(_, giver)| giver);
        set("device", &device.id.to_string(), None);
        set("name", value(Property::ComputerName), giver(Property::ComputerName));
        set("kind", if is_vm { "vm" } else { "physical" }, giver(Property::VMType));
        set("os", value(Property::OperatingSystem), giver(Property::OperatingSystem));
        set("partition", if is_vm && HARD.contains(&&*vm_type) { "hard" } else { "" }, giver(Property::VMType));
        for (column, counted) in [
            ("processors", Detail::NumberOfProcessors),
            ("cores", Detail::NumberOfCores),
            ("threads", Detail::NumberOfLogicalProcessors),
        ] {
            let counted = detail(counted);
            set(column, counted.map_or("", |(text, _)| whole(text)), counted.map(|(_, giver)| giver));
        }
        let processor_giver = processor_type.map(|(_, giver)| giver);
        match maker {
            Some(maker) => set("vendor", maker, processor_giver),
            None => set("vendor", value(Property::Manufacturer), giver(Property::Manufacturer)),
        }
        set("family", processor, processor_giver);
        set("model", value(Property::ModelNo), giver(Property::ModelNo));
        set("hosted_in", cloud.map_or("", |(_, cloud)| cloud), giver(Property::Manufacturer));
        set("chassis", value(Property::HostType), giver(Property::HostType));
        let group = detail(Detail::Organization);
        set("group", group.map_or("", |(text, _)| text), group.map(|(_, giver)| giver));
        given[HOST] = giver(Property::HostID).cloned();
        let identity = |property| Some(fold(value(property))).filter(|text| !text.is_empty());
        let own = [
            Property::UUID,
            Property::SerialNo,
            Property::FirmwareSerialNumber,
            Property::MachineID,
            Property::ComputerName,
        ];
        let host = || identity(Property::HostID).filter(|_| is_vm && cloud.is_none());
        FleetDevice {
            id: device.id,
            name: value(Property::ComputerName).trim().to_owned(),
            domain: value(Property::ComplianceDomainID).trim().to_owned(),
            identities: own.into_iter().filter(|_| !is_vm).filter_map(identity).map(String::from).collect(),
            host: host().map(String::from),
            cells,
            given,
        }
    }

    /// Says who used its software most.
    pub fn used_by(&mut self, user: &str, giver: &Provenance) {
        set((&mut self.cells, &mut self.given), "calculated_user", user, Some(giver));
    }
}

/// Fills a cell.
fn set(
    (cells, given): (&mut [String; COLUMNS], &mut [Option<Provenance>; COLUMNS]),
    column: &str,
    text: &str,
    giver: Option<&Provenance>,
) {
    let place = DEVICES.columns.iter().position(|known| *known == column).expect("a column of the form");
    cells[place] = text.trim().to_owned();
    given[place] = giver.filter(|_| !cells[place].is_empty()).cloned();
}

/// A count as the form takes it; what a source wrote otherwise is not known.
fn whole(text: &str) -> &str {
    let is_count = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_count { text } else { "" }
}
