//! What one inventory file says of its machine, as the server keeps it: the row that Matchers read, further details of
//! the hardware, and the installed titles.
//!
//! Source: agent-beacon-batch reference, section 4.3 (classes and the field each property feeds).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::computer::{Property, Values};
use super::day::Day;
use super::software::{Title, TitleList};
use crate::formats::ndi::{Head, NdiFile, Properties, SWID_TAG};
use crate::id::Guid;
use crate::time::Timestamp;

/// A detail of a machine that no Matcher reads. Sizes in bytes, clocks in MHz, counts over the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Detail {
    /// Version of the operating system.
    OSVersion,
    /// Its service pack or point release.
    ServicePack,
    /// Release of its kernel.
    KernelVersion,
    /// Architecture it runs on.
    OSArchitecture,
    /// Model of the processors.
    ProcessorType,
    /// Highest clock of a processor.
    MaxClockSpeed,
    /// Sockets.
    NumberOfProcessors,
    /// Cores of all sockets.
    NumberOfCores,
    /// Threads of all cores.
    NumberOfLogicalProcessors,
    /// Memory.
    TotalMemory,
    /// Size of all disks together.
    TotalDiskSpace,
    /// Version of the firmware.
    FirmwareVersion,
    /// Addresses, separated by `;`.
    IPAddress,
    /// Hardware addresses, separated by `;`, adapter by adapter.
    MACAddress,
    /// Site label.
    Site,
    /// Organisation.
    Organization,
    /// Place.
    Location,
}

impl Detail {
    /// Every detail, in the order in which they are shown.
    pub const ALL: [Detail; 17] = [
        Detail::OSVersion,
        Detail::ServicePack,
        Detail::KernelVersion,
        Detail::OSArchitecture,
        Detail::ProcessorType,
        Detail::MaxClockSpeed,
        Detail::NumberOfProcessors,
        Detail::NumberOfCores,
        Detail::NumberOfLogicalProcessors,
        Detail::TotalMemory,
        Detail::TotalDiskSpace,
        Detail::FirmwareVersion,
        Detail::IPAddress,
        Detail::MACAddress,
        Detail::Site,
        Detail::Organization,
        Detail::Location,
    ];

    /// The name in answers; it is that of the ServiceNow export where that has the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Detail::OSVersion => "OSVersion",
            Detail::ServicePack => "ServicePack",
            Detail::KernelVersion => "KernelVersion",
            Detail::OSArchitecture => "OSArchitecture",
            Detail::ProcessorType => "ProcessorType",
            Detail::MaxClockSpeed => "MaxClockSpeed",
            Detail::NumberOfProcessors => "NumberOfProcessors",
            Detail::NumberOfCores => "NumberOfCores",
            Detail::NumberOfLogicalProcessors => "NumberOfLogicalProcessors",
            Detail::TotalMemory => "TotalMemory",
            Detail::TotalDiskSpace => "TotalDiskSpace",
            Detail::FirmwareVersion => "FirmwareVersion",
            Detail::IPAddress => "IPAddress",
            Detail::MACAddress => "MACAddress",
            Detail::Site => "Site",
            Detail::Organization => "Organization",
            Detail::Location => "Location",
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Details that are known, ascending, none empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Details(Box<[(Detail, Box<str>)]>);

impl Details {
    /// The value of `detail`.
    pub fn get(&self, detail: Detail) -> Option<&str> {
        self.0.binary_search_by_key(&detail, |(set, _)| *set).ok().map(|place| &*self.0[place].1)
    }

    /// What is known, in the order of [`Detail::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Detail, &str)> {
        self.0.iter().map(|(detail, text)| (*detail, &**text))
    }
}

/// Empty texts are left out; of a detail given twice the first counts.
impl<S: Into<Box<str>>> FromIterator<(Detail, S)> for Details {
    fn from_iter<I: IntoIterator<Item = (Detail, S)>>(pairs: I) -> Details {
        let mut list: Vec<(Detail, Box<str>)> = pairs.into_iter().map(|(detail, text)| (detail, text.into())).collect();
        list.retain(|(_, text)| !text.is_empty());
        list.sort_by_key(|(detail, _)| *detail); // stable: the first stays in front
        list.dedup_by_key(|(detail, _)| *detail);
        Details(list.into())
    }
}

