//! A device: the merged record of one machine, with a stable id that is never reused.
//!
//! Source: matching reference, sections 1, 7 (bindings, aliases) and 8 (values with provenance).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::computer::{ImportedComputer, Property, Values};
use crate::id::DeviceId;
use crate::time::Timestamp;

/// What names a record across imports: its source and the source's own key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The connection that brought it.
    pub source: Arc<str>,
    /// The source's own key.
    pub external_id: Box<str>,
}

impl From<&ImportedComputer> for RecordKey {
    fn from(computer: &ImportedComputer) -> RecordKey {
        RecordKey { source: computer.source.clone(), external_id: computer.external_id.clone() }
    }
}

/// Who gave a value, and when. Source: matching reference, section 8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Provenance {
    /// The source.
    pub source: Arc<str>,
    /// Inventory date of its record, Unix seconds.
    pub date: i64,
}

/// One value of a device, in its stored form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceValue {
    /// Which property.
    pub property: Property,
    /// Its value, in the case the source wrote it.
    pub text: String,
    /// Who gave it.
    pub provenance: Provenance,
}

/// The values of a device, each with its provenance; a provenance shared by many values is kept once.
///
/// Stored as a list of [`DeviceValue`], ascending by property.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<DeviceValue>", into = "Vec<DeviceValue>")]
pub struct DeviceValues {
    values: Values,
    /// The provenances that occur, each once.
    givers: Box<[Provenance]>,
    /// For each set value, in the order of `Property::ALL`, its place in `givers`.
    given_by: Box<[u8]>,
}

impl DeviceValues {
    /// The value of `property` and who gave it; `None` when it is null.
    pub fn get(&self, property: Property) -> Option<(&str, &Provenance)> {
        self.iter().find(|(set, ..)| *set == property).map(|(_, text, giver)| (text, giver))
    }

    /// The values that are set, in the order of [`Property::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Property, &str, &Provenance)> {
        let givers = self.given_by.iter().map(|&place| &self.givers[place as usize]);
        self.values.iter().zip(givers).map(|((property, text), giver)| (property, text, giver))
    }

    /// The values without their provenance.
    pub fn values(&self) -> &Values {
        &self.values
    }
}

/// Of a property given twice the last value counts.
impl<S: AsRef<str>> FromIterator<(Property, S, Provenance)> for DeviceValues {
    fn from_iter<I: IntoIterator<Item = (Property, S, Provenance)>>(given: I) -> DeviceValues {
        let mut slots: [Option<(S, Provenance)>; Property::COUNT] = [const { None }; Property::COUNT];
        for (property, text, giver) in given {
            slots[property as usize] = Some((text, giver));
        }
        let set = || Property::ALL.into_iter().zip(&slots).filter_map(|(p, slot)| Some((p, slot.as_ref()?)));
        let values: Values = set().map(|(property, (text, _))| (property, text.as_ref())).collect();
        let (mut givers, mut given_by) = (Vec::<Provenance>::new(), Vec::new());
        // At most one giver per property, so a place always fits a byte.
        for (_, (_, giver)) in set().filter(|(property, _)| values.get(*property).is_some()) {
            let place = givers.iter().position(|known| known == giver).unwrap_or(givers.len());
            if place == givers.len() {
                givers.push(giver.clone());
            }
            given_by.push(place as u8);
        }
        DeviceValues { values, givers: givers.into(), given_by: given_by.into() }
    }
}

impl From<Vec<DeviceValue>> for DeviceValues {
    fn from(list: Vec<DeviceValue>) -> DeviceValues {
        list.into_iter().map(|value| (value.property, value.text, value.provenance)).collect()
    }
}

impl From<DeviceValues> for Vec<DeviceValue> {
    fn from(values: DeviceValues) -> Vec<DeviceValue> {
        let own = |(property, text, giver): (Property, &str, &Provenance)| DeviceValue {
            property,
            text: text.to_owned(),
            provenance: giver.clone(),
        };
        values.iter().map(own).collect()
    }
}

impl fmt::Debug for DeviceValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(property, text, giver)| (property, (text, giver)))).finish()
    }
}

/// The five values that tell one machine from another, folded: when one of them is set in both and differs, the
/// record is no longer the machine it was.
///
/// Source: matching reference, section 7, step 5.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StrongKeys {
    /// FirmwareSerialNumber.
    pub firmware_serial_number: Option<Box<str>>,
    /// SerialNo, when it is trusted.
    pub trusted_serial_no: Option<Box<str>>,
    /// The key of UUID, equal for both byte orders.
    pub uuid_key: Option<Box<str>>,
    /// MachineID.
    pub machine_id: Option<Box<str>>,
    /// ILMTAgentID.
    pub ilmt_agent_id: Option<Box<str>>,
}

impl StrongKeys {
    /// Whether some key is set in both and different.
    pub fn contradict(&self, other: &StrongKeys) -> bool {
        self.all().into_iter().zip(other.all()).any(|pair| matches!(pair, (Some(a), Some(b)) if a != b))
    }

