//! The shape of a machine, as its firmware numbers it.

/// The words for the type of a chassis, indexed by type less one.
///
/// Source: DMTF DSP0134 (SMBIOS) 3.7, table 17.
const WORDS: [&str; 36] = [
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All in One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "SubChassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system Chassis",
    "Compact PCI",
    "Advanced TCA",
    "Blade",
    "Blade Enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
];

/// The words for a chassis type; its highest bit (a lock is there) is ignored. `None` for a type that is not known.
pub fn chassis_words(chassis_type: u8) -> Option<&'static str> {
    WORDS.get(usize::from(chassis_type & 0x7f).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_words_and_the_lock_does_not_count() {
        for (number, words) in [
            (0, None),
            (1, Some("Other")),
            (10, Some("Notebook")),
            (23, Some("Rack Mount Chassis")),
            (23 | 0x80, Some("Rack Mount Chassis")),
            (36, Some("Stick PC")),
            (37, None),
        ] {
            assert_eq!(chassis_words(number), words, "{number}");
        }
    }
}
