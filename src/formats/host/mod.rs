//! What the collector reads on a host: one file of the operating system or its package managers each, bytes to structs.
//!
//! The bytes come from the host's own files, from a mounted image or from a container's layer, so they are bounded and
//! may be hostile: every reader keeps what it understands and tells the rest as [`Finding`]s. Values of environment
//! variables and arguments of commands are dropped here, in the reader, so that no later code can send them on.

pub mod finding;
pub mod installed_package;

pub mod dpkg;
pub mod dpkg_list;
pub mod rpm_files;
pub mod rpm_header;
pub mod rpm_ndb;
pub mod swid;

pub mod chassis;
pub mod cpuinfo;
pub mod host_name;
pub mod meminfo;
pub mod mounts;
pub mod os_release;

pub mod container;
pub mod hyperv;
pub mod systemd;

pub mod net_tcp;
pub mod oratab;
pub mod passwd;
pub mod process;

pub mod home;

pub use finding::{Finding, Findings};
pub use installed_package::InstalledPackage;

/// The lines of `bytes` as text, without line ends; bytes that are no UTF-8 become U+FFFD.
fn lines(bytes: &[u8]) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    bytes.split(|&byte| byte == b'\n').map(|line| String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)))
}

/// The first value of `key` in lines of the form `key : value`, trimmed.
fn colon_value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (name, value) = line.split_once(':')?;
    (name.trim_end() == key).then(|| value.trim())
}
