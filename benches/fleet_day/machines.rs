//! What the agents of a fleet report: an inventory of full size for each machine.

use std::fmt::Write as _;

use muster::formats::ndi::{File, Hardware, Head, NdiWriter, Package, Property, Service};
use muster::id::Guid;
use muster::rng::RngStream;
use muster::time::Timestamp;

/// Who reports for `machine`.
pub fn guid(machine: u64) -> Guid {
    Guid::from_random(RngStream::new(11, machine, 0).bytes())
}

/// What is installed on the machines of the fleet.
pub struct Titles {
    packages: Vec<[String; 3]>,
    files: Vec<[String; 4]>,
    sizes: Sizes,
}

/// How much a machine reports.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// Packages of the pool, and how many of them a machine has.
    packages: (usize, i64),
    /// Files of the pool, and how many of them a machine has.
    files: (usize, i64),
    services: usize,
    modules: usize,
}

/// All that an agent finds.
pub const FULL: Sizes = Sizes { packages: (4_000, 1_410), files: (6_000, 1_290), services: 120, modules: 48 };
/// So much as licences look at.
pub const SLIM: Sizes = Sizes { packages: (1_000, 60), files: (0, 0), services: 0, modules: 0 };

impl Titles {
    /// The pool.
    pub fn new(sizes: Sizes) -> Titles {
        let rng = &mut RngStream::new(7, 1, 0);
        let packages = (0..sizes.packages.0).map(|number| {
            let name = format!("{}-{}{}", word(rng), word(rng), number / 3);
            let version = format!("{}.{}.{}-{}", rng.below(12), rng.below(40), rng.below(10), rng.below(5));
            let publisher = match rng.below(20) {
                0 => "Müller & Söhne <info@example.com>".into(),
                1..4 => format!("{} {} maintainers <{}@example.org>", word(rng), word(rng), word(rng)),
                _ => "Debian maintainers".into(),
            };
            [name, version, publisher]
        });
        let packages = packages.collect();
        let files = (0..sizes.files.0).map(|number| {
            let name = format!("/opt/{}/{}/bin/{}{number}", word(rng), word(rng), word(rng));
            let version = format!("{}.{}", rng.below(12), rng.below(40));
            [name, version, "Acme Metal".into(), format!("{:016x}{:016x}", rng.bits(), rng.bits())]
        });
        let files = files.collect();
        Titles { packages, files, sizes }
    }

    /// Names of the packages of the pool.
    pub fn packages(&self) -> impl Iterator<Item = &str> {
        self.packages.iter().map(|[name, ..]| &**name)
    }
}

const WORDS: [&str; 24] = [
    "acme", "lib", "tools", "core", "server", "agent", "draw", "office", "runtime", "data", "network", "cloud", "java",
    "perl", "python", "common", "utils", "devel", "dbg", "doc", "client", "fonts", "media", "crypto",
];

fn word(rng: &mut RngStream) -> &'static str {
    WORDS[rng.below(WORDS.len() as i64) as usize]
}

/// Some `some` of `all`, ascending: most of the first half, which every machine has, and fewer of the rest.
fn choose<'a, T>(rng: &mut RngStream, all: &'a [T], some: i64) -> Vec<&'a T> {
    let half = (all.len() / 2).max(1);
    let common = (some * 3 / 4 * 1_000 / half as i64, some / 4 * 1_000 / half as i64);
    let mut chosen = Vec::with_capacity(some as usize);
    for (place, one) in all.iter().enumerate() {
        if rng.below(1_000) < if place < half { common.0 } else { common.1 } {
            chosen.push(one);
        }
    }
    chosen
}

