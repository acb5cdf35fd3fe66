//! What a changed file of Matchers would do to the stored records, without doing it.
//!
//! The records are imported three times, in memory: once by the rules as they are, so that nothing waits; then once more by
//! those and once by the changed ones. What only the last of them does is the changed file's doing.
//!
//! An import never parts what is one device: a record stays bound to it as long as it is the same machine (matching
//! reference, section 7, step 5). So all records are also imported into an empty store, by both lists of Matchers, until
//! nothing changes any more. A device whose records the present ones put together there and the changed ones do not is told
//! with the parts that an operator may take out (unmerge), and these are the devices that would appear.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::DeviceId;
use crate::matching::{ImportReport, Matchers, Record, Tie, explain_pair, sentences};
use crate::model::device::{Binding, DeviceFact, RecordKey};
use crate::model::staged::StagedRecord;
use crate::model::tenant::TenantState;
use crate::roles::server::import::{ImportRules, import, ready};
use crate::time::Timestamp;

/// Samples of each kind that are told; the others are counted.
pub const SAMPLES_MAX: usize = 20;
/// Records of a part, and parts of a device, that a sample names.
const NAMED_MAX: usize = 50;
/// Imports into an empty store; chains that phase 1 has cut close in two or three.
const ROUNDS_MAX: usize = 5;
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

/// A device whose records would all go to another one, while it stays, without records: no one set hits both by one Matcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptiedDevice {
    /// The device.
    pub device: DeviceId,
    /// Where its records would be.
    pub into: DeviceId,
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
    /// Devices that are stored, those merged into others not counted.
    pub devices: u64,
    /// Devices that would be one: a sample for each that would take in others.
    pub merged: Listed<MergedDevices>,
    /// Devices that would be left without records.
    pub emptied: Listed<EmptiedDevice>,
    /// Devices that would be several.
    pub split: Listed<SplitDevice>,
    /// Devices that would be new, each by the numbers of its records: by the next import, or when an operator parts those of
    /// `split`.
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
    let before = Fleet::of(devices).after(settled.devices);
    let list = before.facts();
    let as_is = before.after(import(rules, records, &list, &settled.state, now).devices);
    let tried = import(&changed, records, &list, &settled.state, now);
    drop(list);
    let after = before.after(tried.devices);
    let (anew_as_is, anew) = (Fleet::anew(rules, records, now), Fleet::anew(&changed, records, now));
    let [as_is_places, places] = [as_is.places(), after.places()];
    let [anew_as_is_places, anew_places] = [anew_as_is.places(), anew.places()];
    let trial = Trial::new(rules, &changed, records);

    let mut together: BTreeMap<DeviceId, Vec<DeviceId>> = BTreeMap::new();
    let (mut split, mut appeared, mut emptied) = (Listed::default(), Listed::default(), Listed::default());
    for fact in before.devices() {
        let device = &fact.device;
        let parts_by = |places: &Places<'_>| parts(&device.bindings, |record| places.get(record).copied());
        let (parts_as_is, parts_of_import) = (parts_by(&as_is_places), parts_by(&places));
        if let Some(end) = after.end(device.id, &parts_of_import)
            && as_is.end(device.id, &parts_as_is) != Some(end)
        {
            if after.is_alias(device.id) {
                together.entry(end).or_default().push(device.id);
            } else {
                emptied.add(|| EmptiedDevice { device: device.id, into: end });
            }
        }
        let by_import = parts_of_import.len() > parts_as_is.len();
        let mut parts: Vec<Vec<u64>> = if by_import {
            parts_of_import.values().map(|part| trial.numbers(part)).collect()
        } else {
            // Some two of its records are together by the present Matchers, and are not by the changed ones.
            let pairs = |record: &RecordKey| Some((*anew_as_is_places.get(record)?, *anew_places.get(record)?));
            let both = parts_by(&anew_as_is_places).len();
            let is_parted = parts(&device.bindings, pairs).len() > both;
            if !is_parted {
                continue;
            }
            parts_by(&anew_places).values().map(|part| trial.numbers(part)).collect()
        };
        parts.sort();
        if !by_import {
            parts.iter().skip(1).for_each(|part| appeared.add(|| named(part)));
        }
        split.add(|| trial.split(device.id, &parts, by_import));
    }
    let mut merged = Listed::default();
    for (device, others) in together {
        merged.add(|| {
            let sentences = trial.why_one(&before, device, &others);
            MergedDevices { device, others, sentences }
        });
    }
    for fact in after.devices().filter(|fact| fact.device.id >= settled.state.next_device) {
        let records: Vec<&RecordKey> = fact.device.bindings.iter().map(|binding| &binding.record).collect();
        let is_new_anyway =
            |record: &&RecordKey| as_is_places.get(record).is_some_and(|device| *device >= settled.state.next_device);
        if !records.iter().any(is_new_anyway) {
            appeared.add(|| named(&trial.numbers(&records)));
        }
    }
    DryRun {
        records: records.len() as u64,
        devices: devices.iter().filter(|fact| fact.device.merged_into.is_none()).count() as u64,
        merged,
        emptied,
        split,
        appeared,
        report: tried.report,
    }
}

