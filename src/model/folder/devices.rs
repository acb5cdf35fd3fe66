//! `devices.csv`: the devices of an estate.
//!
//! Source: reconcile-files reference, section 2.

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};

use super::names::Names;
use super::notes::Notes;
use super::table::{FolderError, Form, Row, Table, second};
use crate::model::decimal::Decimal;
use crate::model::estate::{Class, Device, Estate, Ids, Kind, Number, Partition, Share, Slot, Texts, in_cycle};
use crate::model::pattern::fold;
use crate::model::reconciliation::WarningCode;

/// The form of the file.
pub const DEVICES: Form = Form {
    file: "devices.csv",
    columns: &[
        "device",
        "name",
        "kind",
        "os",
        "host",
        "cluster",
        "partition",
        "entitled_capacity",
        "pool_cores",
        "processors",
        "cores",
        "threads",
        "vendor",
        "family",
        "model",
        "bought",
        "hosted_in",
        "region",
        "chassis",
        "group",
        "role",
        "assigned_user",
        "calculated_user",
    ],
    required: &["device"],
    key: &["device"],
};

const KIND: usize = 2;
const OS: usize = 3;
const HOST: usize = 4;
const CLUSTER: usize = 5;
const PARTITION: usize = 6;
const ENTITLED_CAPACITY: usize = 7;
const POOL_CORES: usize = 8;
const PROCESSORS: usize = 9;
const CORES: usize = 10;
const THREADS: usize = 11;
const CLASS: [usize; 5] = [12, 13, 14, OS, HOSTED_IN];
const BOUGHT: usize = 15;
const HOSTED_IN: usize = 16;
const REGION: usize = 17;
const CHASSIS: usize = 18;
const GROUP: usize = 19;
const ROLE: usize = 20;
const USERS: [usize; 2] = [21, 22];

/// A device as its row says it; host, group and users by their provisional names.
struct Read<'t> {
    id: Cow<'t, str>,
    line: usize,
    device: Device,
    host: Number,
    share: Share,
}

/// Devices while they are read.
struct Devices<'t, 'n> {
    read: Vec<Read<'t>>,
    hosts: Texts,
    texts: Texts,
    classes: HashMap<[Box<str>; 5], Number>,
    class_list: Vec<Class>,
    /// The class of the row before: neighbours are often alike.
    last: ([String; 5], Number),
    names: &'n mut Names,
}

/// Reads the devices into `estate`: ids, devices and what they refer to. Users and groups keep provisional names.
pub fn read_devices(
    table: &Table<'_>,
    estate: &mut Estate,
    names: &mut Names,
    notes: &mut Notes,
) -> Result<(), FolderError> {
    let mut devices = Devices {
        read: Vec::new(),
        hosts: Texts::default(),
        texts: Texts::default(),
        classes: HashMap::new(),
        class_list: Vec::new(),
        last: (Default::default(), Number::MAX),
        names,
    };
    table.rows(|row| devices.add(row))?;
    let Devices { read, hosts, texts, class_list, .. } = devices;
    estate.device_ids = Ids::of(read.iter().map(|read| &*read.id));
    if estate.device_ids.len() < read.len() {
        return Err(named_twice(&read));
    }
    // Hosts are few: each name is looked up once.
    let found: Vec<Option<Slot>> =
        (0..hosts.count() as Number).map(|host| estate.device_ids.find(hosts.text(host)).map(Slot::new)).collect();
    // The first is the blank one.
    for (host, _) in (0..).zip(&found).skip(1).filter(|(_, device)| device.is_none()) {
        notes.warn(WarningCode::UnknownDevice, hosts.text(host));
    }
    let mut lines = vec![0_usize; read.len()];
    estate.devices = vec![Device::default(); read.len()];
    let mut near = 0;
    for read in read {
        let number = estate.device_ids.find_near(&read.id, near).expect("every id was numbered");
        near = number;
        lines[number as usize] = read.line;
        let host = if read.host == Texts::BLANK { None } else { found[read.host as usize] };
        estate.devices[number as usize] = Device { host, ..read.device };
        if read.share != Share::default() {
            estate.shares.push((number, read.share));
        }
    }
    estate.shares.sort_by_key(|&(device, _)| device);
    estate.texts = texts;
    estate.classes = class_list;
    let host = |device: Number| estate.devices[device as usize].host.map(Slot::get);
    match in_cycle(estate.devices.len(), host) {
        Some(devices) => {
            let line = devices.into_iter().map(|device| lines[device as usize]).min().unwrap_or_default();
            Err(FolderError::cell(
                DEVICES.file,
                line,
                DEVICES.columns[HOST],
                "runs on itself by way of its hosts, mend one of them",
            ))
        }
        None => Ok(()),
    }
}

impl<'t> Devices<'t, '_> {
    fn add(&mut self, row: &Row<'t, '_>) -> Result<(), FolderError> {
        self.read_row(row).map_err(|bad| bad.refused(row))
    }

    fn read_row(&mut self, row: &Row<'t, '_>) -> Result<(), super::cells::BadCell> {
        let known = |number: Option<Decimal>| number.unwrap_or_default();
        let os = row.text(OS);
        let device = Device {
            kind: match row.word(KIND, &["physical", "vm"])? {
                Some(1) => Kind::Vm,
                _ => Kind::Physical,
            },
            partition: match row.word(PARTITION, &["soft", "hard", "capped", "uncapped"])? {
                Some(1) => Partition::Hard,
                Some(2) => Partition::Capped,
                Some(3) => Partition::Uncapped,
                _ => Partition::Soft,
            },
            in_cloud: Device::cloud(row.text(HOSTED_IN)),
            is_portable: Device::portable(row.text(CHASSIS)),
            is_windows: fold(os).starts_with("windows"),
            host: None,
            cluster: self.texts.number(row.text(CLUSTER)),
            region: self.texts.number(row.text(REGION)),
            role: self.texts.number(row.text(ROLE)),
            group: self.names.group(row.text(GROUP)),
            assigned_user: self.names.user(row.text(USERS[0])),
            calculated_user: self.names.user(row.text(USERS[1])),
            class: self.class(row),
            bought: row.date(BOUGHT)?,
            processors: row.integer(PROCESSORS)?.unwrap_or(0),
            cores: known(row.number(CORES)?),
            threads: known(row.number(THREADS)?),
        };
        let share = Share {
            entitled_capacity: known(row.number(ENTITLED_CAPACITY)?),
            pool_cores: known(row.number(POOL_CORES)?),
        };
        let host = self.hosts.number(row.text(HOST));
        self.read.push(Read { id: row.whole_text(0), line: row.line(), device, host, share });
        Ok(())
    }

    fn class(&mut self, row: &Row<'_, '_>) -> Number {
        let texts = CLASS.map(|column| row.text(column));
        if self.last.1 != Number::MAX && self.last.0.iter().zip(texts).all(|(known, text)| known == text) {
            return self.last.1;
        }
        let folded = texts.map(|text| Box::<str>::from(fold(text)));
        let list = &mut self.class_list;
        let number = *self.classes.entry(folded).or_insert_with_key(|texts| {
            list.push(Class { texts: texts.clone() });
            list.len() as Number - 1
        });
        self.last = (texts.map(str::to_owned), number);
        number
    }
}

fn named_twice(read: &[Read<'_>]) -> FolderError {
    let mut seen = HashSet::new();
    let again = read.iter().find(|read| !seen.insert(&*read.id)).expect("fewer ids than rows");
    second(&DEVICES, again.line, &[again.id.clone().into()])
}
