//! What a changed file of Matchers would do to the stored records, without doing it.
//!
//! The records are imported three times, in memory: as the rules are, until nothing changes by itself; then once more by
//! those rules and once by the changed ones. What only the last of them does is the changed file's doing.
//!
//! An import never parts what is one device: a record stays bound to it as long as it is the same machine (matching
//! reference, section 7, step 5). So a device that the changed Matchers would not make any more is told too, with the
//! parts an operator may take out (unmerge).

use std::collections::BTreeMap;

use crate::id::DeviceId;
use crate::matching::{ImportReport, Keys, Matchers, Plan, Record, Records, Rows, explain_pair, phase1, sentences};
use crate::model::device::{Device, DeviceFact, RecordKey};
use crate::model::staged::StagedRecord;
use crate::model::tenant::TenantState;
use crate::roles::server::import::{ImportRules, import, ready};
use crate::time::Timestamp;

/// Samples of each kind that are told; the others are counted.
pub const SAMPLES_MAX: usize = 20;
/// Records of a part, and parts of a device, that a sample names.
const NAMED_MAX: usize = 50;
/// Pairs of records that are tried for one that explains a sample.
const PAIRS_MAX: usize = 400;

/// How many there are, and some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// All of them.
    pub count: u64,
    /// The first [`SAMPLES_MAX`].
    pub samples: Vec<T>,
}

/// Devices that would be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedDevices {
    /// The one they would be.
    pub device: DeviceId,
    /// The others, ascending.
    pub others: Vec<DeviceId>,
    /// Why two of their records are one device; empty when no two records say it by themselves.
    pub sentences: Vec<String>,
}

/// A device whose records would not be together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitDevice {
    /// The device.
    pub device: DeviceId,
    /// Numbers of the records of each part, the part with the smallest number first.
    pub parts: Vec<Vec<u64>>,
    /// Whether the next import parts them; else they stay together, because they are bound, until an operator takes them apart.
    pub by_import: bool,
    /// Why a record of the first part and one of the second are not one device.
    pub sentences: Vec<String>,
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// Records that are stored.
    pub records: u64,
    /// Devices they are now, those merged into others not counted.
    pub devices: u64,
    /// Devices that would be one.
    pub merged: Listed<MergedDevices>,
    /// Devices that would be several.
    pub split: Listed<SplitDevice>,
    /// Records of devices that would be new, each by their numbers.
    pub appeared: Listed<Vec<u64>>,
    /// What the import by the changed rules would tell.
    pub report: ImportReport,
}

/// Tries `changed` in place of the Matchers of `rules`. `records` are all that are staged, `devices` all that are stored,
/// ascending.
pub fn dry_run(
    rules: &ImportRules,
    changed: Matchers,
    records: &[(RecordKey, StagedRecord)],
    devices: &[DeviceFact],
    state: &TenantState,
    now: Timestamp,
) -> DryRun {
    let changed = ImportRules { matchers: changed, ..rules.clone() };
    let settled = import(rules, records, devices, state, now);
    let before = Fleet(devices.iter().map(|fact| (fact.device.id, fact.clone())).collect()).after(settled.devices);
    let list: Vec<DeviceFact> = before.0.values().cloned().collect();
    let as_is = before.after(import(rules, records, &list, &settled.state, now).devices);
    let tried = import(&changed, records, &list, &settled.state, now);
    let after = before.after(tried.devices);
    let (as_is_places, places) = (as_is.places(), after.places());
    let trial = Trial::new(rules, &changed, records);

    let mut together: BTreeMap<DeviceId, Vec<DeviceId>> = BTreeMap::new();
    let mut split = Listed::default();
    for fact in before.devices() {
        let device = &fact.device;
        let parts_by = |places: &Places<'_>| parts(device, |record| places.get(record).copied());
        let (parts_as_is, parts) = (parts_by(&as_is_places), parts_by(&places));
        if let Some(end) = after.end(device.id, &parts)
            && as_is.end(device.id, &parts_as_is) != Some(end)
        {
            together.entry(end).or_default().push(device.id);
        }
        let by_import = parts.len() > parts_as_is.len();
        let parts: Vec<Vec<&RecordKey>> =
            if by_import { parts.into_values().collect() } else { trial.parts_anew(device) };
        if parts.len() > 1 {
            split.add(|| trial.split(device.id, &parts, by_import));
        }
    }
    let mut merged = Listed::default();
    for (device, others) in together {
        merged.add(|| {
            let sentences = trial.why_one(&before, device, &others);
            MergedDevices { device, others, sentences }
        });
    }
    let mut appeared = Listed::default();
    for fact in after.devices().filter(|fact| fact.device.id >= settled.state.next_device) {
        let records = fact.device.bindings.iter().map(|binding| &binding.record);
        let is_new_anyway =
            |record| as_is_places.get(record).is_some_and(|device| *device >= settled.state.next_device);
        if !records.clone().any(is_new_anyway) {
            appeared.add(|| trial.numbers(records.collect()));
        }
    }
    DryRun {
        records: records.len() as u64,
        devices: before.devices().count() as u64,
        merged,
        split,
        appeared,
        report: tried.report,
    }
}