/// No more than a sample names.
fn named(numbers: &[u64]) -> Vec<u64> {
    numbers.iter().copied().take(NAMED_MAX).collect()
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

/// Records by where they are.
fn parts<K: Ord>(bindings: &[Binding], place: impl Fn(&RecordKey) -> Option<K>) -> BTreeMap<K, Vec<&RecordKey>> {
    let mut parts: BTreeMap<K, Vec<&RecordKey>> = BTreeMap::new();
    for binding in bindings {
        if let Some(place) = place(&binding.record) {
            parts.entry(place).or_default().push(&binding.record);
        }
    }
    parts
}

/// All stored devices at some time. Those that do not change from one time to another are held once.
struct Fleet(BTreeMap<DeviceId, Arc<DeviceFact>>);

impl Fleet {
    fn of(devices: &[DeviceFact]) -> Fleet {
        Fleet(devices.iter().map(|fact| (fact.device.id, Arc::new(fact.clone()))).collect())
    }

    fn after(&self, changes: Vec<DeviceFact>) -> Fleet {
        let mut devices = self.0.clone();
        devices.extend(changes.into_iter().map(|fact| (fact.device.id, Arc::new(fact))));
        Fleet(devices)
    }

    /// What becomes of the records in an empty store, when they are imported until nothing changes.
    fn anew(rules: &ImportRules, records: &[(RecordKey, StagedRecord)], now: Timestamp) -> Fleet {
        let (mut fleet, mut state) = (Fleet(BTreeMap::new()), TenantState::default());
        for _ in 0..ROUNDS_MAX {
            let imported = import(rules, records, &fleet.facts(), &state, now);
            state = imported.state;
            if imported.devices.is_empty() {
                break;
            }
            fleet = fleet.after(imported.devices);
        }
        fleet
    }

    fn facts(&self) -> Vec<DeviceFact> {
        self.0.values().map(|fact| DeviceFact::clone(fact)).collect()
    }

    /// Those that are no aliases, ascending.
    fn devices(&self) -> impl Iterator<Item = &DeviceFact> {
        self.0.values().map(|fact| &**fact).filter(|fact| fact.device.merged_into.is_none())
    }

    fn places(&self) -> Places<'_> {
        let of_device = |fact: &DeviceFact| fact.device.id;
        self.devices()
            .flat_map(|fact| fact.device.bindings.iter().map(move |binding| (&binding.record, of_device(fact))))
            .collect()
    }

    fn is_alias(&self, device: DeviceId) -> bool {
        self.0.get(&device).is_some_and(|fact| fact.device.merged_into.is_some())
    }

    /// The other device that a device, whose records are now in `parts`, has gone into as a whole.
    fn end(&self, device: DeviceId, parts: &BTreeMap<DeviceId, Vec<&RecordKey>>) -> Option<DeviceId> {
        let winner = self.0.get(&device).and_then(|fact| fact.device.merged_into);
        let place = parts.keys().next().filter(|_| parts.len() == 1).copied();
        winner.or(place).filter(|place| *place != device)
    }
}

/// The records, to explain what becomes of them.
struct Trial<'a> {
    rules: &'a ImportRules,
    changed: &'a ImportRules,
    records: BTreeMap<&'a RecordKey, Record>,
    key_of: BTreeMap<u64, &'a RecordKey>,
}

