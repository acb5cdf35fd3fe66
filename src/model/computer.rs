//! A computer as one inventory source reports it: the row that the Matchers read.
//!
//! Source: matching reference, sections 1 and 2.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A property that Conditions and Rules may name. Source: matching reference, section 2; order as there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Property {
    /// Name of the computer.
    ComputerName,
    /// Domain it belongs to.
    ComplianceDomainID,
    /// Computer, VMHost, ... : used by no standard Matcher.
    ComputerType,
    /// Kind of virtual machine or partition; null for a physical computer.
    VMType,
    /// Name of the virtual machine or partition at its host.
    VMName,
    /// Identity of the partition.
    PartitionID,
    /// Number of the partition in its host.
    PartitionNumber,
    /// Maker of the hardware.
    Manufacturer,
    /// Model of the hardware.
    ModelNo,
    /// Type of the host hardware.
    HostType,
    /// Identity of the host.
    HostID,
    /// Machine identity of the operating system.
    MachineID,
    /// Serial number in the firmware.
    FirmwareSerialNumber,
    /// Serial number, from wherever the source took it.
    SerialNo,
    /// Boolean: whether `SerialNo` may be shared by unrelated machines.
    UntrustedSerialNo,
    /// Number that names the host; meaningless for a guest.
    HostIdentifyingNumber,
    /// Hardware UUID in either byte order.
    UUID,
    /// Name of the operating system.
    OperatingSystem,
    /// Agent id of IBM ILMT.
    ILMTAgentID,
    /// Complete, Incomplete or Unmatched: computed in the import, never stored.
    ObjectType,
}

impl Property {
    /// How many properties there are.
    pub const COUNT: usize = 20;

    /// Every property, in the order of the reference; `ALL[p as usize] == p`.
    pub const ALL: [Property; Property::COUNT] = [
        Property::ComputerName,
        Property::ComplianceDomainID,
        Property::ComputerType,
        Property::VMType,
        Property::VMName,
        Property::PartitionID,
        Property::PartitionNumber,
        Property::Manufacturer,
        Property::ModelNo,
        Property::HostType,
        Property::HostID,
        Property::MachineID,
        Property::FirmwareSerialNumber,
        Property::SerialNo,
        Property::UntrustedSerialNo,
        Property::HostIdentifyingNumber,
        Property::UUID,
        Property::OperatingSystem,
        Property::ILMTAgentID,
        Property::ObjectType,
    ];

    /// The name in matcher files and column headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Property::ComputerName => "ComputerName",
            Property::ComplianceDomainID => "ComplianceDomainID",
            Property::ComputerType => "ComputerType",
            Property::VMType => "VMType",
            Property::VMName => "VMName",
            Property::PartitionID => "PartitionID",
            Property::PartitionNumber => "PartitionNumber",
            Property::Manufacturer => "Manufacturer",
            Property::ModelNo => "ModelNo",
            Property::HostType => "HostType",
            Property::HostID => "HostID",
            Property::MachineID => "MachineID",
            Property::FirmwareSerialNumber => "FirmwareSerialNumber",
            Property::SerialNo => "SerialNo",
            Property::UntrustedSerialNo => "UntrustedSerialNo",
            Property::HostIdentifyingNumber => "HostIdentifyingNumber",
            Property::UUID => "UUID",
            Property::OperatingSystem => "OperatingSystem",
            Property::ILMTAgentID => "ILMTAgentID",
            Property::ObjectType => "ObjectType",
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The text names no property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a property of a computer")]
pub struct UnknownProperty;

impl FromStr for Property {
    type Err = UnknownProperty;