/// What an inventory file covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReportType {
    /// Hardware and software of the account.
    Full,
    /// Hardware only.
    Hardware,
    /// Databases; neither hardware nor packages.
    Oracle,
}

/// The text names no type of inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an inventory is of type Full, Hardware or Oracle")]
pub struct UnknownReportType;

impl FromStr for ReportType {
    type Err = UnknownReportType;
    /// Reads a type without regard to ASCII case.
    fn from_str(text: &str) -> Result<ReportType, UnknownReportType> {
        let all = [("Full", ReportType::Full), ("Hardware", ReportType::Hardware), ("Oracle", ReportType::Oracle)];
        all.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, kind)| kind).ok_or(UnknownReportType)
    }
}

/// One installed package as a report lists it.
pub type Installed = (Title, Option<Day>);

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// What it covers.
    pub report_type: ReportType,
    /// Account that collected.
    pub account: Box<str>,
    /// Short name of the machine, never empty.
    pub machine: Box<str>,
    /// Full name, as far as it is known.
    pub scope: Box<str>,
    /// GUID of the agent, as the file says.
    pub machine_id: Option<Guid>,
    /// When it was collected, as the file says.
    pub collected_at: Option<Timestamp>,
    /// What Matchers read.
    pub values: Values,
    /// What else is known of the machine.
    pub details: Details,
    /// Installed titles in document order, one for each package, so that one installed for two architectures is twice
    /// there; then one for each SWID tag.
    pub software: TitleList,
}

/// Why a file that reads well is no inventory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// Its type.
    #[error("inventory type `{0}` is not Full, Hardware or Oracle")]
    Type(String),
    /// More than any machine has.
    #[error("the inventory lists {0} packages, at most {TITLES_MAX} are read")]
    Titles(usize),
    /// Nobody could tell whose it is.
    #[error("the inventory names no machine")]
    Nameless,
}

impl Inventory {
    /// What `file` says.
    pub fn of(file: &NdiFile) -> Result<Inventory, InventoryError> {
        let head = file.head();
        let report_type = head.kind.parse().map_err(|_| InventoryError::Type(crate::id::shorten(head.kind)))?;
        if head.machine_name.trim().is_empty() {
            return Err(InventoryError::Nameless);
        }
        let titles = file.packages().len() + file.files_met();
        if titles > TITLES_MAX {
            return Err(InventoryError::Titles(titles));
        }
        let machine = Machine::of(file);
        Ok(Inventory {
            report_type,
            account: head.user_name.into(),
            machine: head.machine_name.into(),
            scope: head.scope.into(),
            machine_id: head.machine_id.parse().ok(),
            collected_at: head.collected_at(),
            values: machine.values(&head),
            details: machine.details(&head),
            software: software(file),
        })
    }
}

fn software(file: &NdiFile) -> TitleList {
    let mut list = TitleList::with_room(file.packages().len());
    for (package, _) in file.packages() {
        let parts = [package.name, package.version, package.publisher, package.evidence];
        list.push(parts, package.install_date.parse().ok());
    }
    for tag in file.files().filter(|file| file.evidence == SWID_TAG && !file.product_name.is_empty()) {
        list.push([tag.product_name, tag.product_version, tag.company, tag.evidence], None);
    }
    list
}

/// The properties of the first object of each class that a machine has one of, and sums over the others.
#[derive(Default)]
struct Machine<'a> {
    computer: Option<Properties<'a>>,
    bios: Option<Properties<'a>>,
    system: Option<Properties<'a>>,
    identity: Option<Properties<'a>>,
    processor: Option<Properties<'a>>,
    processors: u64,
    cores: u64,
    logical_processors: u64,
    clock_mhz: u64,
    memory_bytes: u64,
    disk_bytes: u64,
    ip_addresses: Vec<&'a str>,
    mac_addresses: Vec<&'a str>,
}

