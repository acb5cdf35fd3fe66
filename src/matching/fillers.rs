//! Fillers: values that are to name one machine and are given by many different ones.
//!
//! A maker that wrote one serial number into a whole series, or an image with one machine id, folds unrelated machines into one
//! device, and no list knows such values beforehand. They are found in the records: one that is shared by many records
//! which are told apart by something else. Whether it is a filler a person says; from then on it is a placeholder.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use rayon::prelude::*;

use super::rows::Rows;
use crate::model::computer::Property;

/// Machines that share a value before it is worth a person's look, unless the question says otherwise.
pub const MACHINES_MIN: u32 = 10;
/// Values that one look gives.
pub const FILLERS_MAX: usize = 1_000;
/// Bytes of a value that can be demoted.
pub const FILLER_BYTES_MAX: usize = 512;

/// What is to name one machine, and is emptied by placeholders.
const IDENTITIES: [Property; 8] = [
    Property::HostID,
    Property::MachineID,
    Property::FirmwareSerialNumber,
    Property::SerialNo,
    Property::HostIdentifyingNumber,
    Property::PartitionID,
    Property::UUID,
    Property::ILMTAgentID,
];

/// What partitions of one machine have in common by right.
const OF_HOST: [Property; 4] =
    [Property::HostID, Property::MachineID, Property::FirmwareSerialNumber, Property::HostIdentifyingNumber];

/// A value that many machines give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filler {
    /// Where they give it.
    pub property: Property,
    /// The value, folded.
    pub value: String,
    /// Records that give it.
    pub records: u64,
    /// How many machines they are at least: of what else tells records apart (their names, their other identities), the property with
    /// the most different values has so many.
    pub machines: u64,
}

/// The values that `machines_min` machines or more give, and those that were demoted however few give them: the most
/// shared first, at most [`FILLERS_MAX`] and those. Partitions count as one machine where they have a value of their host.
///
/// Cost: for each of eight properties a sort of one hash per record.
pub fn fillers(rows: &dyn Rows, demoted: &BTreeSet<String>, machines_min: u32) -> Vec<Filler> {
    let mut found: Vec<Filler> = Vec::new();
    let demoted_hashes: HashSet<u64, FixedState> = demoted.iter().map(|value| folded_hash(value)).collect();
    for property in IDENTITIES {
        let is_of_host = OF_HOST.contains(&property);
        let hash_of = |row: u32| {
            let text = |property| rows.text(row as usize, property);
            let counts = !is_of_host || text(Property::VMType).is_none();
            let hash = folded_hash(text(property).filter(|_| counts)?);
            // A serial number that is no trusted one joins nobody as it is.
            let is_untrusted = property == Property::SerialNo && text(Property::UntrustedSerialNo) == Some("true");
            (!is_untrusted || demoted_hashes.contains(&hash)).then_some((hash, row))
        };
        let mut hashes: Vec<(u64, u32)> = (0..rows.count() as u32).into_par_iter().filter_map(hash_of).collect();
        hashes.par_sort_unstable();
        let of_run = |run: &[(u64, u32)]| {
            let is_demoted = demoted_hashes.contains(&run[0].0);
            if run.len() < machines_min as usize && !is_demoted {
                return None;
            }
            let value = rows.text(run[0].1 as usize, property)?.to_ascii_lowercase();
            let sharing: Vec<u32> = run.iter().map(|&(_, row)| row).collect();
            let filler =
                Filler { property, records: sharing.len() as u64, machines: machines(rows, property, &sharing), value };
            (filler.machines >= u64::from(machines_min) || demoted.contains(&filler.value)).then_some(filler)
        };
        found.extend(hashes.chunk_by(|a, b| a.0 == b.0).filter_map(of_run));
    }
    found.sort_by(|a, b| {
        let rank = |filler: &Filler| (std::cmp::Reverse(filler.machines), filler.property);
        rank(a).cmp(&rank(b)).then_with(|| a.value.cmp(&b.value))
    });
    // What was demoted is always shown.
    let mut left = FILLERS_MAX;
    found.retain(|filler| {
        let stays = left > 0 || demoted.contains(&filler.value);
        left = left.saturating_sub(1);
        stays
    });
    found
}

