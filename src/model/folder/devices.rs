//! `devices.csv`: the devices of an estate.
//!
//! Source: reconcile-files reference, section 2.

use std::borrow::Cow;
use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};
use rayon::prelude::*;

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

/// Devices as one thread reads them, with numbers of its own.
#[derive(Default)]
struct Part<'t> {
    read: Vec<Read<'t>>,
    hosts: Texts,
    texts: Texts,
    names: Names,
    classes: HashMap<[Box<str>; 5], Number>,
    class_list: Vec<Class>,
    /// Classes by their texts as they are written: most rows spell one that was read before.
    spellings: HashTable<([Box<str>; 5], Number)>,
    hasher: DefaultHashBuilder,
}

/// Bytes of the file that one thread reads at a time.
const PART_BYTES: usize = 1 << 20;

/// Reads the devices into `estate`: ids, devices and what they refer to. Users and groups keep provisional names. On as many
/// threads as there are; texts are numbered as they come in the file all the same.
pub fn read_devices(
    table: Table<'_>,
    estate: &mut Estate,
    names: &mut Names,
    notes: &mut Notes,
) -> Result<(), FolderError> {
    let parts: Vec<_> = table.parts(PART_BYTES).par_iter().map(Part::read).collect();
    let mut parts = parts.into_iter().collect::<Result<Vec<Part<'_>>, FolderError>>()?;
    let taken: Vec<Names> = parts.iter_mut().map(|part| std::mem::take(&mut part.names)).collect();
    let ids = || Ids::of(parts.iter().flat_map(|part| &part.read).map(|read| &*read.id));
    let (renamed, ids) = rayon::join(|| taken.into_iter().map(|part| names.absorb(part)).collect::<Vec<_>>(), ids);
    let count = parts.iter().map(|part| part.read.len()).sum();
    if ids.len() < count {
        return Err(named_twice(parts.iter().flat_map(|part| &part.read)));
    }
    let (mut texts, mut hosts) = (Texts::default(), Texts::default());
    let (mut classes, mut class_list) = (HashMap::new(), Vec::new());
    let mut lines = vec![0_usize; count];
    let mut devices = vec![Device::default(); count];
    let mut near = 0;
    for (part, renamed) in parts.into_iter().zip(renamed) {
        let text_by = texts.absorb(part.texts);
        let text = |text: Number| text_by[text as usize];
        // Hosts are few: each name is looked up once for a part.
        let found: Vec<Option<Slot>> = part.hosts.iter().map(|host| ids.find(host).map(Slot::new)).collect();
        for (host, _) in part.hosts.iter().zip(&found).skip(1).filter(|(_, device)| device.is_none()) {
            hosts.number(host);
        }
        let class_by: Vec<Number> = part
            .class_list
            .into_iter()
            .map(|class| {
                *classes.entry(class.texts).or_insert_with_key(|texts| {
                    class_list.push(Class { texts: texts.clone() });
                    class_list.len() as Number - 1
                })
            })
            .collect();
        for Read { id, line, device, host, share } in part.read {
            let number = ids.find_near(&id, near).expect("every id was numbered");
            near = number;
            lines[number as usize] = line;
            devices[number as usize] = Device {
                host: if host == Texts::BLANK { None } else { found[host as usize] },
                cluster: text(device.cluster),
                region: text(device.region),
                role: text(device.role),
                group: renamed.group(device.group),
                assigned_user: renamed.user(device.assigned_user),
                calculated_user: renamed.user(device.calculated_user),
                class: class_by[device.class as usize],
                ..device
            };
            if share != Share::default() {
                estate.shares.push((number, share));
            }
        }
    }
    // The first is the blank one.
    hosts.iter().skip(1).for_each(|host| notes.warn(WarningCode::UnknownDevice, host));
    estate.shares.sort_by_key(|&(device, _)| device);
    let host = |device: Number| devices[device as usize].host.map(Slot::get);
    if let Some(in_cycle) = in_cycle(count, host) {
        let line = in_cycle.into_iter().map(|device| lines[device as usize]).min().unwrap_or_default();
        let problem = "runs on itself by way of its hosts, mend one of them";
        return Err(FolderError::cell(DEVICES.file, line, DEVICES.columns[HOST], problem));
    }
    (estate.device_ids, estate.devices, estate.texts, estate.classes) = (ids, devices, texts, class_list);
    Ok(())
}