impl<'a> Machine<'a> {
    fn of(file: &'a NdiFile) -> Machine<'a> {
        let mut machine = Machine::default();
        for (object, properties) in file.hardware() {
            let number = |name| properties.get(name).and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
            match object.canonical_class() {
                "MGS_ComputerSystem" => machine.computer = machine.computer.or(Some(properties)),
                "MGS_BIOS" => machine.bios = machine.bios.or(Some(properties)),
                "MGS_OperatingSystem" => machine.system = machine.system.or(Some(properties)),
                "MGS_Identity" => machine.identity = machine.identity.or(Some(properties)),
                "MGS_Processor" => {
                    machine.processors = machine.processors.saturating_add(1);
                    machine.cores = machine.cores.saturating_add(number("NumberOfCores"));
                    machine.logical_processors =
                        machine.logical_processors.saturating_add(number("NumberOfLogicalProcessors"));
                    machine.clock_mhz = machine.clock_mhz.max(number("MaxClockSpeed"));
                    machine.processor = machine.processor.or(Some(properties));
                }
                "MGS_PhysicalMemory" => machine.memory_bytes = machine.memory_bytes.saturating_add(number("Capacity")),
                "MGS_LogicalDisk" => machine.disk_bytes = machine.disk_bytes.saturating_add(number("Size")),
                "MGS_NetworkAdapterConfiguration" => {
                    let list = |name| properties.get(name).unwrap_or_default().split(';').filter(|one| !one.is_empty());
                    machine.ip_addresses.extend(list("IPAddress"));
                    machine.mac_addresses.extend(list("MACAddress"));
                }
                _ => {}
            }
        }
        machine
    }

    fn values(&self, head: &Head<'a>) -> Values {
        let of = |object: &Option<Properties<'a>>, name| object.as_ref().and_then(|object| object.get(name));
        let computer = |name| of(&self.computer, name);
        let firmware_serial = of(&self.bios, "SerialNumber");
        let domain = head.scope.strip_prefix(head.machine_name).and_then(|rest| rest.strip_prefix('.'));
        let pairs = [
            (Property::ComputerName, computer("Name").or(Some(head.machine_name))),
            (Property::ComplianceDomainID, computer("Domain").or(domain)),
            (Property::ComputerType, computer("ComputerType")),
            (Property::VMType, computer("VMType")),
            (Property::VMName, computer("VMName")),
            (Property::PartitionID, computer("PartitionID")),
            (Property::PartitionNumber, computer("PartitionNumber")),
            (Property::Manufacturer, computer("Manufacturer")),
            (Property::ModelNo, computer("Model")),
            (Property::HostType, computer("HostType")),
            (Property::HostID, computer("HostId")),
            (Property::MachineID, computer("MachineID")),
            (Property::FirmwareSerialNumber, firmware_serial),
            (Property::SerialNo, computer("SerialNo").or(firmware_serial)),
            (Property::UntrustedSerialNo, computer("UntrustedSerialNo")),
            (Property::HostIdentifyingNumber, computer("HostIdentifyingNumber")),
            (Property::UUID, computer("UUID")),
            (Property::OperatingSystem, of(&self.system, "Caption").or(of(&self.system, "Name"))),
            (Property::ILMTAgentID, of(&self.identity, "ILMTAgentID")),
        ];
        // Keys are bounded by the reader; what is no key is cut here.
        let cut = |text: &'a str| &text[..text.floor_char_boundary(VALUE_BYTES_MAX)];
        let set = |(property, text): (Property, Option<&'a str>)| {
            Some((property, cut(text.filter(|text| !text.is_empty())?)))
        };
        pairs.into_iter().filter_map(set).collect()
    }

    fn details(&self, head: &Head<'a>) -> Details {
        let of = |object: &Option<Properties<'a>>, name| {
            object.as_ref().and_then(|object| object.get(name)).unwrap_or_default().to_owned()
        };
        let count = |number: u64| if number == 0 { String::new() } else { number.to_string() };
        let or = |first: String, second: String| if first.is_empty() { second } else { first };
        let pairs = [
            (Detail::OSVersion, of(&self.system, "Version")),
            (Detail::ServicePack, of(&self.system, "ServicePack")),
            (Detail::KernelVersion, of(&self.system, "KernelVersion")),
            (Detail::OSArchitecture, of(&self.system, "OSArchitecture")),
            (Detail::ProcessorType, of(&self.processor, "Name")),
            (Detail::MaxClockSpeed, count(self.clock_mhz)),
            (Detail::NumberOfProcessors, or(of(&self.computer, "NumberOfProcessors"), count(self.processors))),
            (Detail::NumberOfCores, count(self.cores)),
            (Detail::NumberOfLogicalProcessors, count(self.logical_processors)),
            (Detail::TotalMemory, or(of(&self.computer, "TotalPhysicalMemory"), count(self.memory_bytes))),
            (Detail::TotalDiskSpace, count(self.disk_bytes)),
            (Detail::FirmwareVersion, of(&self.bios, "Version")),
            (Detail::IPAddress, distinct(&self.ip_addresses)),
            (Detail::MACAddress, distinct(&self.mac_addresses)),
            (Detail::Site, head.site.to_owned()),
            (Detail::Organization, of(&self.identity, "Organization")),
            (Detail::Location, of(&self.identity, "Location")),
        ];
        pairs.into_iter().map(|(detail, text)| (detail, bounded(detail, text))).collect()
    }
}

