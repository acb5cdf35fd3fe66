//! Hardware classes: one table for the two families of names.

use super::Hardware;

/// What the Windows collector calls a class, and what every other place calls it.
const CLASSES: [(&str, &str); 8] = [
    ("Win32_ComputerSystem", "MGS_ComputerSystem"),
    ("Win32_BIOS", "MGS_BIOS"),
    ("Win32_OperatingSystem", "MGS_OperatingSystem"),
    ("Win32_Processor", "MGS_Processor"),
    ("Win32_NetworkAdapterConfiguration", "MGS_NetworkAdapterConfiguration"),
    ("Win32_LogicalDisk", "MGS_LogicalDisk"),
    ("Win32_PhysicalMemory", "MGS_PhysicalMemory"),
    ("Win32_Identity", "MGS_Identity"),
];

/// The `MGS_` name of a `Win32_` class that has one; any other name as it is.
///
/// Source: `agent-beacon-batch` reference, section 4.3.
pub fn canonical_class(class: &str) -> &str {
    CLASSES.iter().find(|(windows, _)| *windows == class).map_or(class, |(_, canonical)| canonical)
}

impl<'a> Hardware<'a> {
    /// The class under its `MGS_` name, whichever system wrote the file.
    pub fn canonical_class(&self) -> &'a str {
        canonical_class(self.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_of_classes_meet_in_one_name() {
        let class = |class| Hardware { class, ..Hardware::default() }.canonical_class();
        assert_eq!(class("Win32_BIOS"), "MGS_BIOS");
        assert_eq!(class("MGS_BIOS"), "MGS_BIOS");
        assert_eq!(class("Win32_Registry"), "Win32_Registry");
        assert!(
            CLASSES.iter().all(|(windows, canonical)| windows.strip_prefix("Win32") == canonical.strip_prefix("MGS"))
        );
    }
}
