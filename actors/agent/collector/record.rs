//! What was collected, before it is written: sorted, so that an unchanged host gives unchanged bytes.

use muster::formats::host::InstalledPackage;
use muster::formats::host::home::Installed;

/// One host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRecord {
    /// Short name; empty when the host has none.
    pub name: String,
    /// Domain; empty when no file tells.
    pub domain: String,
    /// Hardware and system objects, by class, then in the order of the host.
    pub hardware: Vec<HardwareObject>,
    /// Packages of all package managers, by manager and name.
    pub packages: Vec<PackageRecord>,
    /// Software identification tags, by path.
    pub tags: Vec<TagRecord>,
    /// What accounts installed into their homes, by name.
    pub in_homes: Vec<Installed>,
    /// System services, by name.
    pub services: Vec<ServiceRecord>,
}

/// One `Hardware` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwareObject {
    /// `MGS_ComputerSystem` and so on.
    pub class: &'static str,
    /// Name, unique in its class on most hosts.
    pub name: String,
    /// `dmi` or `os`.
    pub evidence: &'static str,
    /// Names and values; empty values are not written.
    pub properties: Vec<(&'static str, String)>,
}

/// One `Package` element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageRecord {
    /// `deb` or `rpm`.
    pub evidence: &'static str,
    /// The package.
    pub package: InstalledPackage,
}

/// One software identification tag, a `File` element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagRecord {
    /// Full path on the host.
    pub path: String,
    /// Bytes of the tag itself.
    pub size_bytes: u64,
    /// Product.
    pub product: String,
    /// Version of the product.
    pub version: String,
    /// Who made it.
    pub company: String,
}

/// One `Service` element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceRecord {
    /// Unit name without `.service`.
    pub name: String,
    /// `running`, `stopped`, or empty when not known.
    pub state: &'static str,
    /// `auto`, `manual` or `disabled`.
    pub start_mode: &'static str,
    /// Executable without arguments.
    pub path: String,
    /// Account.
    pub account: String,
}

impl HardwareObject {
    /// An object without properties yet.
    pub fn new(class: &'static str, name: &str, evidence: &'static str) -> HardwareObject {
        HardwareObject { class, name: name.into(), evidence, properties: Vec::new() }
    }

    /// The object with one more property, unless `value` is empty.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> HardwareObject {
        let value = value.into();
        if !value.is_empty() {
            self.properties.push((name, value));
        }
        self
    }

    /// The object with one more property, unless there is no value.
    pub fn with_number(self, name: &'static str, value: Option<impl ToString>) -> HardwareObject {
        self.with(name, value.map(|value| value.to_string()).unwrap_or_default())
    }

    /// The value of a property; empty when there is none.
    pub fn value(&self, name: &str) -> &str {
        self.properties.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

impl HostRecord {
    /// The objects of one class, named without its platform's prefix: `Processor`.
    pub fn of_class<'a>(&'a self, class: &'a str) -> impl Iterator<Item = &'a HardwareObject> {
        self.hardware.iter().filter(move |object| object.class.split_once('_').is_some_and(|(_, kind)| kind == class))
    }

    /// A property of the first object of a class; empty when there is none.
    pub fn value<'a>(&'a self, class: &'a str, property: &str) -> &'a str {
        self.of_class(class).next().map(|object| object.value(property)).unwrap_or_default()
    }

    /// Sorts everything that has no order of its own.
    pub fn sort(&mut self) {
        self.hardware.sort_by_key(|object| object.class); // stable: sockets and disks keep the host's order
        self.packages.sort();
        self.packages.dedup();
        self.tags.sort();
        self.in_homes.sort();
        self.services.sort();
    }
}
