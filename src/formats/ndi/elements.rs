//! One struct per element of an inventory file, borrowed: the reader lends them out of its buffer, the collector fills
//! them from the host, the writer prints them. Optional attributes are empty text when absent.
//!
//! Source: `agent-beacon-batch` reference, section 4.3 (shape), 4.2 (limits).

/// Attributes of the root `Inventory`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// Version of the agent that wrote the file.
    pub tracker: &'a str,
    /// `Machine` (run as the system account) or `User`.
    pub audience: &'a str,
    /// Fully qualified name of the machine.
    pub scope: &'a str,
    /// Short name of the machine.
    pub machine_name: &'a str,
    /// Account that collected.
    pub user_name: &'a str,
    /// Whether the section is present.
    pub has_hardware: bool,
    /// Whether the section is present.
    pub has_software: bool,
    /// Whether the section is present.
    pub has_service_providers: bool,
    /// `YYYYMMDDThhmmss` in UTC, as written.
    pub date_time: &'a str,
    /// `Full`, `Hardware` or `Oracle`, as written.
    pub kind: &'a str,
    /// GUID of the agent, with or without braces.
    pub machine_id: &'a str,
    /// Site label of the device.
    pub site: &'a str,
    /// Tenant the file claims; never believed (the tenant comes from the beacon's registration).
    pub tenant_uid: &'a str,
}

/// `Property Name Value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Property<'a> {
    /// Name; case counts.
    pub name: &'a str,
    /// Value; lists are separated by `;`.
    pub value: &'a str,
}

/// `Hardware`: one object of a class such as `MGS_ComputerSystem`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hardware<'a> {
    /// `MGS_*` on UNIX, `Win32_*` on Windows.
    pub class: &'a str,
    /// Name, at most 256 characters.
    pub name: &'a str,
    /// 0, 1, 2 ... among objects of equal class and name.
    pub occurrence: u32,
    /// Where it was read: `dmi`, `os`, `wmi`.
    pub evidence: &'a str,
}

/// `Package`: installer evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Package<'a> {
    /// Display name, at most 256 characters.
    pub name: &'a str,
    /// At most 72 characters.
    pub version: &'a str,
    /// At most 200 characters.
    pub publisher: &'a str,
    /// `msi`, `uninstall`, `rpm`, `deb`, `managesoft` or `pkg`; in a home the word of its technology.
    pub evidence: &'a str,
    /// At most 55 characters.
    pub product_code: &'a str,
    /// `YYYYMMDD`.
    pub install_date: &'a str,
    /// Where it is installed.
    pub install_path: &'a str,
    /// Account it is installed for; empty for the machine.
    pub user_name: &'a str,
}

/// The evidence of files that are SWID tags.
pub const SWID_TAG: &str = "swidtag";

/// `File`: file evidence. On UNIX the name is the full path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct File<'a> {
    /// At most 256 characters.
    pub name: &'a str,
    /// At most 400 characters.
    pub path: &'a str,
    /// At most 100 characters.
    pub version: &'a str,
    /// At most 100 characters.
    pub company: &'a str,
    /// At most 200 characters.
    pub description: &'a str,
    /// Product the file belongs to.
    pub product_name: &'a str,
    /// At most 200 characters.
    pub product_version: &'a str,
    /// Bytes; `None` when not given.
    pub size: Option<u64>,
    /// MD5 in hexadecimal.
    pub md5: &'a str,
    /// `YYYYMMDDThhmmss` in UTC.
    pub last_modified: &'a str,
    /// `exehdr`, `dllhdr`, `swidtag` or `file`.
    pub evidence: &'a str,
}

/// `Access`: who reached a server product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access<'a> {
    /// Server product.
    pub product: &'a str,
    /// Its version.
    pub version: &'a str,
    /// `user` or `device`.
    pub mode: &'a str,
    /// How often.
    pub count: Option<u64>,
    /// `YYYYMMDDThhmmss` in UTC.
    pub last_access: &'a str,
    /// The user.
    pub user_name: &'a str,
    /// The device.
    pub client_name: &'a str,
}

/// `Service`: a system service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service<'a> {
    /// Unit name.
    pub name: &'a str,
    /// `running`, `stopped`; empty when unknown.
    pub state: &'a str,
    /// `auto`, `manual`, `disabled`.
    pub start_mode: &'a str,
    /// Executable, without its arguments: arguments never leave the host.
    pub path: &'a str,
    /// Account it runs as.
    pub account: &'a str,
}

/// `ServiceProvider`: something that offers instances (VDI broker, Oracle instance, virtual machine host); nests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceProvider<'a> {
    /// What it is.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
}
