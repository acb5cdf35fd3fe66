//! What is done to a record once, before any Matcher sees it: trim, drop placeholders, read trust, compute ObjectType.
//!
//! Folding (A-Z to a-z, nothing else) is for comparison only, so the normalised values keep their case and every
//! comparison folds. That saves a second copy of a million records.
//!
//! Source: matching reference, section 3.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rows::slots_of;
use super::uuid_key::uuid_key;
use crate::model::computer::{ImportedComputer, Property, Values};
use crate::model::device::{Device, RecordKey, StrongKeys};

/// Texts that makers and tools write where they know no value. A shared one would fold unrelated machines into one.
///
/// Beside the list, a text of four or more copies of one character is a placeholder, and one of punctuation alone.
/// Source: matching reference, section 3, step 3; the list is configuration, this type's default is its default.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Placeholders {
    /// Folded.
    texts: BTreeSet<String>,
    /// Per folded first byte: a bit for each length that occurs, the last one for all from 63 bytes on. Nearly every
    /// value is told from all texts by this alone.
    lengths: Box<[u64; 256]>,
}

/// The default list of placeholders, folded.
const DEFAULT: [&str; 21] = [
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "system serial number",
    "system manufacturer",
    "system product name",
    "chassis serial number",
    "serial number",
    "none",
    "n/a",
    "na",
    "not specified",
    "not applicable",
    "not available",
    "unknown",
    "invalid",
    "null",
    "0",
    "123456789",
    "0123456789",
    "1234567890",
];

impl Placeholders {
    /// The placeholders of a configured list; its texts are trimmed and folded as values are.
    pub fn new<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> Placeholders {
        let texts: BTreeSet<String> = list.into_iter().map(|text| folded(text.as_ref())).collect();
        let mut lengths = Box::new([0; 256]);
        for text in &texts {
            let (first, length) = first_and_length(text);
            lengths[first] |= length;
        }
        Placeholders { texts, lengths }
    }

    /// These and `more`.
    pub fn with<S: AsRef<str>>(&self, more: impl IntoIterator<Item = S>) -> Placeholders {
        let known = self.texts.iter().cloned();
        Placeholders::new(known.chain(more.into_iter().map(|text| text.as_ref().to_owned())))
    }

    /// Whether a trimmed value says nothing.
    pub fn holds(&self, value: &str) -> bool {
        let (first, length) = first_and_length(value);
        let may_be_listed = self.lengths[first] & length != 0;
        (may_be_listed && self.texts.contains(&value.to_ascii_lowercase())) || is_one_character(value)
    }
}

/// The folded first byte of a text, and a bit for its length.
fn first_and_length(text: &str) -> (usize, u64) {
    let first = text.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
    (usize::from(first), 1 << text.len().min(63))
}

impl fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.texts).finish()
    }
}

impl Default for Placeholders {
    fn default() -> Placeholders {
        Placeholders::new(DEFAULT)
    }
}

impl From<Vec<String>> for Placeholders {
    fn from(list: Vec<String>) -> Placeholders {
        Placeholders::new(list)
    }
}

impl From<Placeholders> for Vec<String> {
    fn from(placeholders: Placeholders) -> Vec<String> {
        placeholders.texts.into_iter().collect()
    }
}

/// The values of a record or device after normalisation: what Matchers test. UntrustedSerialNo and ObjectType are
/// always set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalised(Values);

/// A row's value per property, in the order of [`Property::ALL`]; `None` is null.
pub type Slots<'a> = [Option<&'a str>; Property::COUNT];

/// Properties in which a placeholder becomes null. Source: matching reference, section 3, step 3.
const NULLED: [Property; 10] = [
    Property::Manufacturer,
    Property::ModelNo,
    Property::HostType,
    Property::HostID,
    Property::MachineID,
    Property::FirmwareSerialNumber,
    Property::HostIdentifyingNumber,
    Property::PartitionID,
    Property::UUID,
    Property::ILMTAgentID,
];

