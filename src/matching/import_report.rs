//! What a whole import did: sets of each Matcher, contradictions, values that say nothing, sets that hit several devices.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::matchers::Matchers;
use super::normalise::{Placeholders, Slots, placeholders_of};
use super::phase1::MatchedSets;
use super::phase2::{DuplicateReport, How, Outcome};
use super::rows::RawRows;
use crate::model::computer::Property;

/// Chains of devices, and clones, that one report lists; the others are counted.
pub const SAMPLES_MAX: usize = 20;
/// Devices and groups that a listed chain names.
const NAMED_MAX: usize = 100;

/// What one Matcher did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatcherReport {
    /// Its Order; several of one Order are counted together.
    pub order: i64,
    /// Its name, of several that of the first.
    pub name: String,
    /// Sets of two or more that it made.
    pub sets: u64,
    /// Their records.
    pub records: u64,
    /// Sets that it aligned with a stored device.
    pub hits: u64,
    /// Classes of equal keys with records that contradict each other.
    pub conflicts: u64,
    /// The records of those that were left alone for it.
    pub conflicting_records: u64,
}

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Records that were matched.
    pub records: u64,
    /// Sets they make.
    pub sets: u64,
    /// Sets of one.
    pub alone: u64,
    /// One for each Order, ascending.
    pub matchers: Vec<MatcherReport>,
    /// Values that say nothing, and how often there was one; ascending by property.
    pub placeholders: Vec<(Property, u64)>,
    /// Sets that came to their device because a record of theirs is bound to it.
    pub bound: u64,
    /// Sets that no device was found for.
    pub created: u64,
    /// Devices that were merged into others.
    pub merged: u64,
    /// Chains of more devices than are merged without a person.
    pub multi_hits: u64,
    /// The first [`SAMPLES_MAX`] of them.
    pub multi_hit_samples: Vec<DuplicateReport>,
    /// Records by which several machines report in turn.
    pub clones: u64,
    /// The first [`SAMPLES_MAX`] of them, by their numbers.
    pub clone_samples: Vec<u64>,
}

impl ImportReport {
    /// The report of phase 1, and of phase 2 where there was one.
    pub fn new(
        matchers: &Matchers,
        sets: &MatchedSets,
        outcome: Option<&Outcome>,
        placeholders: &PlaceholderCounts,
    ) -> ImportReport {
        let mut of_order: BTreeMap<i64, MatcherReport> = BTreeMap::new();
        for matcher in matchers.iter() {
            let (order, name) = (matcher.order(), matcher.name().to_owned());
            of_order.entry(order).or_insert(MatcherReport {
                order,
                name,
                sets: 0,
                records: 0,
                hits: 0,
                conflicts: 0,
                conflicting_records: 0,
            });
        }
        let mut report = ImportReport { sets: sets.count() as u64, ..ImportReport::default() };
        for set in sets.iter() {
            let records = set.members.len() as u64;
            report.records += records;
            match set.matcher.and_then(|order| of_order.get_mut(&order)) {
                Some(by) => (by.sets, by.records) = (by.sets + 1, by.records + records),
                None => report.alone += 1,
            }
        }
        // Records contradict each other, or what is stored.
        let stored = outcome.into_iter().flat_map(|outcome| &outcome.conflicts);
        for conflict in sets.conflicts().iter().chain(stored) {
            if let Some(by) = of_order.get_mut(&conflict.matcher) {
                by.conflicts += conflict.classes;
                by.conflicting_records += conflict.records;
            }
        }
        if let Some(outcome) = outcome {
            for aligned in &outcome.sets {
                match aligned.how {
                    How::Matcher(order) => {
                        if let Some(by) = of_order.get_mut(&order) {
                            by.hits += 1;
                        }
                    }
                    How::Binding => report.bound += 1,
                    How::New => report.created += 1,
                }
            }
            report.merged = outcome.merges.len() as u64;
            report.multi_hits = outcome.duplicates.len() as u64;
            let named = |duplicate: &DuplicateReport| DuplicateReport {
                devices: duplicate.devices.iter().take(NAMED_MAX).copied().collect(),
                groups: duplicate.groups.iter().take(NAMED_MAX).copied().collect(),
                ..*duplicate
            };
            report.multi_hit_samples = outcome.duplicates.iter().take(SAMPLES_MAX).map(named).collect();
        }
        report.matchers = of_order.into_values().collect();
        report.placeholders = placeholders.iter().collect();
        report
    }
}

/// How many values of each property say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaceholderCounts([u64; Property::COUNT]);

impl PlaceholderCounts {
    /// Counts those of a row as it came.
    pub fn count(&mut self, slots: &Slots<'_>, placeholders: &Placeholders) {
        placeholders_of(slots, placeholders).for_each(|property| self.0[property as usize] += 1);
    }

