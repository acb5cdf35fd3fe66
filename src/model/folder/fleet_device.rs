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

use super::devices::DEVICES;
use crate::id::DeviceId;
use crate::model::computer::Property;
use crate::model::device::Device;
use crate::model::inventory::Detail;
use crate::model::pattern::fold;

/// Cells of a row.
pub const COLUMNS: usize = DEVICES.columns.len();

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

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
    /// The row of `device`, whose further details `detail` knows; `user` used its software most.
    pub fn of<'d>(device: &'d Device, detail: impl Fn(Detail) -> Option<&'d str>, user: Option<&str>) -> FleetDevice {
        let value = |property| device.values.get(property).map(|(text, _)| text).unwrap_or_default();
        let known = |what| detail(what).unwrap_or_default();
        let (vm_type, processor) = (fold(value(Property::VMType)), known(Detail::ProcessorType));
        let is_vm = !vm_type.is_empty();
        let manufacturer = fold(value(Property::Manufacturer));
        let cloud = CLOUDS.into_iter().find(|(maker, _)| *maker == manufacturer).filter(|_| is_vm);
        let folded = fold(processor);
        let maker = MAKERS.into_iter().find(|(word, _)| folded.contains(word)).map(|(_, maker)| maker);
        let mut cells: [String; COLUMNS] = Default::default();
        let mut set = |column: &str, text: &str| {
            let place = DEVICES.columns.iter().position(|known| *known == column);
            cells[place.expect("a column of the form")] = text.trim().to_owned();
        };
        set("device", &device.id.to_string());
        set("name", value(Property::ComputerName));
        set("kind", if is_vm { "vm" } else { "physical" });
        set("os", value(Property::OperatingSystem));
        set("partition", if is_vm && HARD.contains(&&*vm_type) { "hard" } else { "" });
        set("processors", whole(known(Detail::NumberOfProcessors)));
        set("cores", whole(known(Detail::NumberOfCores)));
        set("threads", whole(known(Detail::NumberOfLogicalProcessors)));
        set("vendor", maker.unwrap_or(value(Property::Manufacturer)));
        set("family", processor);
        set("model", value(Property::ModelNo));
        set("hosted_in", cloud.map_or("", |(_, cloud)| cloud));
        set("chassis", value(Property::HostType));
        set("group", known(Detail::Organization));
        set("calculated_user", user.unwrap_or_default());
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
        }
    }
}

/// A count as the form takes it; what a source wrote otherwise is not known.
fn whole(text: &str) -> &str {
    let is_count = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_count { text } else { "" }
}