/// The properties in which a row, as it came, has a placeholder that becomes null or, in SerialNo, untrusted.
pub fn placeholders_of(slots: &Slots<'_>, placeholders: &Placeholders) -> impl Iterator<Item = Property> {
    let tested = NULLED.into_iter().chain([Property::SerialNo]);
    tested.filter(|property| {
        let text = slots[*property as usize].map(trim).filter(|text| !text.is_empty());
        text.is_some_and(|text| placeholders.holds(text))
    })
}

/// Normalises a row in place; afterwards UntrustedSerialNo and ObjectType are set. Cost: one pass, no allocation but
/// for a value that has first character and length of a listed placeholder.
pub fn normalise(slots: &mut Slots<'_>, placeholders: &Placeholders) {
    for slot in slots.iter_mut() {
        *slot = slot.map(trim).filter(|text| !text.is_empty());
    }
    let is_placeholder = |text: &str| placeholders.holds(text);
    for property in NULLED {
        let slot = &mut slots[property as usize];
        *slot = slot.filter(|text| !is_placeholder(text));
    }

    let said_untrusted = slots[Property::UntrustedSerialNo as usize]
        .is_some_and(|text| ["true", "1", "yes"].iter().any(|yes| text.eq_ignore_ascii_case(yes)));
    let untrusted = said_untrusted || slots[Property::SerialNo as usize].is_some_and(is_placeholder);
    slots[Property::UntrustedSerialNo as usize] = Some(if untrusted { "true" } else { "false" });

    // It names the host: Matchers 110 to 140 would otherwise merge all guests of one host.
    if slots[Property::VMType as usize].is_some() {
        slots[Property::HostIdentifyingNumber as usize] = None;
    }

    if slots[Property::ObjectType as usize].is_none() {
        slots[Property::ObjectType as usize] =
            Some(object_type(|property| slots[property as usize].is_some(), untrusted));
    }
}

/// The keys that a binding remembers of a normalised row. Source: matching reference, section 7, step 5.
pub fn strong_keys<'a>(value: impl Fn(Property) -> Option<&'a str>) -> StrongKeys {
    let folded = |property| value(property).map(|text| text.to_ascii_lowercase().into_boxed_str());
    let is_untrusted = value(Property::UntrustedSerialNo) == Some("true");
    StrongKeys {
        firmware_serial_number: folded(Property::FirmwareSerialNumber),
        trusted_serial_no: folded(Property::SerialNo).filter(|_| !is_untrusted),
        uuid_key: value(Property::UUID).map(|text| uuid_key(text).into()),
        machine_id: folded(Property::MachineID),
        ilmt_agent_id: folded(Property::ILMTAgentID),
    }
}

impl Normalised {
    /// Normalises `values`.
    pub fn new(values: &Values, placeholders: &Placeholders) -> Normalised {
        let mut slots = slots_of(values);
        normalise(&mut slots, placeholders);
        let set = Property::ALL.into_iter().zip(slots);
        Normalised(set.filter_map(|(property, slot)| Some((property, slot?))).collect())
    }

    /// Values that have been normalised already.
    pub(super) fn of_normalised<'a>(values: impl Iterator<Item = (Property, &'a str)>) -> Normalised {
        Normalised(values.collect())
    }

    /// A stored device as one record: its merged values, normalised again; ObjectType is not stored, so it is computed.
    ///
    /// Source: matching reference, section 7, step 1.
    pub fn of_device(device: &Device, placeholders: &Placeholders) -> Normalised {
        let stored = device.values.values().iter().filter(|(property, _)| *property != Property::ObjectType);
        Normalised::new(&stored.collect(), placeholders)
    }

    /// The value of `property`; `None` when it is null.
    pub fn get(&self, property: Property) -> Option<&str> {
        self.0.get(property)
    }

    /// The values.
    pub fn values(&self) -> &Values {
        &self.0
    }

    /// The keys that a binding remembers. Source: matching reference, section 7, step 5.
    pub fn strong_keys(&self) -> StrongKeys {
        strong_keys(|property| self.get(property))
    }
}

