//! What each tool says of each machine. A machine is its number and the seed: nothing is kept.

use std::io::{self, Write};

use muster::rng::{RngStream, mix};

/// The tools, in the order in which their records come: whole tool by whole tool, as exports do, so that the records of
/// one machine stand far apart.
const TOOLS: [Tool; 6] = [Tool::Agent, Tool::Sccm, Tool::Directory, Tool::Vcenter, Tool::Hmc, Tool::Ilmt];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Agent,
    Sccm,
    Directory,
    Vcenter,
    Hmc,
    Ilmt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Physical,
    Guest,
    Esx,
    Partition(&'static str),
}

/// The columns, in order: `machine` is the truth, which a matcher does not know.
pub const COLUMNS: &str = "record_id,source,external_id,inventory_date,ComputerName,ComplianceDomainID,ComputerType,VMType,\
    VMName,PartitionID,PartitionNumber,Manufacturer,ModelNo,HostType,HostID,MachineID,FirmwareSerialNumber,SerialNo,\
    UntrustedSerialNo,HostIdentifyingNumber,UUID,OperatingSystem,ILMTAgentID,ObjectType,machine";

const MAKERS: [(&str, [&str; 4]); 5] = [
    ("Dell Inc.", ["PowerEdge R740", "PowerEdge R650", "Latitude 7430", "OptiPlex 7090"]),
    ("HPE", ["ProLiant DL380 Gen10", "ProLiant DL360 Gen11", "Synergy 480", "Apollo 4200"]),
    ("Lenovo", ["ThinkPad X1", "ThinkSystem SR650", "ThinkCentre M70", "ThinkPad T14"]),
    ("IBM", ["9009-42A", "8286-41A", "9040-MR9", "9105-22A"]),
    ("Cisco Systems Inc", ["UCSC-C220-M5SX", "UCSB-B200-M6", "UCSC-C240-M6S", "UCSX-210C"]),
];
const SYSTEMS: [&str; 6] = [
    "Microsoft Windows Server 2022 Standard",
    "Microsoft Windows 11 Enterprise",
    "Debian GNU/Linux 12 (bookworm)",
    "Red Hat Enterprise Linux 9.4",
    "Microsoft Windows Server 2019 Datacenter",
    "SUSE Linux Enterprise Server 15 SP5",
];
const FILLERS: [&str; 4] = ["To Be Filled By O.E.M.", "Default string", "None", "0000000000"];

/// A fleet of machines under a seed.
#[derive(Clone, Copy, Debug)]
pub struct RecordFleet {
    seed: u64,
}

impl RecordFleet {
    /// Every machine follows from the seed.
    pub fn new(seed: u64) -> RecordFleet {
        RecordFleet { seed }
    }

    fn kind(self, machine: u64) -> Kind {
        match mix(self.seed ^ 1, machine) % 100 {
            0..55 => Kind::Physical,
            55..88 => Kind::Guest,
            88..92 => Kind::Esx,
            92..97 => Kind::Partition("LPAR"),
            97..99 => Kind::Partition("Zone"),
            _ => Kind::Partition("vPar"),
        }
    }

    fn sees(self, tool: Tool, machine: u64) -> bool {
        let share = match (tool, self.kind(machine)) {
            (Tool::Agent, Kind::Esx) => 0,
            (Tool::Agent, _) => 80,
            (Tool::Sccm, Kind::Physical | Kind::Guest) => 65,
            (Tool::Directory, Kind::Physical | Kind::Guest) => 60,
            (Tool::Vcenter, Kind::Guest | Kind::Esx) => 90,
            (Tool::Hmc, Kind::Partition(_)) => 90,
            (Tool::Ilmt, Kind::Partition(_)) => 70,
            (Tool::Ilmt, Kind::Physical) => 15,
            _ => 0,
        };
        mix(self.seed ^ (2 + tool as u64), machine) % 100 < share
    }

    /// How many machines it takes until the tools have said so much.
    pub fn machines_for(self, records: u64) -> u64 {
        let (mut machine, mut count) = (0, 0);
        while count < records {
            count += TOOLS.iter().filter(|tool| self.sees(**tool, machine)).count() as u64;
            machine += 1;
        }
        machine
    }

    /// Writes so many records with their header.
    pub fn write_records(self, records: u64, out: &mut impl Write) -> io::Result<()> {
        let machines = self.machines_for(records);
        writeln!(out, "{COLUMNS}")?;
        let mut record_id = 0;
        for tool in TOOLS {
            for machine in (0..machines).filter(|&machine| self.sees(tool, machine)) {
                if record_id == records {
                    return Ok(());
                }
                record_id += 1;
                let told = self.told(tool, machine);
                let date = 1_735_689_600 + mix(self.seed ^ 20, record_id) % 86_400;
                write!(out, "{record_id},{},{}-{machine},{date}", tool.name(), tool.name())?;
                told.values.iter().try_for_each(|value| write!(out, ",{value}"))?;
                writeln!(out, ",{machine}")?;
            }
        }
        Ok(())
    }