/// Most bytes of a value, and of a detail that is no list.
const VALUE_BYTES_MAX: usize = 1 << 10;
/// Titles of one report at most. A machine has some thousands; a report with more would take the memory of many.
pub const TITLES_MAX: usize = 50_000;

fn bounded(detail: Detail, mut text: String) -> String {
    if !matches!(detail, Detail::IPAddress | Detail::MACAddress) {
        text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
    }
    text
}

/// Most bytes of a list of addresses that are kept.
const LIST_BYTES_MAX: usize = 16 << 10;

/// The texts in order, each once, separated by `;`.
fn distinct(texts: &[&str]) -> String {
    let mut out = String::new();
    let mut seen = hashbrown::HashSet::new();
    for text in texts.iter().filter(|text| seen.insert(**text)) {
        if out.len() + text.len() >= LIST_BYTES_MAX {
            break;
        }
        if !out.is_empty() {
            out.push(';');
        }
        out.push_str(text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::ndi::read_ndi;

    fn read(xml: &str) -> Inventory {
        Inventory::of(&read_ndi(xml.as_bytes()).unwrap().0).unwrap()
    }

    const HEAD: &str = r#"<Inventory Tracker="1" Audience="Machine" Scope="web07.lab.example" MachineName="web07"
        UserName="root" DateTime="20250314T031522" Type="Full" MachineId="{5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11}">"#;

    #[test]
    fn every_property_comes_from_its_place() {
        let inventory = read(include_str!("../../tests/golden/formats/web07.ndi"));
        let values: Vec<_> = inventory.values.iter().collect();
        let expected = [
            (Property::ComputerName, "web07"),
            (Property::ComplianceDomainID, "lab.example"),
            (Property::ComputerType, "Computer"),
            (Property::Manufacturer, "Acme Metal"),
            (Property::ModelNo, "R-220"),
            (Property::FirmwareSerialNumber, "AM-0099317"),
            (Property::SerialNo, "AM-0099317"),
            (Property::UUID, "4c4c4544-0034-5a10-8042-b7c04f335032"),
        ];
        assert_eq!(values, expected);
        let details: Vec<_> = inventory.details.iter().collect();
        assert_eq!(details, [(Detail::IPAddress, "10.20.4.17"), (Detail::MACAddress, "02:1f:5a:00:12:9c")]);
        let mut titles = TitleList::default();
        titles.push(["postgresql-15", "15.6-1", "Debian", "deb"], "20250102".parse().ok());
        assert_eq!(inventory.software, titles);
        assert_eq!((&*inventory.machine, &*inventory.account), ("web07", "root"));
        assert_eq!(inventory.collected_at, Timestamp::from_stamp("20250314T031522"));
    }

    #[test]
    fn sockets_modules_and_disks_are_summed_and_both_families_of_classes_count() {
        let cpu = r#"<Hardware Class="Win32_Processor" Name="c"><Property Name="Name" Value="Fast"/>
            <Property Name="NumberOfCores" Value="8"/><Property Name="NumberOfLogicalProcessors" Value="16"/>
            <Property Name="MaxClockSpeed" Value="3000"/></Hardware>"#;
        let dimm =
            r#"<Hardware Class="MGS_PhysicalMemory" Name="d"><Property Name="Capacity" Value="1024"/></Hardware>"#;
        let disk = r#"<Hardware Class="MGS_LogicalDisk" Name="/"><Property Name="Size" Value="500"/></Hardware>"#;
        let inventory = read(&format!("{HEAD}{cpu}{cpu}{dimm}{dimm}{disk}</Inventory>"));
        let get = |detail| inventory.details.get(detail).unwrap();
        assert_eq!((get(Detail::NumberOfProcessors), get(Detail::NumberOfCores)), ("2", "16"));
        assert_eq!((get(Detail::NumberOfLogicalProcessors), get(Detail::MaxClockSpeed)), ("32", "3000"));
        assert_eq!((get(Detail::TotalMemory), get(Detail::TotalDiskSpace)), ("2048", "500"));
    }

    #[test]
    fn a_tag_is_a_title_and_two_architectures_are_two_packages() {
        let package = r#"<Package Name="libc6" Version="2" Evidence="deb"/>"#;
        let tag = r#"<File Name="/t.swidtag" ProductName="Acme" ProductVersion="3" Company="A" Evidence="swidtag"/>
            <File Name="/bin/x" ProductName="X" Evidence="file"/>"#;
        let inventory = read(&format!("{HEAD}<Software>{package}{package}{tag}</Software></Inventory>"));
        let names: Vec<_> = inventory.software.iter().map(|(title, _)| (title.name(), title.evidence())).collect();
        assert_eq!(names, [("libc6", "deb"), ("libc6", "deb"), ("Acme", "swidtag")]);
    }

    #[test]
    fn another_type_and_a_machine_without_a_name_are_refused() {
        let of = |xml: &str| Inventory::of(&read_ndi(xml.as_bytes()).unwrap().0).unwrap_err();
        let text = format!("{HEAD}</Inventory>");
        assert_eq!(of(&text.replace("Full", "Fool")), InventoryError::Type("Fool".into()));
        assert_eq!(of(&text.replace("MachineName=\"web07\"", "MachineName=\" \"")), InventoryError::Nameless);
    }

    #[test]
    fn details_keep_the_first_of_each_and_nothing_empty() {
        let details: Details =
            [(Detail::Site, "b"), (Detail::OSVersion, ""), (Detail::Site, "c")].into_iter().collect();
        assert_eq!(details.iter().collect::<Vec<_>>(), [(Detail::Site, "b")]);
        for (place, detail) in Detail::ALL.into_iter().enumerate() {
            assert_eq!((detail as usize, detail.as_str()), (place, format!("{detail:?}").as_str()));
        }
    }

    #[test]
    fn a_list_of_addresses_is_bounded() {
        let many: Vec<String> = (0..9_000).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        let texts: Vec<&str> = many.iter().map(String::as_str).chain(["10.0.0.0"]).collect();
        assert!(distinct(&texts).len() < LIST_BYTES_MAX);
        assert_eq!(distinct(&["a", "b", "a"]), "a;b");
        let kernel = format!(
            r#"<Hardware Class="MGS_OperatingSystem" Name="o"><Property Name="KernelVersion" Value="{}"/></Hardware>"#,
            "ü".repeat(9_000)
        );
        let inventory = read(&format!("{HEAD}{kernel}</Inventory>"));
        assert_eq!(inventory.details.get(Detail::KernelVersion).unwrap().len(), VALUE_BYTES_MAX);
    }
}