/// An inventory record that is ready for the Matchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Unique in an import; the larger one is the younger record.
    pub record_id: u64,
    /// The connection that brought it.
    pub source: Arc<str>,
    /// The source's own key; with `source` unique in an import.
    pub external_id: Box<str>,
    /// Unix seconds.
    pub inventory_date: i64,
    /// What the Matchers test, and what is merged.
    pub values: Normalised,
}

impl Record {
    /// Normalises a record.
    pub fn new(computer: ImportedComputer, placeholders: &Placeholders) -> Record {
        let ImportedComputer { record_id, source, external_id, inventory_date, values } = computer;
        let values = Normalised::new(&values, placeholders);
        Record { record_id, source, external_id, inventory_date, values }
    }

    /// What names it across imports.
    pub fn key(&self) -> RecordKey {
        RecordKey { source: self.source.clone(), external_id: self.external_id.clone() }
    }
}

/// A value as it is compared: trimmed, A-Z as a-z.
pub fn folded(text: &str) -> String {
    trim(text).to_ascii_lowercase()
}

/// Without the bytes 00, 09-0D and 20 at both ends. Unicode's other white space is left alone.
pub(super) fn trim(text: &str) -> &str {
    let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| *byte <= b' ');
    match (text.as_bytes().first(), text.as_bytes().last()) {
        // Nearly every value.
        (first, last) if !is_blank(first) && !is_blank(last) => text,
        _ => text.trim_matches(|c| matches!(c, '\0' | '\t'..='\r' | ' ')),
    }
}

/// Whether a text, without spaces and `- . _ : { }`, is empty or four or more copies of one character.
fn is_one_character(text: &str) -> bool {
    // Nearly every value begins with two different letters or digits.
    if let [first, second, ..] = text.as_bytes()
        && first.is_ascii_alphanumeric()
        && second.is_ascii_alphanumeric()
        && !first.eq_ignore_ascii_case(second)
    {
        return false;
    }
    let mut rest = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '_' | ':' | '{' | '}'));
    let Some(first) = rest.next() else { return true };
    let mut copies = 1;
    // Compared folded, like every value.
    rest.all(|c| {
        copies += 1;
        c.eq_ignore_ascii_case(&first)
    }) && copies >= 4
}