    /// Writes the first machines as stored devices: what the agent, or else the tool that knows them, said.
    pub fn write_devices(self, devices: u64, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "device_id,{}", COLUMNS.split_once("inventory_date,").map_or("", |(_, names)| names))?;
        for machine in 0..devices {
            let told = self.told(self.first_tool(machine), machine);
            write!(out, "{}", machine + 1)?;
            told.values.iter().try_for_each(|value| write!(out, ",{value}"))?;
            writeln!(out, ",{machine}")?;
        }
        Ok(())
    }

    /// Writes the records bound to those devices.
    pub fn write_bindings(self, devices: u64, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "device_id,source,external_id,FirmwareSerialNumber,SerialNo,UUID,MachineID,ILMTAgentID")?;
        for machine in 0..devices {
            let tool = self.first_tool(machine);
            let values = self.told(tool, machine).values;
            let [firmware, serial, uuid, id, ilmt] = [12, 13, 16, 11, 18].map(|place: usize| &values[place]);
            let name = tool.name();
            writeln!(out, "{},{name},{name}-{machine},{firmware},{serial},{uuid},{id},{ilmt}", machine + 1)?;
        }
        Ok(())
    }

    fn first_tool(self, machine: u64) -> Tool {
        let seen = TOOLS.into_iter().find(|tool| self.sees(*tool, machine));
        seen.unwrap_or(if self.kind(machine) == Kind::Esx { Tool::Vcenter } else { Tool::Agent })
    }

    /// The values of a record in the order of the columns from ComputerName to ObjectType.
    fn told(self, tool: Tool, machine: u64) -> Told {
        let mut own = RngStream::new(self.seed, machine, 0);
        let kind = self.kind(machine);
        let (maker, models) = MAKERS[own.below(MAKERS.len() as i64) as usize];
        let model = models[own.below(4) as usize];
        let name = format!(
            "{}-{}-{machine:07}",
            ["lon", "par", "nyc", "sin"][own.below(4) as usize],
            ["web", "db", "pc", "app"][own.below(4) as usize]
        );
        let domain = format!("corp{}.example", own.below(8));
        let serial = format!("{:010X}", own.bits() >> 24);
        let bytes = own.bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let uuid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        let machine_id = format!("{:016x}{:016x}", own.bits(), own.bits());
        let system = if kind == Kind::Esx { "VMware ESXi 8.0.2" } else { SYSTEMS[own.below(6) as usize] };
        let frame = mix(self.seed ^ 9, machine / 12);
        let (frame_serial, host) = (format!("{:07X}", frame & 0xfff_ffff), format!("{:08x}", frame >> 32));

        // What this tool makes of it.
        let mut draws = RngStream::new(self.seed, machine, 1 + tool as u64);
        let is_filler = own.below(100) < 3;
        let filler = FILLERS[own.below(4) as usize].to_owned();
        let serial = if is_filler { filler.clone() } else { serial };
        let uuid_of = |draws: &mut RngStream| {
            let swapped = format!(
                "{}{}{}{}-{}{}-{}{}-{}-{}",
                &hex[6..8],
                &hex[4..6],
                &hex[2..4],
                &hex[..2],
                &hex[10..12],
                &hex[8..10],
                &hex[14..16],
                &hex[12..14],
                &hex[16..20],
                &hex[20..]
            );
            if draws.below(10) == 0 { swapped } else { uuid.clone() }
        };
        let mut told = Told::default();
        let mut put = |column: &str, value: String| told.values[place(column)] = value;
        if tool != Tool::Hmc || matches!(kind, Kind::Partition(_)) {
            put("ComputerName", if draws.below(4) == 0 { name.to_ascii_uppercase() } else { name.clone() });
        }
        if matches!(tool, Tool::Agent | Tool::Sccm | Tool::Directory) && draws.below(20) > 0 {
            put("ComplianceDomainID", domain);
        }
        match kind {
            Kind::Guest if tool != Tool::Directory => {
                put("VMType", "VMware".into());
                put("VMName", name.clone());
            }
            Kind::Partition(vm) => {
                put("VMType", vm.into());
                put("VMName", name.clone());
                put("PartitionNumber", (machine % 12 + 1).to_string());
                put("HostType", "IBM,9009-42A".replace(',', " "));
                if tool != Tool::Agent {
                    put("PartitionID", format!("{frame_serial}-{}", machine % 12 + 1));
                }
                if tool != Tool::Ilmt {
                    put("FirmwareSerialNumber", frame_serial.clone());
                }
                put("HostID", host);
            }
            _ => {}
        }
        if matches!(tool, Tool::Agent | Tool::Sccm | Tool::Vcenter) {
            put("Manufacturer", if kind == Kind::Guest { "VMware, Inc.".replace(',', "") } else { maker.to_owned() });
            put("ModelNo", if kind == Kind::Guest { "VMware Virtual Platform".into() } else { model.to_owned() });
            put("OperatingSystem", system.to_owned());
            put("UUID", if is_filler { filler.clone() } else { uuid_of(&mut draws) });
            put("SerialNo", if kind == Kind::Guest { format!("VMware-{}", &hex[..16]) } else { serial.clone() });
            if kind == Kind::Physical {
                put("FirmwareSerialNumber", serial.clone());
                put("HostIdentifyingNumber", serial.clone());
            }
        }
        if tool == Tool::Agent && draws.below(3) > 0 {
            put("MachineID", machine_id.clone());
        }
        if tool == Tool::Ilmt || (tool == Tool::Agent && mix(self.seed ^ 11, machine).is_multiple_of(8)) {
            put("ILMTAgentID", (mix(self.seed ^ 12, machine) >> 20).to_string());
        }
        if tool == Tool::Ilmt && kind == Kind::Physical {
            put("MachineID", machine_id);
        }
        told
    }
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Tool::Agent => "agent",
            Tool::Sccm => "sccm",
            Tool::Directory => "directory",
            Tool::Vcenter => "vcenter",
            Tool::Hmc => "hmc",
            Tool::Ilmt => "ilmt",
        }
    }
}

#[derive(Default)]
struct Told {
    values: [String; 20],
}

/// The place of a column among those from ComputerName on.
fn place(column: &str) -> usize {
    let known = COLUMNS.split(',').skip(4).position(|known| known == column);
    known.expect("a column of the header")
}
