//! Records, devices and Matchers in one line of text each: `ComputerName=pc 1 | SerialNo=s1`.

use crate::id::DeviceId;
use crate::matching::*;
use crate::model::computer::{ImportedComputer, Property, Values};
use crate::model::device::{Binding, Device, Provenance, RecordKey};

pub fn pairs(text: &str) -> Vec<(Property, &str)> {
    let fields = text.split('|').map(str::trim).filter(|field| !field.is_empty());
    fields.map(|field| field.split_once('=').unwrap()).map(|(name, text)| (name.parse().unwrap(), text)).collect()
}

pub fn normalised(text: &str) -> Normalised {
    Normalised::new(&pairs(text).into_iter().collect::<Values>(), &Placeholders::default())
}

/// A record of the source `s` whose external id is its record_id.
pub fn record(record_id: u64, text: &str) -> Record {
    let values = pairs(text).into_iter().collect();
    let external_id = record_id.to_string().into();
    let computer = ImportedComputer { record_id, source: "s".into(), external_id, inventory_date: 100, values };
    Record::new(computer, &Placeholders::default())
}

pub fn records(texts: &[&str]) -> Vec<Record> {
    texts.iter().enumerate().map(|(place, text)| record(place as u64 + 1, text)).collect()
}

/// The key of `record(record_id, ..)`.
pub fn key(record_id: u64) -> RecordKey {
    RecordKey { source: "s".into(), external_id: record_id.to_string().into() }
}

pub fn device(id: u64, text: &str) -> Device {
    let giver = Provenance { source: "stored".into(), date: 50 };
    let values = pairs(text).into_iter().map(|(property, text)| (property, text, giver.clone())).collect();
    Device { id: DeviceId(id), inventory_date: 50, values, bindings: vec![], merged_into: None }
}

/// The device with `record(record_id, text)` bound to it.
pub fn bound(mut device: Device, record_id: u64, text: &str) -> Device {
    device.bindings.push(Binding { record: key(record_id), strong: normalised(text).strong_keys(), matcher: None });
    device
}

pub fn forbidden(pairs: &[(u64, u64)]) -> Forbidden {
    pairs.iter().map(|&(a, b)| (key(a), key(b))).collect()
}

pub fn standard() -> Matchers {
    Matchers::load(standard_matchers(), None).unwrap()
}

/// Matchers from lines like `10: VMType NotSet; Manufacturer NullInEither => UUID; HostID NotEqual`: Conditions, then
/// Rules; a test is a property, a Method and, behind `:`, a Value.
pub fn xml(lines: &[&str]) -> String {
    let element = |tag: &str, test: &str| {
        let (head, value) = test.split_once(':').map_or((test, None), |(head, value)| (head, Some(value)));
        let (property, method) = head.trim().split_once(' ').unwrap_or((head.trim(), "Equal"));
        let value = value.map(|value| format!(" Value='{value}'")).unwrap_or_default();
        format!("<{tag} Property='{property}' Method='{method}'{value}/>")
    };
    let list = |tag: &str, tests: &str, separator: char| -> String {
        tests.split(separator).filter(|test| !test.trim().is_empty()).map(|test| element(tag, test)).collect()
    };
    let matcher = |line: &&str| {
        let (order, rest) = line.split_once(':').unwrap();
        let (conditions, rules) = rest.split_once("=>").unwrap();
        format!(
            "<Matcher Order='{order}' Name='m{order}'><Conditions>{}</Conditions><Rules>{}</Rules></Matcher>",
            list("Condition", conditions, ';'),
            list("Rule", rules, ';')
        )
    };
    format!("<Matchers>{}</Matchers>", lines.iter().map(matcher).collect::<String>())
}

pub fn matchers(lines: &[&str]) -> Matchers {
    Matchers::load(&xml(lines), None).unwrap()
}

/// Phase 1 over records in any order.
pub fn sets_in(matchers: &Matchers, rows: &Records<'_>, forbidden: &Forbidden) -> MatchedSets {
    let plan = Plan::new(matchers);
    phase1(&plan, rows, &Keys::new(&plan, rows, &Placeholders::default()), forbidden)
}

/// Phase 2 of these sets.
pub fn aligned_in(
    matchers: &Matchers,
    rows: &Records<'_>,
    sets: &MatchedSets,
    devices: &[Device],
    forbidden: &Forbidden,
) -> Outcome {
    let (plan, placeholders) = (Plan::new(matchers), Placeholders::default());
    let keys = Keys::new(&plan, rows, &placeholders);
    let devices = Devices::new(devices, &placeholders);
    let stored = Stored { devices: &devices, keys: &Keys::new(&plan, &devices, &placeholders) };
    phase2(&plan, rows, &keys, sets, stored, forbidden)
}

/// Every set as `matcher: record_ids`, a set of one without a Matcher.
pub fn sets_of(matchers: &Matchers, records: &[Record], forbidden: &Forbidden) -> Vec<String> {
    let rows = Records::new(records);
    let show = |set: MatchedSet<'_>| {
        let ids: Vec<String> = set.record_ids(&rows).iter().map(u64::to_string).collect();
        format!("{}{}", set.matcher.map(|order| format!("{order}: ")).unwrap_or_default(), ids.join(" "))
    };
    sets_in(matchers, &rows, forbidden).iter().map(show).collect()
}
