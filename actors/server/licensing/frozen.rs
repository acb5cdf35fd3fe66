//! The fleet of a tenant frozen as the folder of a reconcile: what is installed where, who used it, what machines are, and
//! the tables of licences as they are in force.
//!
//! The folder is the very input of the calculation, so that a run can be told, and calculated again, from what is kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hashbrown::{HashMap, HashSet};
use muster::config::library::Library;
use muster::id::DeviceId;
use muster::model::business::{BusinessKind, BusinessRow};
use muster::model::device::{Device, Provenance};
use muster::model::estate::{Number, Pair};
use muster::model::folder::{
    FleetDevice, FleetDevices, Folder, FolderError, KnownDevice, LicenceTable, ProvenanceTable, laid_out, push_row,
    with_numbers,
};
use muster::model::inventory::Detail;
use muster::model::software::{Title, TitleId};
use muster::model::usage::Usage;
use muster::model::usage_periods::UsagePeriods;
use muster::reconcile::evidence::install;
use muster::reconcile::{Recognised, Recogniser, RecogniserError};
use muster::time::Timestamp;
use rayon::prelude::*;

use super::standing::FleetReading;
use super::tables::{Files, TableError, TextFiles, all_tables, folder_of};
use crate::server::books::Books;
use crate::server::business_rows::BusinessRows;
use crate::server::fleet::{Fleet, FleetError};

/// Devices that are read together.
const PAGE: usize = 1_000;

