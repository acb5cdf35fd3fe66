//! Records taken out of a device by an operator: the device as it is without them, and a new one that is theirs.
//!
//! Nothing is lost by a wrong merge, because records stay apart below their device. From now on no record that was
//! taken out meets one that stayed.

use std::collections::BTreeSet;

use super::merge::merge;
use super::normalise::Record;
use crate::id::DeviceId;
use crate::model::device::{Binding, Device, DeviceValues, RecordKey};

/// Most pairs that one unmerge keeps apart.
pub const PAIRS_MAX: usize = 20_000;

/// What an unmerge makes of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmerged {
    /// The device, without the records.
    pub left: Device,
    /// The new device of these records.
    pub taken: Device,
    /// Which records never meet again.
    pub pairs: Vec<(RecordKey, RecordKey)>,
}

/// Why nothing is unmerged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnmergeFault {
    /// No record was named.
    #[error("name at least one record to take out")]
    None,
    /// A record of another device.
    #[error("record {0} does not belong to this device")]
    NotOfDevice(u64),
    /// All of them.
    #[error("these are all records of the device: leave at least one in it")]
    All,
    /// Over [`PAIRS_MAX`].
    #[error("{0} pairs of records would have to be kept apart, more than {PAIRS_MAX}: take out fewer at once")]
    TooMany(usize),
}

/// Takes the records of these numbers out of `device`. `records` are those bound to it, normalised; `id` is that of the new
/// device.
///
/// Both get their values from their own records again. What was given earlier by a source that only the device's own
/// records have stays, also where they do not say it any more (a null never overwrites a value).
pub fn unmerge(
    device: &Device,
    records: &[Record],
    numbers: &BTreeSet<u64>,
    id: DeviceId,
    primary: Option<&str>,
) -> Result<Unmerged, UnmergeFault> {
    if numbers.is_empty() {
        return Err(UnmergeFault::None);
    }
    let known = |number: &&u64| !records.iter().any(|record| record.record_id == **number);
    if let Some(strange) = numbers.iter().find(known) {
        return Err(UnmergeFault::NotOfDevice(*strange));
    }
    let (out, kept): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|record| numbers.contains(&record.record_id));
    let gone: BTreeSet<RecordKey> = out.iter().map(|record| record.key()).collect();
    let (bound_out, bound_kept): (Vec<Binding>, Vec<Binding>) =
        device.bindings.iter().cloned().partition(|binding| gone.contains(&binding.record));
    if bound_kept.is_empty() {
        return Err(UnmergeFault::All);
    }
    let pairs = bound_out.len() * bound_kept.len();
    if pairs > PAIRS_MAX {
        return Err(UnmergeFault::TooMany(pairs));
    }
    let pair = |a: &Binding| bound_kept.iter().map(|b| (a.record.clone(), b.record.clone())).collect::<Vec<_>>();
    let pairs = bound_out.iter().flat_map(pair).collect();
    let is_own = |source: &str| {
        let of_source = |bindings: &[Binding]| bindings.iter().any(|binding| *binding.record.source == *source);
        of_source(&bound_kept) && !of_source(&bound_out)
    };
    let stored = device.values.iter().filter(|(.., giver)| is_own(&giver.source));
    let stored: DeviceValues = stored.map(|(property, text, giver)| (property, text, giver.clone())).collect();
    let date = |records: &[&Record]| records.iter().map(|record| record.inventory_date).max();
    let left = Device {
        inventory_date: date(&kept).unwrap_or(device.inventory_date),
        values: merge(&kept, &[&stored], primary),
        bindings: alone(bound_kept),
        ..device.clone()
    };
    let taken = Device {
        id,
        inventory_date: date(&out).unwrap_or(device.inventory_date),
        values: merge(&out, &[], primary),
        bindings: alone(bound_out),
        merged_into: None,
    };
    Ok(Unmerged { left, taken, pairs })
}