    /// Counts those of all rows, on all threads.
    pub fn of(rows: &dyn RawRows, placeholders: &Placeholders) -> PlaceholderCounts {
        let counted = (0..rows.count()).into_par_iter().fold(PlaceholderCounts::default, |mut counts, row| {
            counts.count(&rows.slots(row), placeholders);
            counts
        });
        counted.reduce(PlaceholderCounts::default, |mut all, part| {
            all.0.iter_mut().zip(part.0).for_each(|(sum, count)| *sum += count);
            all
        })
    }

    /// The properties in which there was one, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Property, u64)> {
        Property::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DeviceId;
    use crate::matching::rows::{Records, slots_of};
    use crate::matching::tests::fixture::{
        aligned_in, bound, device, forbidden, matchers, pairs, records, sets_in, standard,
    };
    use crate::matching::{Forbidden, Matchers};
    use crate::model::computer::Values;
    use crate::model::device::Device;

    fn report(matchers: &Matchers, texts: &[&str], devices: &[Device], forbidden: &Forbidden) -> ImportReport {
        let list = records(texts);
        let rows = Records::new(&list);
        let sets = sets_in(matchers, &rows, forbidden);
        let outcome = aligned_in(matchers, &rows, &sets, devices, forbidden);
        ImportReport::new(matchers, &sets, Some(&outcome), &PlaceholderCounts::default())
    }

    fn of(report: &ImportReport, order: i64) -> (u64, u64, u64, u64, u64) {
        let by = report.matchers.iter().find(|by| by.order == order).unwrap();
        (by.sets, by.records, by.hits, by.conflicts, by.conflicting_records)
    }

    #[test]
    fn each_matcher_has_its_sets_hits_and_conflicts() {
        let known = bound(device(1, "SerialNo=x"), 9, "UUID=other");
        let texts = [
            "MachineID=a",
            "MachineID=A",
            "HostIdentifyingNumber=h | HostType=t | Manufacturer=dell",
            "HostIdentifyingNumber=h | HostType=t | Manufacturer=hp",
            "HostIdentifyingNumber=h | HostType=t",
            "MachineID=z",
            "UUID=u",
            "UUID=v",
        ];
        let devices = [known, device(2, "MachineID=z"), bound(device(3, ""), 7, "UUID=u")];
        let report = report(&standard(), &texts, &devices, &Forbidden::default());
        assert_eq!((report.records, report.sets, report.alone), (8, 7, 6));
        assert_eq!(of(&report, 30), (1, 2, 1, 0, 0));
        // Dell and HP contradict each other; the third says neither and finds nobody.
        assert_eq!(of(&report, 120), (0, 0, 0, 1, 2));
        assert_eq!((report.bound, report.created, report.merged, report.multi_hits), (1, 5, 0, 0));
        assert_eq!(report.matchers.len(), 21);
        let aligned: u64 = report.matchers.iter().map(|by| by.hits).sum();
        assert_eq!(aligned + report.bound + report.created, report.sets);
    }

    #[test]
    fn a_record_that_contradicts_a_device_is_a_conflict() {
        let known = "HostIdentifyingNumber=h | HostType=t | Manufacturer=dell";
        let said = known.replace("dell", "hp");
        let report = report(&standard(), &[&said], &[device(1, known)], &Forbidden::default());
        assert_eq!((of(&report, 120), report.created), ((0, 0, 0, 1, 2), 1));
    }

    #[test]
    fn a_conflict_is_counted_once_also_where_pairs_are_forbidden() {
        let texts = ["HostID=h | ModelNo=a", "HostID=h | ModelNo=b", "HostID=h", "HostID=h | VMName=v"];
        let matchers = matchers(&["5: ModelNo NullInEither => HostID"]);
        for forbidden in [Forbidden::default(), forbidden(&[(3, 4)])] {
            let (.., conflicts, left_alone) = of(&report(&matchers, &texts, &[], &forbidden), 5);
            assert_eq!((conflicts, left_alone), (1, 2));
        }
    }

    #[test]
    fn chains_that_are_too_long_are_counted_and_some_named() {
        let devices: Vec<Device> = (1..=6).map(|id| device(id, "MachineID=m")).collect();
        let report = report(&standard(), &["MachineID=m"], &devices, &Forbidden::default());
        assert_eq!((report.multi_hits, report.merged), (1, 0));
        assert_eq!(report.multi_hit_samples[0].devices, (1..=6).map(DeviceId).collect::<Vec<_>>());
    }

    #[test]
    fn values_that_say_nothing_are_counted_by_property() {
        let mut counts = PlaceholderCounts::default();
        for text in [
            "MachineID=none | ComputerName=none | SerialNo= To be filled by O.E.M. ",
            "MachineID=0000 | Manufacturer=n/a | UUID=u",
            "VMType=zone | HostIdentifyingNumber=h",
        ] {
            let values: Values = pairs(text).into_iter().collect();
            counts.count(&slots_of(&values), &Placeholders::default());
        }
        let counted: Vec<_> = counts.iter().collect();
        let wanted = [(Property::Manufacturer, 1), (Property::MachineID, 2), (Property::SerialNo, 1)];
        assert_eq!(counted, wanted);
    }
}