    /// Reads a name without regard to ASCII case.
    fn from_str(text: &str) -> Result<Property, UnknownProperty> {
        Property::ALL.into_iter().find(|property| property.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownProperty)
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Optional text per property, packed: one block of text and its borders, so that a million records stay small
/// (40 bytes, 4 per value that is set, and the text itself).
///
/// Stored as a list of (property, text), ascending.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<(Property, String)>", into = "Vec<(Property, String)>")]
pub struct Values {
    /// Bit per property that is set.
    set: u32,
    /// Where each set value ends in `text`, in the order of `Property::ALL`.
    ends: Box<[u32]>,
    text: Box<str>,
}

impl Values {
    /// The value of `property`; `None` when it is null.
    pub fn get(&self, property: Property) -> Option<&str> {
        if self.set & property.bit() == 0 {
            return None;
        }
        let rank = (self.set & (property.bit() - 1)).count_ones() as usize;
        let start = if rank == 0 { 0 } else { *self.ends.get(rank - 1)? as usize };
        self.text.get(start..*self.ends.get(rank)? as usize)
    }

    /// The values that are set, in the order of [`Property::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Property, &str)> {
        Property::ALL.into_iter().filter_map(|property| Some((property, self.get(property)?)))
    }

    /// Whether every property is null.
    pub fn is_empty(&self) -> bool {
        self.set == 0
    }
}

/// Of a property given twice the last value counts. Text past 4 GiB in one record is left out.
impl<S: AsRef<str>> FromIterator<(Property, S)> for Values {
    fn from_iter<I: IntoIterator<Item = (Property, S)>>(pairs: I) -> Values {
        let mut slots: [Option<S>; Property::COUNT] = [const { None }; Property::COUNT];
        for (property, text) in pairs {
            slots[property as usize] = Some(text);
        }
        let (mut set, mut ends, mut packed) = (0, Vec::new(), String::new());
        packed.reserve_exact(slots.iter().flatten().map(|text| text.as_ref().len()).sum());
        for (property, slot) in Property::ALL.into_iter().zip(&slots) {
            let Some(text) = slot.as_ref().map(AsRef::as_ref) else { continue };
            let Ok(end) = u32::try_from(packed.len() + text.len()) else { continue };
            packed.push_str(text);
            ends.push(end);
            set |= property.bit();
        }
        Values { set, ends: ends.into(), text: packed.into() }
    }
}

impl From<Vec<(Property, String)>> for Values {
    fn from(pairs: Vec<(Property, String)>) -> Values {
        pairs.into_iter().collect()
    }
}

impl From<Values> for Vec<(Property, String)> {
    fn from(values: Values) -> Vec<(Property, String)> {
        values.iter().map(|(property, text)| (property, text.to_owned())).collect()
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// One row from one inventory source, as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedComputer {
    /// Unique in an import; the larger one is the younger record.
    pub record_id: u64,
    /// The connection that brought it.
    pub source: Arc<str>,
    /// The source's own key; with `source` unique in an import.
    pub external_id: Box<str>,
    /// Unix seconds.
    pub inventory_date: i64,
    /// The properties, as given.
    pub values: Values,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_stands_at_its_own_place_and_reads_back_in_any_case() {
        for (place, property) in Property::ALL.into_iter().enumerate() {
            assert_eq!(property as usize, place);
            assert_eq!(property.as_str(), format!("{property:?}"));
            assert_eq!(property.as_str().to_ascii_uppercase().parse(), Ok(property));
            assert_eq!(property.as_str().to_ascii_lowercase().parse(), Ok(property));
        }
        for text in ["", "Serial", "SerialNo ", "ÜUID"] {
            assert_eq!(text.parse::<Property>(), Err(UnknownProperty), "{text}");
        }
    }

    #[test]
    fn values_give_back_what_was_set_and_null_for_the_rest() {
        let pairs = [(Property::ObjectType, "x"), (Property::ComputerName, "pc-ü"), (Property::UUID, "")];
        let values: Values = pairs.into_iter().collect();
        for property in Property::ALL {
            let expected = pairs.iter().find(|(p, _)| *p == property).map(|(_, text)| *text);
            assert_eq!(values.get(property), expected, "{property}");
        }
        let in_order: Vec<_> = values.iter().collect();
        assert_eq!(in_order, [pairs[1], pairs[2], pairs[0]]);
        assert!(Values::default().is_empty() && !values.is_empty());
    }

    #[test]
    fn of_a_property_given_twice_the_last_value_counts() {
        let values: Values =
            [(Property::UUID, "a"), (Property::HostID, "b"), (Property::UUID, "c")].into_iter().collect();
        assert_eq!(values.iter().collect::<Vec<_>>(), [(Property::HostID, "b"), (Property::UUID, "c")]);
    }

    #[test]
    fn a_computer_survives_message_pack() {
        let computer = ImportedComputer {
            record_id: 7,
            source: "sccm".into(),
            external_id: "k1".into(),
            inventory_date: -5,
            values: Property::ALL.into_iter().map(|p| (p, p.as_str())).collect(),
        };
        let bytes = rmp_serde::to_vec(&computer).unwrap();
        assert_eq!(rmp_serde::from_slice::<ImportedComputer>(&bytes).unwrap(), computer);
    }
}