    /// Whether some key is the same in both and none is different.
    pub fn agree(&self, other: &StrongKeys) -> bool {
        let is_same = self.all().into_iter().zip(other.all()).any(|pair| matches!(pair, (Some(a), Some(b)) if a == b));
        is_same && !self.contradict(other)
    }

    fn all(&self) -> [Option<&str>; 5] {
        [
            self.firmware_serial_number.as_deref(),
            self.trusted_serial_no.as_deref(),
            self.uuid_key.as_deref(),
            self.machine_id.as_deref(),
            self.ilmt_agent_id.as_deref(),
        ]
    }
}

/// A record that was merged into a device, and its strong keys at that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The record.
    pub record: RecordKey,
    /// Its strong keys when it was merged.
    pub strong: StrongKeys,
    /// Order of the Matcher that joined it to the other records of the device; `None` as long as it was alone.
    pub matcher: Option<i64>,
}

/// Value of a `FactKey::Device`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFact {
    /// The device.
    pub device: Device,
    /// When an import last changed it: what an export of changes asks for.
    pub changed: Timestamp,
}

/// A stored, merged record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Never reused; the smaller one is the older one.
    pub id: DeviceId,
    /// Latest of its records, Unix seconds.
    pub inventory_date: i64,
    /// Merged values; never ObjectType, which is computed in each import.
    pub values: DeviceValues,
    /// The records merged into it, ascending by record key.
    pub bindings: Vec<Binding>,
    /// Set when this id is only an alias of the device it was merged into; it then has no values and no bindings. A device
    /// that has ended is an alias of itself: nothing lists it, nothing matches it, and its number is not given again.
    pub merged_into: Option<DeviceId>,
}

impl Device {
    /// What is left of it when the sources of all its records have taken them away.
    pub fn ended(&self) -> Device {
        Device {
            id: self.id,
            inventory_date: self.inventory_date,
            values: DeviceValues::default(),
            bindings: Vec::new(),
            merged_into: Some(self.id),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.merged_into == Some(self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn giver(source: &str, date: i64) -> Provenance {
        Provenance { source: source.into(), date }
    }

    fn values() -> DeviceValues {
        [
            (Property::UUID, "u", giver("b", 2)),
            (Property::ComputerName, "n", giver("a", 1)),
            (Property::HostID, "h", giver("b", 2)),
            (Property::ModelNo, "m", giver("b", 1)),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn each_value_keeps_its_own_giver() {
        let values = values();
        assert_eq!(values.get(Property::UUID), Some(("u", &giver("b", 2))));
        assert_eq!(values.get(Property::ComputerName), Some(("n", &giver("a", 1))));
        assert_eq!(values.get(Property::HostID), Some(("h", &giver("b", 2))));
        assert_eq!(values.get(Property::ModelNo), Some(("m", &giver("b", 1))));
        assert_eq!(values.get(Property::HostType), None);
        assert_eq!(values.values().get(Property::UUID), Some("u"));
        assert_eq!(values.givers.len(), 3);
    }

    #[test]
    fn a_device_survives_message_pack() {
        let record = RecordKey { source: "a".into(), external_id: "1".into() };
        let strong = StrongKeys { machine_id: Some("m".into()), ..StrongKeys::default() };
        let device = Device {
            id: DeviceId(3),
            inventory_date: 9,
            values: values(),
            bindings: vec![Binding { record, strong, matcher: Some(10) }],
            merged_into: Some(DeviceId(1)),
        };
        let bytes = rmp_serde::to_vec(&device).unwrap();
        assert_eq!(rmp_serde::from_slice::<Device>(&bytes).unwrap(), device);
    }

    #[test]
    fn strong_keys_contradict_only_when_one_is_set_in_both_and_differs() {
        let key = |place: usize, text: &str| {
            let mut keys = StrongKeys::default();
            let fields = [
                &mut keys.firmware_serial_number,
                &mut keys.trusted_serial_no,
                &mut keys.uuid_key,
                &mut keys.machine_id,
                &mut keys.ilmt_agent_id,
            ];
            *fields.into_iter().nth(place).unwrap() = Some(text.into());
            keys
        };
        for place in 0..5 {
            assert!(key(place, "a").contradict(&key(place, "b")), "{place}");
            assert!(!key(place, "a").contradict(&key(place, "a")), "{place}");
            assert!(!key(place, "a").contradict(&StrongKeys::default()), "{place}");
            assert!(!key(place, "a").contradict(&key((place + 1) % 5, "b")), "{place}");
            assert!(key(place, "a").agree(&key(place, "a")), "{place}");
            assert!(!key(place, "a").agree(&key(place, "b")) && !key(place, "a").agree(&StrongKeys::default()));
            assert!(!key(place, "a").agree(&key((place + 1) % 5, "a")), "{place}");
        }
    }
}