/// A record that is the only one of its device was not joined to anything.
fn alone(mut bindings: Vec<Binding>) -> Vec<Binding> {
    if let [only] = &mut bindings[..] {
        only.matcher = None;
    }
    bindings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::tests::fixture::{bound, device, key, record};
    use crate::matching::{Normalised, Placeholders};
    use crate::model::computer::Property;
    use crate::model::device::Provenance;

    fn from(source: &str, number: u64, text: &str) -> Record {
        Record { source: source.into(), ..record(number, text) }
    }

    fn merged(records: &[Record]) -> Device {
        let all: Vec<&Record> = records.iter().collect();
        let bindings = records.iter().map(|record| Binding {
            record: record.key(),
            strong: record.values.strong_keys(),
            matcher: Some(30),
        });
        Device { values: merge(&all, &[], None), bindings: bindings.collect(), ..device(7, "") }
    }

    #[test]
    fn both_devices_have_the_values_and_records_that_are_theirs() {
        let records = [
            from("a", 1, "MachineID=m|ComputerName=one"),
            from("b", 2, "MachineID=m|ModelNo=two"),
            from("b", 3, "MachineID=m|ModelNo=three"),
        ];
        let mut before = merged(&records);
        // Given by an earlier report of the source `a`, and by one of `b`.
        let giver = |source: &str| Provenance { source: source.into(), date: 1 };
        let values = before.values.iter().map(|(p, text, giver)| (p, text.to_owned(), giver.clone()));
        let more = [(Property::HostID, "h".to_owned(), giver("a")), (Property::HostType, "t".to_owned(), giver("b"))];
        before.values = values.chain(more).collect();
        let done = unmerge(&before, &records, &BTreeSet::from([2, 3]), DeviceId(9), None).unwrap();
        let shown = |device: &Device| -> Vec<(Property, String)> {
            device.values.iter().map(|(property, text, _)| (property, text.to_owned())).collect()
        };
        let value = |property, text: &str| (property, text.to_owned());
        assert_eq!(
            shown(&done.left),
            [value(Property::ComputerName, "one"), value(Property::HostID, "h"), value(Property::MachineID, "m")]
        );
        assert_eq!(shown(&done.taken), [value(Property::ModelNo, "two"), value(Property::MachineID, "m")]);
        assert_eq!((done.left.id, done.taken.id, done.taken.merged_into), (DeviceId(7), DeviceId(9), None));
        assert_eq!((done.left.bindings.len(), done.left.bindings[0].matcher), (1, None));
        assert_eq!(done.taken.bindings.iter().map(|b| b.matcher).collect::<Vec<_>>(), [Some(30), Some(30)]);
        assert_eq!(done.pairs.len(), 2);
        assert!(done.pairs.iter().all(|(_, stayed)| *stayed == records[0].key()));
    }

    #[test]
    fn a_record_of_which_nothing_is_staged_stays_with_the_values_it_gave() {
        let text = "MachineID=m|ComputerName=pc";
        let before = bound(bound(device(7, text), 1, text), 2, text);
        let staged = [record(2, "MachineID=m")];
        let done = unmerge(&before, &staged, &BTreeSet::from([2]), DeviceId(9), None).unwrap();
        assert_eq!(done.left.bindings.iter().map(|b| &b.record).collect::<Vec<_>>(), [&key(1)]);
        let values = Normalised::of_device(&done.taken, &Placeholders::default());
        assert_eq!(values.get(Property::MachineID), Some("m"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let records = [record(1, "UUID=u"), record(2, "UUID=u")];
        let device = merged(&records);
        let fault = |numbers: &[u64]| {
            unmerge(&device, &records, &numbers.iter().copied().collect(), DeviceId(9), None).unwrap_err()
        };
        assert_eq!(fault(&[]), UnmergeFault::None);
        assert_eq!(fault(&[1, 4]), UnmergeFault::NotOfDevice(4));
        assert_eq!(fault(&[1, 2]), UnmergeFault::All);
    }
}
