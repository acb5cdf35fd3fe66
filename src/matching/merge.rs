//! Which value a device shows for each property, and who gave it.
//!
//! Source: matching reference, section 8.

use std::cmp::Reverse;

use super::normalise::Record;
use crate::model::computer::Property;
use crate::model::device::{DeviceValues, Provenance};

/// Merges the values of `records` and of `stored` devices (the winner first), each with its provenance.
///
/// Best first: the primary source, then the later inventory date, then the source's name, then the smaller record_id.
/// Each property takes the first value that is set, so a null never overwrites a value. A stored value competes with
/// its own source and date; where those are the same, the record being imported goes first, because a report that is
/// read again may bring a mended value. UntrustedSerialNo travels with SerialNo; ObjectType is never stored.
///
/// The result does not depend on the order of `records`.
pub fn merge(records: &[&Record], stored: &[&DeviceValues], primary: Option<&str>) -> DeviceValues {
    let mut merged = Vec::new();
    for property in Property::ALL {
        if matches!(property, Property::UntrustedSerialNo | Property::ObjectType) {
            continue;
        }
        let Some(best) = best(property, records, stored, primary) else { continue };
        merged.push((property, best.text, best.giver.clone()));
        if property == Property::SerialNo
            && let Some(untrusted) = best.untrusted
        {
            merged.push((Property::UntrustedSerialNo, untrusted, best.giver));
        }
    }
    merged.into_iter().collect()
}

/// A value that competes.
struct Candidate<'a> {
    text: &'a str,
    giver: Provenance,
    /// UntrustedSerialNo beside it.
    untrusted: Option<&'a str>,
}

fn best<'a>(
    property: Property,
    records: &[&'a Record],
    stored: &[&'a DeviceValues],
    primary: Option<&str>,
) -> Option<Candidate<'a>> {
    let from_record = |record: &&'a Record| {
        let giver = Provenance { source: record.source.clone(), date: record.inventory_date };
        let untrusted = record.values.get(Property::UntrustedSerialNo);
        Some(((0, record.record_id), Candidate { text: record.values.get(property)?, giver, untrusted }))
    };
    let from_stored = |(place, values): (usize, &&'a DeviceValues)| {
        let (text, giver) = values.get(property)?;
        let untrusted = values.get(Property::UntrustedSerialNo).map(|(text, _)| text);
        Some(((1, place as u64), Candidate { text, giver: giver.clone(), untrusted }))
    };
    let all = records.iter().filter_map(from_record).chain(stored.iter().enumerate().filter_map(from_stored));
    let rank = |(tie, candidate): &((u8, u64), Candidate<'_>)| {
        let Provenance { source, date } = &candidate.giver;
        (primary != Some(source), Reverse(*date), source.clone(), *tie)
    };
    all.min_by_key(rank).map(|(_, candidate)| candidate)
}