/// Where records are.
type Places<'a> = BTreeMap<&'a RecordKey, DeviceId>;

impl<T> Default for Listed<T> {
    fn default() -> Listed<T> {
        Listed { count: 0, samples: Vec::new() }
    }
}

impl<T> Listed<T> {
    fn add(&mut self, sample: impl FnOnce() -> T) {
        self.count += 1;
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(sample());
        }
    }
}

/// The records of a device by where they are.
fn parts<K: Ord>(device: &Device, place: impl Fn(&RecordKey) -> Option<K>) -> BTreeMap<K, Vec<&RecordKey>> {
    let mut parts: BTreeMap<K, Vec<&RecordKey>> = BTreeMap::new();
    for binding in &device.bindings {
        if let Some(place) = place(&binding.record) {
            parts.entry(place).or_default().push(&binding.record);
        }
    }
    parts
}

/// All stored devices at some time.
struct Fleet(BTreeMap<DeviceId, DeviceFact>);

impl Fleet {
    fn after(&self, changes: Vec<DeviceFact>) -> Fleet {
        let mut devices = self.0.clone();
        devices.extend(changes.into_iter().map(|fact| (fact.device.id, fact)));
        Fleet(devices)
    }

    /// Those that are no aliases, ascending.
    fn devices(&self) -> impl Iterator<Item = &DeviceFact> {
        self.0.values().filter(|fact| fact.device.merged_into.is_none())
    }

    fn places(&self) -> Places<'_> {
        let of_device = |fact: &DeviceFact| fact.device.id;
        self.devices()
            .flat_map(|fact| fact.device.bindings.iter().map(move |binding| (&binding.record, of_device(fact))))
            .collect()
    }

    /// The other device that a device, whose records are now in `parts`, has gone into as a whole.
    fn end(&self, device: DeviceId, parts: &BTreeMap<DeviceId, Vec<&RecordKey>>) -> Option<DeviceId> {
        let winner = self.0.get(&device).and_then(|fact| fact.device.merged_into);
        let place = parts.keys().next().filter(|_| parts.len() == 1).copied();
        winner.or(place).filter(|place| *place != device)
    }
}

/// The records, and their sets by both lists of Matchers, matched without any device.
struct Trial<'a> {
    rules: &'a ImportRules,
    changed: &'a ImportRules,
    records: Vec<Record>,
    row_of: BTreeMap<&'a RecordKey, usize>,
    set_as_is: Vec<u32>,
    set: Vec<u32>,
}