impl<'a> Trial<'a> {
    fn new(rules: &'a ImportRules, changed: &'a ImportRules, records: &'a [(RecordKey, StagedRecord)]) -> Trial<'a> {
        let (ready, _) = ready(rules, records);
        let key_of = records.iter().map(|(key, staged)| (staged.number, key)).collect();
        Trial { rules, changed, records: records.iter().map(|(key, _)| key).zip(ready).collect(), key_of }
    }

    fn split(&self, device: DeviceId, parts: &[Vec<u64>], by_import: bool) -> SplitDevice {
        let first = |part: usize| parts.get(part).and_then(|part| self.key_of.get(part.first()?));
        let sentences = first(0).zip(first(1)).and_then(|(one, other)| self.explain(Tie::Apart, one, other));
        let parts = parts.iter().take(NAMED_MAX).map(|part| named(part)).collect();
        SplitDevice { device, parts, by_import, sentences: sentences.unwrap_or_default() }
    }

    /// Numbers of records, ascending.
    fn numbers(&self, records: &[&RecordKey]) -> Vec<u64> {
        let mut numbers: Vec<u64> =
            records.iter().filter_map(|record| self.records.get(record)).map(|record| record.record_id).collect();
        numbers.sort_unstable();
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
                let tried = explain_pair(matchers, Tie::Apart, &first.values, &second.values).tried;
                tried.into_iter().find(|tried| tried.failed.is_none()).map(|tried| tried.order)
            };
            if let Some(order) = joins(&self.changed.matchers).filter(|_| joins(&self.rules.matchers).is_none()) {
                return self.explain(Tie::One([Some(order); 2]), one, other).unwrap_or_default();
            }
        }
        Vec::new()
    }

    fn explain(&self, tie: Tie, one: &RecordKey, other: &RecordKey) -> Option<Vec<String>> {
        let [first, second] = self.normalised(one, other)?;
        let explanation = explain_pair(&self.changed.matchers, tie, &first.values, &second.values);
        Some(sentences::of_pair([first.record_id, second.record_id], &explanation))
    }

    fn normalised(&self, one: &RecordKey, other: &RecordKey) -> Option<[&Record; 2]> {
        Some([self.records.get(one)?, self.records.get(other)?])
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
        assert_eq!((run.devices, run.merged.count, run.split.count, run.appeared.count), (2, 0, 1, 1));
        assert_eq!(run.appeared.samples, [[2]]);
        let sample = &run.split.samples[0];
        assert_eq!((sample.device, &sample.parts[..], sample.by_import), (DeviceId(1), &[vec![1], vec![2]][..], false));
        assert_eq!(sample.sentences[0], "Records 1 and 2 are not one device: no Matcher joined them.");
        assert!(sample.sentences.iter().any(|line| line.contains("MachineID has to be the same")), "{sample:?}");
    }

    #[test]
    fn what_phase_2_joins_is_together_and_what_nothing_joins_is_not() {
        // 25 joins A and B, 170 joins B and C: one device by both, and A with nobody without 25.
        let texts = ["MachineID=a | ComputerName=x", "ILMTAgentID=i | ComputerName=x", "ILMTAgentID=i"];
        let run = tried(&rules(&[BY_NAME]), &texts, &[]);
        assert_eq!(run.split.samples[0].parts, [vec![1], vec![2, 3]]);
        assert_eq!((run.split.count, run.appeared.count), (1, 1));
        // A Matcher more takes A and B out of the pool, and phase 2 brings C to them all the same.
        let texts = ["ILMTAgentID=i | ComputerName=x", "ILMTAgentID=i | ComputerName=x", "ILMTAgentID=i"];
        let run = tried(&rules(&[]), &texts, &[BY_NAME]);
        assert_eq!((run.merged.count, run.split.count, run.appeared.count), (0, 0, 0));
    }

    #[test]
    fn records_that_wait_for_an_import_are_no_change_of_the_file() {
        let (rules, records) = (rules(&[]), records(&FLEET));
        let run = dry_run(&rules, matchers(&[BY_NAME]), &records, &[], &TenantState::default(), Timestamp(9));
        assert_eq!((run.devices, run.merged.count, run.split.count, run.appeared.count), (0, 1, 0, 0));
    }

    #[test]
    fn a_device_whose_records_go_elsewhere_stays_empty_and_is_not_told_as_merged() {
        // Phase 1 joins both by 300, and 30 finds the first one's device before 300 could find both.
        let run = tried(&rules(&[]), &["MachineID=a | UUID=u", "UUID=u"], &["300: => UUID"]);
        assert_eq!((run.merged.count, run.split.count, run.appeared.count), (0, 0, 0));
        assert_eq!(run.emptied.samples, [EmptiedDevice { device: DeviceId(2), into: DeviceId(1) }]);
    }

    #[test]
    fn a_device_that_the_next_import_parts_is_told_as_such() {
        // 170 has made the first two one device, which shows the UUID of its first record; 5 finds the third one's device.
        let texts = ["ILMTAgentID=i | UUID=x", "ILMTAgentID=i | UUID=u", "MachineID=m | UUID=u"];
        let run = tried(&rules(&[]), &texts, &["5: => UUID"]);
        assert_eq!((run.merged.count, run.emptied.count, run.appeared.count), (0, 0, 0), "{run:?}");
        let [sample] = &run.split.samples[..] else { panic!("{run:?}") };
        assert_eq!((sample.device, sample.by_import, &sample.parts), (DeviceId(1), true, &vec![vec![1], vec![2]]));
    }

    #[test]
    fn many_are_counted_and_some_are_told() {
        let texts: Vec<String> = (0..200).map(|n| format!("MachineID=m{n} | ComputerName=pc{}", n / 2)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let run = tried(&rules(&[]), &texts, &[BY_NAME]);
        assert_eq!((run.merged.count, run.merged.samples.len()), (100, SAMPLES_MAX));
    }
}