/// Why a fleet cannot be frozen.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// The fleet.
    #[error("cannot read the fleet")]
    Fleet(#[from] FleetError),
    /// The tables.
    #[error(transparent)]
    Table(#[from] TableError),
    /// What is in them, together with the fleet.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The rules.
    #[error(transparent)]
    Recogniser(#[from] RecogniserError),
}

/// See the module's head.
#[derive(Debug)]
pub struct Frozen {
    /// The files but `installations.csv`, which is made of `folder` and `shown_by`.
    pub files: Files,
    /// The same as read, with the installations in their places.
    pub folder: Folder,
    /// For each application the devices that have it, ascending, and a title that shows it.
    pub shown_by: Vec<Vec<(Number, TitleId)>>,
    /// Titles that show something.
    pub titles: HashMap<TitleId, Title>,
    /// Distinct titles of the fleet, those that no rule knows, and those that rules ignore.
    pub counts: [u64; 3],
    /// Titles that no rule knows, ascending, and on how many devices each is.
    pub unrecognised: Vec<(Title, u64)>,
    /// What is odd about tables and fleet together, see the codes below: code, subject.
    pub problems: Vec<(&'static str, String)>,
    /// Who gave the figures of devices and the purchases.
    pub provenance: String,
    /// How many devices were read because they were not known, or are others now.
    pub read_anew: u64,
}

/// Device, place of the application, user.
type UsageRow = (DeviceId, u32, String);

/// What the devices have while they come.
struct Software<'r> {
    recognised: &'r Recognised<'r>,
    /// On how many devices each title is.
    seen: HashMap<TitleId, u64>,
    /// By place of the application: device by its place in the order of the fleet, and the title.
    found: Vec<Vec<(u32, TitleId)>>,
    usage: BTreeSet<UsageRow>,
}

/// A device as it was read: what takes time, done on all threads.
struct ReadDevice {
    id: DeviceId,
    /// `None`: it is an alias.
    device: Option<KnownDevice>,
    /// It stands among those that are known, as it is.
    is_known: bool,
    /// Who used its software most.
    user: Option<String>,
    usage: Vec<UsageRow>,
}

/// Freezes the fleet. Waits for the disk.
/// `primary` is the source whose details win. `known` is what the reading before left, and what this one leaves.
pub fn freeze(
    books: &Books,
    entitlements: &BusinessRows,
    library: &Library,
    primary: Option<&str>,
    now: Timestamp,
    known: &mut Option<FleetReading>,
) -> Result<Frozen, FreezeError> {
    let tables = all_tables(books)?;
    let mut files = folder_of(&tables, library.applications())?;
    let fleet = Fleet::of(books);
    let recogniser = Recogniser::new(library.rules().iter().cloned())?;
    let titles: HashMap<TitleId, Title> = fleet.all_titles()?.into_iter().collect();
    let mut all: Vec<(TitleId, &Title)> = titles.iter().map(|(id, title)| (*id, title)).collect();
    all.sort_unstable_by_key(|(id, _)| *id);
    let recognised = recogniser.recognise_all(all);
    let (before, mut reading) = (known.take(), FleetReading::begin(books));
    let mut before = before.and_then(|before| Some((before.changed(books)?, before.devices)));
    let reader = Reader { fleet, recognised: &recognised, titles: &titles, primary, now };
    let mut software = Software {
        recognised: &recognised,
        seen: HashMap::new(),
        found: vec![Vec::new(); recogniser.applications().len()],
        usage: BTreeSet::new(),
    };
    let mut devices = FleetDevices::new(tables.get(&LicenceTable::Devices).map(Vec::as_slice))?;
    let (mut after, mut place, mut read_anew) = (None, 0, 0);
    loop {
        let page = fleet.device_ids(after, PAGE);
        let Some(last) = page.last() else { break };
        after = Some(*last);
        let known = |id: DeviceId| (id, before.as_ref().and_then(|(changed, devices)| devices.find(id, changed)));
        for read in reader.read_all(page.into_par_iter().map(known).collect())? {
            let ReadDevice { id, device, is_known, user, usage } = read;
            read_anew += u64::from(!is_known);
            if let Some(FleetReading { devices, .. }) = &mut reading {
                match before.as_mut().filter(|_| is_known) {
                    Some((_, before)) => devices.keep(id, before),
                    None => devices.add(id, device.as_ref()),
                }
            }
            let Some(KnownDevice { mut row, titles, .. }) = device else { continue };
            software.add(&titles, usage, place);
            if let Some(user) = user {
                // Of several periods, so of no one date.
                row.used_by(&user, &Provenance { source: METERED.into(), date: 0 });
            }
            devices.add(row);
            place += 1;
        }
    }
    *known = reading;
    let Software { seen, found, usage, .. } = software;
    let mut table = devices.finish();
    let mut problems: Vec<(&'static str, String)> =
        table.unknown.into_iter().map(|name| (UNKNOWN_DEVICE, name)).collect();
    problems.extend(table.circular.iter().map(|device| (CIRCULAR_HOST, device.to_string())));
    for named in LicenceTable::ALL.into_iter().filter(|table| table.names_devices()) {
        if let Some(text) = files.get_mut(named.file()) {
            let (numbered, repeated) = with_numbers(named.form(), text, &table.names)?;
            *text = numbered.into_bytes();
            problems.extend(repeated.into_iter().map(|line| (REPEATED_ROW, format!("{}:{line}", named.file()))));
        }
    }
    metered(&mut files, &usage, &recogniser)?;
    let unreadable = bought(&mut files, entitlements, &mut table.given)?;
    problems.extend(unreadable.into_iter().map(|source| (UNREADABLE_SOURCE, source)));
    files.insert(LicenceTable::Devices.file(), table.text.into_bytes());
    let mut folder = Folder::read(&mut TextFiles(&files))?;
    let shown_by = in_place(&mut folder, &table.ids, &recogniser, found);
    install(&mut folder)?;
    let count = |titles: &[TitleId]| titles.iter().filter(|title| seen.contains_key(*title)).count() as u64;
    let counts = [seen.len() as u64, count(recognised.unrecognised()), count(recognised.ignored())];
    let unknown = recognised.unrecognised().iter().filter_map(|id| Some((titles.get(id)?.clone(), *seen.get(id)?)));
    let mut unrecognised: Vec<(Title, u64)> = unknown.collect();
    unrecognised.sort();
    drop(recognised);
    let showing: HashSet<TitleId> = shown_by.iter().flatten().map(|(_, title)| *title).collect();
    let titles = titles.into_iter().filter(|(id, _)| showing.contains(id)).collect();
    let provenance = table.given.into_text();
    Ok(Frozen { files, folder, shown_by, titles, counts, unrecognised, problems, provenance, read_anew })
}

/// The source of who used a device most.
const METERED: &str = "usage";
/// A device would run on itself by way of its hosts: its host is left out.
const CIRCULAR_HOST: &str = "circular_host";
/// An operator speaks of a device that nobody has.
const UNKNOWN_DEVICE: &str = "unknown_device";
/// A row says of a device what another one says of it by another name; the first counts.
const REPEATED_ROW: &str = "repeated_row";
/// Entitlements of a source cannot be read and are not counted.
const UNREADABLE_SOURCE: &str = "unreadable_source";

impl Software<'_> {
    /// Adds what a device has.
    fn add(&mut self, titles: &[TitleId], usage: Vec<UsageRow>, place: u32) {
        for (place_of, title) in titles.iter().enumerate() {
            // One for each architecture, side by side.
            if place_of == 0 || titles[place_of - 1] != *title {
                *self.seen.entry(*title).or_default() += 1;
            }
            for application in self.recognised.places(*title) {
                let found = &mut self.found[application as usize];
                // Of several titles the one with the lowest number, which comes first.
                if found.last().is_none_or(|(last, _)| *last != place) {
                    found.push((place, *title));
                }
            }
        }
        self.usage.extend(usage);
    }
}

/// Reads devices.
struct Reader<'r> {
    fleet: Fleet<'r>,
    recognised: &'r Recognised<'r>,
    titles: &'r HashMap<TitleId, Title>,
    primary: Option<&'r str>,
    now: Timestamp,
}

impl Reader<'_> {
    /// Reads devices; of those that are known only their use.
    fn read_all(&self, devices: Vec<(DeviceId, Option<Option<KnownDevice>>)>) -> Result<Vec<ReadDevice>, FleetError> {
        let unknown: Vec<DeviceId> = devices.iter().filter(|(_, known)| known.is_none()).map(|(id, _)| *id).collect();
        let facts = self.fleet.device_facts(&unknown)?;
        let facts: HashMap<DeviceId, Device> = facts.into_iter().map(|fact| (fact.device.id, fact.device)).collect();
        let read = devices.into_par_iter().map(|(id, known)| {
            let is_known = known.is_some();
            let device = match known {
                Some(known) => known,
                // One that is gone since it was listed is none.
                None => match facts.get(&id).filter(|device| device.merged_into.is_none()) {
                    Some(device) => Some(self.read(device.clone())?),
                    None => None,
                },
            };
            let (user, usage) = device.as_ref().map_or(Ok((None, Vec::new())), |device| self.usage(id, device))?;
            Ok(ReadDevice { id, device, is_known, user, usage })
        });
        read.collect()
    }

    fn read(&self, device: Device) -> Result<KnownDevice, FleetError> {
        let whole = self.fleet.whole(device)?;
        let titles: Vec<TitleId> = self.fleet.titles(&whole)?.into_iter().map(|installed| installed.title).collect();
        let details = whole.details(self.primary);
        let detail = |wanted: Detail| {
            details.iter().find(|(detail, ..)| *detail == wanted).map(|(_, text, giver)| (text.as_str(), giver))
        };
        let row = FleetDevice::of(&whole.device, detail);
        let records = whole.device.bindings.iter().map(|binding| binding.record.clone()).collect();
        Ok(KnownDevice { row, records, titles })
    }

    /// Who used the software of a device longest, and who used which application.
    fn usage(&self, id: DeviceId, device: &KnownDevice) -> Result<(Option<String>, Vec<UsageRow>), FleetError> {
        let periods = self.fleet.usage_of(device.records.iter(), self.now)?;
        if periods.iter().all(UsagePeriods::is_empty) {
            return Ok((None, Vec::new()));
        }
        let mut by_name: HashMap<(&str, &str), TitleId> = HashMap::new();
        for number in &device.titles {
            if let Some(title) = self.titles.get(number) {
                by_name.entry((title.name(), title.version())).or_insert(*number);
            }
        }
        let (mut users, mut rows): (BTreeMap<String, Usage>, Vec<_>) = (BTreeMap::new(), Vec::new());
        for (_, period) in periods.iter().flat_map(UsagePeriods::iter) {
            let user = match &*period.domain {
                "" => period.user.to_string(),
                domain => format!("{domain}\\{}", period.user),
            };
            for (application, usage) in period.rows() {
                let sum = users.entry(user.clone()).or_default();
                *sum = sum.plus(*usage);
                let Some(title) = by_name.get(&(&*application.name, &*application.version)) else { continue };
                rows.extend(self.recognised.places(*title).map(|place| (id, place, user.clone())));
            }
        }
        // Of two of one length the first by name.
        let longest = users.into_iter().rev().max_by_key(|(_, usage)| (usage.active_secs, usage.run_secs));
        Ok((longest.map(|(user, _)| user), rows))
    }
}