impl<'a> Trial<'a> {
    fn new(rules: &'a ImportRules, changed: &'a ImportRules, records: &'a [(RecordKey, StagedRecord)]) -> Trial<'a> {
        let (ready, _) = ready(rules, records);
        let rows = Records::new(&ready);
        let row_of_number: BTreeMap<u64, usize> =
            (0..Rows::count(&rows)).map(|row| (rows.record_id(row), row)).collect();
        let row_of = records.iter().filter_map(|(key, staged)| Some((key, *row_of_number.get(&staged.number)?)));
        let row_of = row_of.collect();
        let sets = |rules: &ImportRules| {
            let plan = Plan::new(&rules.matchers);
            phase1(&plan, &rows, &Keys::new(&plan, &rows, &rules.placeholders), &rules.forbidden).set_of()
        };
        let (set_as_is, set) = (sets(rules), sets(changed));
        let sorted = (0..Rows::count(&rows)).map(|row| rows.get(row as u32).clone()).collect();
        Trial { rules, changed, records: sorted, row_of, set_as_is, set }
    }

    /// The parts of a device by the changed Matchers alone, where those as they are make fewer of it; else none.
    fn parts_anew<'d>(&self, device: &'d Device) -> Vec<Vec<&'d RecordKey>> {
        let by = |set: &[u32]| parts(device, |record| self.row_of.get(record).map(|row| set[*row]));
        let anew = by(&self.set);
        if anew.len() > by(&self.set_as_is).len() { anew.into_values().collect() } else { Vec::new() }
    }

    fn split(&self, device: DeviceId, parts: &[Vec<&RecordKey>], by_import: bool) -> SplitDevice {
        let sentences = self.explain(None, parts[0][0], parts[1][0]).unwrap_or_default();
        let mut parts: Vec<Vec<u64>> = parts.iter().map(|part| self.numbers(part.clone())).collect();
        parts.sort();
        parts.truncate(NAMED_MAX);
        SplitDevice { device, parts, by_import, sentences }
    }

    /// Numbers of records, ascending, no more than a sample names.
    fn numbers(&self, records: Vec<&RecordKey>) -> Vec<u64> {
        let number = |record: &RecordKey| self.row_of.get(record).map(|row| self.records[*row].record_id);
        let mut numbers: Vec<u64> = records.into_iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers.truncate(NAMED_MAX);
        numbers
    }

    /// A pair of records of `device` and of one of `others` that a changed Matcher joins and none of the present ones does.
    fn why_one(&self, before: &Fleet, device: DeviceId, others: &[DeviceId]) -> Vec<String> {
        let records = |device: &DeviceId| {
            before.0.get(device).into_iter().flat_map(|fact| &fact.device.bindings).map(|binding| &binding.record)
        };
        let of_others: Vec<&RecordKey> = others.iter().flat_map(records).collect();
        let pairs = records(&device).flat_map(|one| of_others.iter().map(move |other| (one, *other)));
        for (one, other) in pairs.take(PAIRS_MAX) {
            let Some([first, second]) = self.normalised(one, other) else { continue };
            let joins = |matchers: &Matchers| {
                let tried = explain_pair(matchers, None, &first.values, &second.values).tried;
                tried.into_iter().find(|tried| tried.failed.is_none()).map(|tried| tried.order)
            };
            if let Some(order) = joins(&self.changed.matchers).filter(|_| joins(&self.rules.matchers).is_none()) {
                return self.explain(Some(order), one, other).unwrap_or_default();
            }
        }
        Vec::new()
    }

    fn explain(&self, joined_by: Option<i64>, one: &RecordKey, other: &RecordKey) -> Option<Vec<String>> {
        let [first, second] = self.normalised(one, other)?;
        let explanation = explain_pair(&self.changed.matchers, joined_by, &first.values, &second.values);
        Some(sentences::of_pair([first.record_id, second.record_id], &explanation))
    }

    fn normalised(&self, one: &RecordKey, other: &RecordKey) -> Option<[&Record; 2]> {
        let of = |key: &RecordKey| self.row_of.get(key).map(|row| &self.records[*row]);
        Some([of(one)?, of(other)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::matching::tests::fixture::{pairs, xml};
    use crate::matching::{Forbidden, Placeholders, standard_matchers};
    use crate::model::inventory::{Details, ReportType};
    use crate::model::package::{Kind, Origin, PackageKey, Stream};
    use crate::model::staged::StagedReport;

    fn matchers(custom: &[&str]) -> Matchers {
        Matchers::load(standard_matchers(), Some(&xml(custom))).unwrap()
    }

    fn rules(custom: &[&str]) -> ImportRules {
        let (placeholders, forbidden) = (Placeholders::default(), Forbidden::default());
        ImportRules { matchers: matchers(custom), placeholders, forbidden, primary: None }
    }

    fn records(texts: &[&str]) -> Vec<(RecordKey, StagedRecord)> {
        let record = |(number, text): (u64, &&str)| {
            let mut staged = StagedRecord::new(number);
            let origin = Origin(format!("o{number}").into());
            staged.stage(StagedReport {
                stream: Stream::new(Kind::Inventories, "root", "Full"),
                package: PackageKey { origin, kind: Kind::Inventories, digest: Digest::of(text.as_bytes()) },
                report_type: ReportType::Full,
                effective: Timestamp(1_000),
                values: pairs(text).into_iter().collect(),
                details: Details::default(),
                titles: 0,
            });
            (RecordKey { source: "s".into(), external_id: format!("o{number}").into() }, staged)
        };
        (1..).zip(texts).map(record).collect()
    }

    /// Stores what an import by `rules` makes of the records, then tries `custom`.
    fn tried(rules: &ImportRules, texts: &[&str], custom: &[&str]) -> DryRun {
        let records = records(texts);
        let stored = import(rules, &records, &[], &TenantState::default(), Timestamp(5));
        dry_run(rules, matchers(custom), &records, &stored.devices, &stored.state, Timestamp(9))
    }

    const FLEET: [&str; 4] = [
        "MachineID=a | ComputerName=web",
        "MachineID=b | ComputerName=web",
        "MachineID=c | ComputerName=db",
        "MachineID=c | ComputerName=db",
    ];
    const BY_NAME: &str = "25: => ComputerName";

    #[test]
    fn the_same_matchers_change_nothing() {
        for custom in [&[][..], &[BY_NAME]] {
            let run = tried(&rules(custom), &FLEET, custom);
            assert_eq!(
                (run.records, run.merged.count, run.split.count, run.appeared.count),
                (4, 0, 0, 0),
                "{custom:?}"
            );
        }
    }

    #[test]
    fn a_matcher_more_merges_devices_and_says_why() {
        let run = tried(&rules(&[]), &FLEET, &[BY_NAME]);
        assert_eq!((run.devices, run.merged.count, run.split.count, run.appeared.count), (3, 1, 0, 0));
        let sample = &run.merged.samples[0];
        assert_eq!((sample.device, &sample.others[..]), (DeviceId(1), &[DeviceId(2)][..]));
        let first = "Records 1 and 2 are one device: Matcher 25 (m25) found ComputerName `web` in both.";
        assert_eq!(sample.sentences.first().map(String::as_str), Some(first));
        let by = run.report.matchers.iter().find(|by| by.order == 25).unwrap();
        assert_eq!((by.sets, by.records), (2, 4));
    }

    #[test]
    fn a_matcher_less_leaves_devices_together_and_tells_their_parts() {
        let run = tried(&rules(&[BY_NAME]), &FLEET, &[]);
        assert_eq!((run.devices, run.merged.count, run.split.count, run.appeared.count), (2, 0, 1, 0));
        let sample = &run.split.samples[0];
        assert_eq!((sample.device, &sample.parts[..], sample.by_import), (DeviceId(1), &[vec![1], vec![2]][..], false));
        assert_eq!(sample.sentences[0], "Records 1 and 2 are not one device: no Matcher joined them.");
        assert!(sample.sentences.iter().any(|line| line.contains("MachineID has to be the same")), "{sample:?}");
    }

    #[test]
    fn records_that_wait_for_an_import_are_no_change_of_the_file() {
        let (rules, records) = (rules(&[]), records(&FLEET));
        let run = dry_run(&rules, matchers(&[BY_NAME]), &records, &[], &TenantState::default(), Timestamp(9));
        assert_eq!((run.devices, run.merged.count, run.split.count, run.appeared.count), (3, 1, 0, 0));
    }

    #[test]
    fn many_are_counted_and_some_are_told() {
        let texts: Vec<String> = (0..200).map(|n| format!("MachineID=m{n} | ComputerName=pc{}", n / 2)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let run = tried(&rules(&[]), &texts, &[BY_NAME]);
        assert_eq!((run.merged.count, run.merged.samples.len()), (100, SAMPLES_MAX));
    }
}