impl<'t> Part<'t> {
    fn read(table: &Table<'t>) -> Result<Part<'t>, FolderError> {
        let mut part = Part::default();
        table.rows(|row| part.read_row(row).map_err(|bad| bad.refused(row)))?;
        Ok(part)
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
        let hash = self.hasher.hash_one(texts);
        let is_known =
            |(known, _): &([Box<str>; 5], Number)| known.iter().zip(texts).all(|(known, text)| **known == *text);
        if let Some((_, number)) = self.spellings.find(hash, is_known) {
            return *number;
        }
        let folded = texts.map(|text| Box::<str>::from(fold(text)));
        let list = &mut self.class_list;
        let number = *self.classes.entry(folded).or_insert_with_key(|texts| {
            list.push(Class { texts: texts.clone() });
            list.len() as Number - 1
        });
        let hasher = &self.hasher;
        self.spellings.insert_unique(hash, (texts.map(Box::from), number), |(texts, _)| hasher.hash_one(texts));
        number
    }
}

fn named_twice<'r, 't: 'r>(read: impl IntoIterator<Item = &'r Read<'t>>) -> FolderError {
    let mut seen = HashSet::new();
    let again = read.into_iter().find(|read| !seen.insert(&*read.id)).expect("fewer ids than rows");
    second(&DEVICES, again.line, &[again.id.clone().into()])
}

#[cfg(test)]
mod tests {
    use super::super::table::text;
    use super::*;

    fn read(file: &str) -> (Estate, Names, Notes) {
        let (mut estate, mut names, mut notes) = (Estate::default(), Names::default(), Notes::default());
        let table = Table::open(&DEVICES, text(&DEVICES, file.as_bytes()).unwrap()).unwrap().unwrap();
        read_devices(table, &mut estate, &mut names, &mut notes).unwrap();
        (estate, names, notes)
    }

    #[test]
    fn a_file_that_is_read_in_parts_reads_as_one_that_is_read_whole() {
        let mut rows = String::new();
        let most = 40_000_u64;
        for row in 0..most {
            // Not sorted, each once: 7 and 40,000 have no divisor in common.
            let device = row * 7 % most;
            let kind = if device % 3 == 1 { "vm" } else { "Physical" };
            let host = if device % 3 == 1 { format!("d{:05}", device - 1) } else { String::new() };
            let host = if device == 4 { "nobody's".to_owned() } else { host };
            let (user, group) = (device * 31 % 997, device % 41);
            let family = ["Xeon", "xeon", "EPYC"][(device % 3) as usize];
            rows += &format!("d{device:05},{kind},{host},r{},{family},g{group},u{user},{}\n", device % 53, device % 9);
        }
        let header = "device,kind,host,region,family,group,assigned_user,cores\n";
        assert!(rows.len() > PART_BYTES, "more than one part");
        let (in_parts, part_names, part_notes) = read(&format!("{header}{rows}"));
        // With a quote in it a file is one part.
        let (whole, names, notes) = read(&format!("{header}\"{}", rows.replacen(',', "\",", 1)));
        assert_eq!((&in_parts.devices, &in_parts.classes), (&whole.devices, &whole.classes));
        assert_eq!(in_parts.device_ids.iter().collect::<Vec<_>>(), whole.device_ids.iter().collect::<Vec<_>>());
        assert_eq!(in_parts.texts.iter().collect::<Vec<_>>(), whole.texts.iter().collect::<Vec<_>>());
        assert_eq!(part_notes.warnings, notes.warnings);
        let ((users, groups), (part_users, part_groups)) = (names.renumbered(), part_names.renumbered());
        for (ids, parts) in [(users.ids, part_users.ids), (groups.ids, part_groups.ids)] {
            assert_eq!(ids.iter().collect::<Vec<_>>(), parts.iter().collect::<Vec<_>>());
        }
        assert_eq!((in_parts.devices.len(), notes.warnings.len()), (most as usize, 1));
        let device = in_parts.device(in_parts.device_ids.find("d00007").unwrap());
        assert_eq!(device.host.map(Slot::get), in_parts.device_ids.find("d00006"));
    }
}