/// ObjectType of a row whose source gave none. Source: matching reference, section 3, step 6; after the placeholders are
/// gone.
pub(super) fn object_type(is_set: impl Fn(Property) -> bool, is_untrusted: bool) -> &'static str {
    const STRONG: [Property; 7] = [
        Property::FirmwareSerialNumber,
        Property::MachineID,
        Property::HostID,
        Property::HostIdentifyingNumber,
        Property::UUID,
        Property::ILMTAgentID,
        Property::PartitionID,
    ];
    if STRONG.into_iter().any(&is_set) || (is_set(Property::SerialNo) && !is_untrusted) {
        "Complete"
    } else if [Property::Manufacturer, Property::ModelNo, Property::HostType].into_iter().any(&is_set) {
        "Incomplete"
    } else {
        "Unmatched"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::{DeviceValues, Provenance};
    use Property::*;

    fn normalised(pairs: &[(Property, &str)]) -> Normalised {
        Normalised::new(&pairs.iter().copied().collect(), &Placeholders::default())
    }

    fn one(property: Property, text: &str) -> Option<String> {
        normalised(&[(property, text)]).get(property).map(str::to_owned)
    }

    /// Properties in which a placeholder becomes null.
    const TESTED: [Property; 10] = [
        Manufacturer,
        ModelNo,
        HostType,
        HostID,
        MachineID,
        FirmwareSerialNumber,
        HostIdentifyingNumber,
        PartitionID,
        UUID,
        ILMTAgentID,
    ];

    #[test]
    fn a_value_is_trimmed_of_exactly_the_listed_bytes_and_empty_becomes_null() {
        assert_eq!(one(ComputerName, "\0\t\n\x0b\x0c\r a  b \r\0").as_deref(), Some("a  b"));
        for kept in ["\x08a", "a\x0e", "a\u{a0}", "\u{2003}a", "\u{85}a", "a\x1f"] {
            assert_eq!(one(ComputerName, kept).as_deref(), Some(kept), "{kept:?}");
        }
        for empty in ["", " ", "\0\0", "\t\r\n"] {
            assert_eq!(one(ComputerName, empty), None, "{empty:?}");
        }
    }

    #[test]
    fn a_stored_value_keeps_its_case() {
        assert_eq!(one(Manufacturer, " DELL Inc. ").as_deref(), Some("DELL Inc."));
    }

    #[test]
    fn every_placeholder_of_the_list_is_null_in_any_case() {
        let list = "to be filled by o.e.m.|to be filled by oem|default string|system serial number|system manufacturer|\
            system product name|chassis serial number|serial number|none|n/a|na|not specified|not applicable|\
            not available|unknown|invalid|null|0|123456789|0123456789|1234567890";
        assert_eq!(list.split('|').count(), 21);
        for text in list.split('|') {
            assert_eq!(one(ModelNo, text), None, "{text}");
            assert_eq!(one(ModelNo, &format!(" {} ", text.to_uppercase())), None, "{text}");
            assert!(one(ModelNo, &format!("{text}x")).is_some(), "{text}");
        }
    }

    #[test]
    fn punctuation_alone_and_four_copies_of_one_character_are_placeholders() {
        for text in
            ["-", "- . _ : { }", "....", "0000", "xxxx", "XxXx", "00:00:00:00", "{0000-00}", "ffffffffff", "üüüü"]
        {
            assert_eq!(one(UUID, text), None, "{text}");
        }
        for text in ["000", "x", "0001", "1000", "00100", "////a", "0:0:0", "üüü", "ÜÜüü", "a\u{a0}aaa"] {
            assert_eq!(one(UUID, text).as_deref(), Some(text), "{text}");
        }
    }

    #[test]
    fn a_placeholder_becomes_null_in_the_tested_properties_and_stays_in_all_others() {
        for property in Property::ALL.into_iter().filter(|p| ![UntrustedSerialNo, ObjectType].contains(p)) {
            let expected = if TESTED.contains(&property) { None } else { Some("Unknown") };
            assert_eq!(one(property, "Unknown").as_deref(), expected, "{property}");
            let expected = if TESTED.contains(&property) { None } else { Some("00000000") };
            assert_eq!(one(property, "00000000").as_deref(), expected, "{property}");
        }
    }

    #[test]
    fn a_placeholder_serial_stays_but_is_untrusted() {
        let values = normalised(&[(SerialNo, "None"), (UntrustedSerialNo, "false")]);
        assert_eq!(values.get(SerialNo), Some("None"));
        let trust = |values: &Normalised| values.get(UntrustedSerialNo).map(str::to_owned);
        assert_eq!(trust(&values).as_deref(), Some("true"));
        assert_eq!(trust(&normalised(&[(SerialNo, "....")])).as_deref(), Some("true"));
        assert_eq!(trust(&normalised(&[(SerialNo, "S1")])).as_deref(), Some("false"));
    }

    #[test]
    fn the_list_of_placeholders_is_configuration() {
        let list = Placeholders::new([" Acme Filler "]);
        let values = [(ModelNo, "ACME filler"), (HostType, "none"), (HostID, "0000")].into_iter().collect();
        let values = Normalised::new(&values, &list);
        assert_eq!(values.get(ModelNo), None);
        assert_eq!(values.get(HostType), Some("none"));
        assert_eq!(values.get(HostID), None, "copies of one character need no list");
        let bytes = rmp_serde::to_vec(&list).unwrap();
        assert_eq!(rmp_serde::from_slice::<Placeholders>(&bytes).unwrap(), list);
    }

    #[test]
    fn trust_reads_true_1_and_yes_and_takes_anything_else_for_false() {
        for text in ["true", "TRUE", " Yes ", "1", "yes"] {
            assert_eq!(one(UntrustedSerialNo, text).as_deref(), Some("true"), "{text}");
        }
        for text in ["", "false", "0", "no", "2", "y", "t", "true."] {
            assert_eq!(one(UntrustedSerialNo, text).as_deref(), Some("false"), "{text}");
        }
        assert_eq!(normalised(&[]).get(UntrustedSerialNo), Some("false"));
    }

    #[test]
    fn a_guest_loses_the_number_of_its_host() {
        let guest = normalised(&[(VMType, "VMware"), (HostIdentifyingNumber, "H1"), (HostID, "h")]);
        assert_eq!((guest.get(HostIdentifyingNumber), guest.get(HostID)), (None, Some("h")));
        for physical in [&[(HostIdentifyingNumber, "H1")][..], &[(HostIdentifyingNumber, "H1"), (VMType, "  ")]] {
            assert_eq!(normalised(physical).get(HostIdentifyingNumber), Some("H1"));
        }
    }

    #[test]
    fn object_type_is_complete_with_one_strong_value_incomplete_with_hardware_else_unmatched() {
        let strong = [FirmwareSerialNumber, MachineID, HostID, HostIdentifyingNumber, UUID, ILMTAgentID, PartitionID];
        for property in Property::ALL.into_iter().filter(|p| ![UntrustedSerialNo, ObjectType].contains(p)) {
            let expected = match property {
                SerialNo => "Complete",
                _ if strong.contains(&property) => "Complete",
                Manufacturer | ModelNo | HostType => "Incomplete",
                _ => "Unmatched",
            };
            assert_eq!(normalised(&[(property, "v1")]).get(ObjectType), Some(expected), "{property}");
        }
        let untrusted = normalised(&[(SerialNo, "S1"), (UntrustedSerialNo, "1")]);
        assert_eq!(untrusted.get(ObjectType), Some("Unmatched"));
        let placeholder = normalised(&[(UUID, "0000"), (ModelNo, "m")]);
        assert_eq!(placeholder.get(ObjectType), Some("Incomplete"));
        let guest = normalised(&[(HostIdentifyingNumber, "H1"), (VMType, "x")]);
        assert_eq!(guest.get(ObjectType), Some("Unmatched"));
    }

    #[test]
    fn an_object_type_the_source_gave_stays() {
        assert_eq!(normalised(&[(ObjectType, " incomplete "), (UUID, "u1")]).get(ObjectType), Some("incomplete"));
        assert_eq!(normalised(&[(ObjectType, " "), (UUID, "u1")]).get(ObjectType), Some("Complete"));
    }

    #[test]
    fn a_device_has_its_object_type_computed_whatever_was_stored() {
        let giver = Provenance { source: "a".into(), date: 1 };
        let values: DeviceValues =
            [(ObjectType, "Incomplete", giver.clone()), (UUID, "u1", giver.clone()), (ModelNo, "None", giver)]
                .into_iter()
                .collect();
        let device =
            Device { id: crate::id::DeviceId(1), inventory_date: 1, values, bindings: vec![], merged_into: None };
        let values = Normalised::of_device(&device, &Placeholders::default());
        assert_eq!(values.get(ObjectType), Some("Complete"));
        assert_eq!(values.get(ModelNo), None, "stored values are normalised again");
    }

    #[test]
    fn strong_keys_are_folded_and_hold_a_serial_only_when_it_is_trusted() {
        let pairs = [
            (FirmwareSerialNumber, "F1"),
            (SerialNo, "S1"),
            (UUID, "33221100-5544-7766-8899-AABBCCDDEEFF"),
            (MachineID, "M1"),
            (ILMTAgentID, "I1"),
            (HostID, "H1"),
        ];
        let expected = StrongKeys {
            firmware_serial_number: Some("f1".into()),
            trusted_serial_no: Some("s1".into()),
            uuid_key: Some("u:00112233445566778899aabbccddeeff".into()),
            machine_id: Some("m1".into()),
            ilmt_agent_id: Some("i1".into()),
        };
        assert_eq!(normalised(&pairs).strong_keys(), expected);
        let untrusted: Vec<_> = pairs.into_iter().chain([(UntrustedSerialNo, "yes")]).collect();
        assert_eq!(normalised(&untrusted).strong_keys(), StrongKeys { trusted_serial_no: None, ..expected });
        assert_eq!(normalised(&[(HostID, "x")]).strong_keys(), StrongKeys::default());
    }
}