/// The inventory of a machine; each `time` that it reports something else is installed.
pub fn inventory(titles: &Titles, machine: u64, time: u64, now: Timestamp) -> Vec<u8> {
    let rng = &mut RngStream::new(7, 2, machine);
    let on = &mut RngStream::new(7, 3 + time, machine);
    let (name, id) = (format!("host{machine:06}"), format!("{{{}}}", guid(machine)));
    let (scope, date_time) = (format!("{name}.corp.example"), now.plus_ms(-60_000).to_stamp());
    let head = Head {
        tracker: "0.1.0",
        audience: "Machine",
        scope: &scope,
        machine_name: &name,
        user_name: "root",
        has_hardware: true,
        has_software: true,
        has_service_providers: false,
        date_time: &date_time,
        kind: "Full",
        machine_id: &id,
        site: "lab-a",
        tenant_uid: "",
    };
    let mut ndi = NdiWriter::new(Vec::with_capacity(512 << 10), &head).expect("a Vec takes it");
    hardware(&mut ndi, rng, machine, (&name, titles.sizes.modules));
    let mut date = String::new();
    let days: Vec<i64> = (0..12).map(|_| 1 + rng.below(28)).collect();
    for [name, version, publisher] in choose(on, &titles.packages, titles.sizes.packages.1) {
        let month = rng.below(12);
        date.clear();
        write!(date, "2025{:02}{:02}", 1 + month, days[month as usize]).expect("a String takes it");
        let package = Package { name, version, publisher, evidence: "deb", install_date: &date, ..Package::default() };
        ndi.package(&package, &[]).expect("a Vec takes it");
    }
    for [name, version, company, md5] in choose(on, &titles.files, titles.sizes.files.1) {
        let file = File {
            name,
            version,
            company,
            md5,
            size: Some(rng.bits() >> 44),
            last_modified: "20250102T101112",
            evidence: "file",
            ..File::default()
        };
        ndi.file(&file).expect("a Vec takes it");
    }
    for _ in 0..titles.sizes.services {
        let name = format!("{}-{}.service", word(rng), word(rng));
        let service =
            Service { name: &name, state: "running", start_mode: "auto", path: "/usr/sbin/acmed", account: "root" };
        ndi.service(&service).expect("a Vec takes it");
    }
    ndi.finish().expect("a Vec takes it")
}

fn hardware(ndi: &mut NdiWriter<Vec<u8>>, rng: &mut RngStream, machine: u64, (name, modules): (&str, usize)) {
    let mut object = |class, title, occurrence, pairs: &[(&str, String)]| {
        let properties: Vec<Property> = pairs.iter().map(|(name, value)| Property { name, value }).collect();
        let hardware = Hardware { class, name: title, occurrence, evidence: "dmi" };
        ndi.hardware(&hardware, &properties).expect("a Vec takes it");
    };
    let computer = [
        ("Name", name.to_owned()),
        ("Domain", "corp.example".into()),
        ("ComputerType", "Computer".into()),
        ("Manufacturer", "Acme Metal".into()),
        ("Model", format!("R-{}", 200 + rng.below(9) * 10)),
        ("MachineID", format!("{:016x}{:016x}", rng.bits(), machine)),
        ("UUID", Guid::from_random(rng.bytes()).to_string()),
        ("TotalPhysicalMemory", (16_u64 << 30).to_string()),
    ];
    object("MGS_ComputerSystem", name, 0, &computer);
    object("MGS_BIOS", "BIOS", 0, &[("SerialNumber", format!("AM-{machine:08}")), ("Version", "2.17.0".into())]);
    let system = [
        ("Caption", "Debian GNU/Linux 13".to_owned()),
        ("Version", format!("13.{}", rng.below(4))),
        ("KernelVersion", format!("6.12.{}-amd64", rng.below(40))),
        ("OSArchitecture", "x86_64".into()),
    ];
    object("MGS_OperatingSystem", "Debian GNU/Linux 13", 0, &system);
    for socket in 0..2 {
        let processor = [
            ("Name", "Acme Fast 3.0 GHz".to_owned()),
            ("MaxClockSpeed", "3000".into()),
            ("NumberOfCores", "16".into()),
            ("NumberOfLogicalProcessors", "32".into()),
        ];
        object("MGS_Processor", "CPU", socket, &processor);
    }
    for adapter in 0..4 {
        let bits = rng.bits();
        let address = [
            (
                "MACAddress",
                format!("02:1f:{:02x}:{:02x}:{:02x}:{adapter:02x}", bits & 255, bits >> 8 & 255, bits >> 16 & 255),
            ),
            ("IPAddress", format!("10.{}.{}.{}", bits >> 24 & 255, bits >> 32 & 255, bits >> 40 & 255)),
        ];
        object("MGS_NetworkAdapterConfiguration", "eth", adapter, &address);
    }
    for module in 0..modules as u32 {
        let values = [
            ("Manufacturer", word(rng).to_owned()),
            ("Model", format!("{}-{:06x}", word(rng), rng.bits() >> 40)),
            ("SerialNumber", format!("{:012x}", rng.bits() >> 16)),
            ("Capacity", (8_u64 << 30).to_string()),
            ("Caption", "Physical Memory".into()),
        ];
        object("MGS_PhysicalMemory", "Physical Memory", module, &values);
    }
}