/// Adds what agents metered to the table of use.
fn metered(files: &mut Files, usage: &BTreeSet<UsageRow>, recogniser: &Recogniser) -> Result<(), FolderError> {
    if usage.is_empty() {
        return Ok(());
    }
    let form = LicenceTable::Usage.form();
    let said = files.remove(form.file).unwrap_or_default();
    let mut text = laid_out(form, &said)?;
    for (device, place, user) in usage {
        let application = recogniser.applications()[*place as usize].as_str();
        push_row(&mut text, [device.to_string().as_str(), application, user, ""].into_iter());
    }
    files.insert(form.file, text.into_bytes());
    Ok(())
}

/// Adds the entitlements of business files to their table; which sources cannot be read.
fn bought(files: &mut Files, rows: &BusinessRows, given: &mut ProvenanceTable) -> Result<Vec<String>, FreezeError> {
    let form = LicenceTable::Entitlements.form();
    let said = files.remove(form.file).unwrap_or_default();
    let mut text = laid_out(form, &said)?;
    let lines = |text: &str| memchr::memchr_iter(b'\n', text.as_bytes()).count();
    let mut line = lines(&text) + 1;
    let unreadable = rows.each(
        BusinessKind::Entitlements,
        |_| true,
        |source, row| {
            let BusinessRow::Entitlement(row) = row else { return };
            let quantity = row.quantity.map_or("unlimited".to_owned(), |quantity| quantity.to_string());
            let day = |day: Option<muster::model::day::Day>| day.map(|day| day.to_string()).unwrap_or_default();
            let (effective, expiry) = (day(row.effective), day(row.expiry));
            let retired = if row.retired { "yes" } else { "" };
            let start = text.len();
            push_row(&mut text, [row.license.as_str(), &quantity, &effective, &expiry, retired].into_iter());
            given.purchase(line, source);
            line += lines(&text[start..]);
        },
    )?;
    files.insert(form.file, text.into_bytes());
    Ok(unreadable)
}

/// Puts the installations into the folder, by the numbers of its devices and applications; gives them back with the titles
/// that show them.
fn in_place(
    folder: &mut Folder,
    ids: &[DeviceId],
    recogniser: &Recogniser,
    found: Vec<Vec<(u32, TitleId)>>,
) -> Vec<Vec<(Number, TitleId)>> {
    let (mut text, mut numbers) = (String::new(), Vec::with_capacity(ids.len()));
    for id in ids {
        text.clear();
        let _ = write!(text, "{id}");
        numbers.push(folder.estate.device_ids.find(&text).expect("every device stands in the table"));
    }
    let mut shown_by = vec![Vec::new(); folder.estate.applications.len()];
    for (id, found) in recogniser.applications().iter().zip(found) {
        // Every application of a rule stands in its library.
        let Some(application) = folder.estate.application_ids.find(id.as_str()) else { continue };
        let mut rows: Vec<(Number, TitleId)> =
            found.into_iter().map(|(place, title)| (numbers[place as usize], title)).collect();
        rows.sort_unstable();
        let pairs: Vec<Pair> = rows.iter().map(|(device, _)| (application, *device)).collect();
        folder.known.push(pairs);
        shown_by[application as usize] = rows;
    }
    shown_by
}