/// How many machines these rows are at least, judged by all but `property`.
fn machines(rows: &dyn Rows, property: Property, sharing: &[u32]) -> u64 {
    let others = IDENTITIES.into_iter().chain([Property::ComputerName]).filter(|other| *other != property);
    let different = others.map(|other| {
        let texts = sharing.iter().filter_map(|&row| rows.text(row as usize, other));
        texts.map(folded_hash).collect::<HashSet<u64, FixedState>>().len() as u64
    });
    different.max().unwrap_or(0)
}

fn folded_hash(text: &str) -> u64 {
    FixedState::with_seed(0x6669_6c6c).hash_one(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::rows::Records;
    use crate::matching::tests::fixture::record;

    fn found(texts: &[String], demoted: &[&str], machines_min: u32) -> Vec<(Property, String, u64, u64)> {
        let list: Vec<_> = (1..).zip(texts).map(|(id, text)| record(id, text)).collect();
        let demoted = demoted.iter().map(|text| (*text).to_owned()).collect();
        let shown = |filler: Filler| (filler.property, filler.value, filler.records, filler.machines);
        fillers(&Records::new(&list), &demoted, machines_min).into_iter().map(shown).collect()
    }

    #[test]
    fn a_value_of_many_machines_is_found_and_one_of_many_records_of_a_machine_is_not() {
        let mut texts: Vec<String> =
            (0..12).map(|n| format!("MachineID=Image | ComputerName=pc{n} | SerialNo=s{n}")).collect();
        // One machine that twenty sources tell of, with its name written in two ways.
        texts.extend((0..20).map(|n| format!("MachineID=m | SerialNo=s | ComputerName={}", ["WEB", "web"][n % 2])));
        assert_eq!(found(&texts, &[], 10), [(Property::MachineID, "image".into(), 12, 12)]);
        assert_eq!(found(&texts, &[], 13), []);
    }

    #[test]
    fn what_tells_machines_apart_may_be_any_other_identity() {
        let texts: Vec<String> = (0..10).map(|n| format!("SerialNo=x | UUID=u{n} | ComputerName=same")).collect();
        // The name is shared as well; it names no machine by itself.
        assert_eq!(found(&texts, &[], 10), [(Property::SerialNo, "x".into(), 10, 10)]);
    }

    #[test]
    fn partitions_share_what_is_their_hosts() {
        let zone = |n: u32| format!("VMType=Zone | VMName=z{n} | ComputerName=z{n} | HostID=h | MachineID=m | UUID=u");
        let zones: Vec<String> = (0..30).map(zone).collect();
        assert_eq!(found(&zones, &[], 10), [(Property::UUID, "u".into(), 30, 30)], "a UUID is a partition's own");
    }

    #[test]
    fn a_serial_number_that_nobody_trusts_is_no_filler() {
        let texts: Vec<String> =
            (0..12).map(|n| format!("SerialNo=To be filled by O.E.M. | ComputerName=pc{n}")).collect();
        assert_eq!(found(&texts, &[], 10), []);
    }

    #[test]
    fn a_demoted_value_is_shown_however_few_have_it() {
        let texts = ["MachineID=Image | ComputerName=a".to_owned(), "HostID=image | ComputerName=b".to_owned()];
        let shown = [(Property::HostID, "image".into(), 1, 1), (Property::MachineID, "image".into(), 1, 1)];
        assert_eq!(found(&texts, &["image"], 10), shown);
    }

    #[test]
    fn the_most_shared_come_first_and_no_more_than_a_look_takes() {
        let texts: Vec<String> = (0..FILLERS_MAX * 2 + 3)
            .map(|n| format!("HostID=h{} | ComputerName=pc{n}", (n / 2).min(FILLERS_MAX)))
            .collect();
        let list = found(&texts, &[], 2);
        assert_eq!((list.len(), list[0].2), (FILLERS_MAX, 3));
        let last = found(&texts, &["h999"], 2).pop().unwrap();
        assert_eq!(last.1, "h999", "demoted, and behind the thousand");
    }
}
