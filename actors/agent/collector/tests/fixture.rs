//! A made-up host: files below a temporary folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use muster::time::Timestamp;

use super::super::{Collected, Identity, Options, collect_with, firmware};

/// A software identification tag.
pub const TAG: &str = r#"<SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
    name="Acme Server" version="3.2" tagId="acme.example-server-3.2">
    <Entity name="Acme &amp; Sons" regid="acme.example" role="tagCreator softwareCreator"/></SoftwareIdentity>"#;

/// The folder, removed with this value.
pub struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    /// Nothing at all.
    pub fn empty() -> Fixture {
        Fixture { folder: tempfile::tempdir().unwrap() }
    }

    /// A rack server of two sockets with Debian and two packages.
    pub fn server() -> Fixture {
        let host = Fixture::empty();
        host.write("proc/sys/kernel/hostname", "web07\n");
        host.write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        host.write("etc/hosts", "127.0.0.1 localhost\n10.20.4.17 web07.lab.example web07\n");
        host.write(
            "etc/os-release",
            "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=12\n",
        );
        host.write("etc/machine-id", "5c0f6a3e8d1b4f2a9e7c1d2b3a4f5e6d\n");
        host.write_bytes("etc/hostid", &[0x78, 0x56, 0x34, 0x12]);
        let cpu = |number: u32| {
            let socket = number / 2;
            host.write(
                &format!("sys/devices/system/cpu/cpu{number}/topology/core_siblings_list"),
                ["0-1", "2-3"][socket as usize],
            );
            host.write(
                &format!("sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"),
                &number.to_string(),
            );
            format!(
                "processor : {number}\nmodel name : Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz\n\
                physical id : {socket}\n\n"
            )
        };
        host.write("proc/cpuinfo", &(0..4).map(cpu).collect::<String>());
        host.write("proc/meminfo", "MemTotal: 65536 kB\n");
        host.write("proc/1/mountinfo", "27 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 27 0:21 / /proc rw - proc proc rw\n");
        host.write_bytes("sys/firmware/dmi/tables/DMI", &firmware::tests::tables());
        host.write_bytes("sys/firmware/dmi/tables/smbios_entry_point", b"_SM3_\0\x18\x03\x03\0");
        host.write("sys/class/net/eth0/address", "02:1f:5a:00:12:9c\n");
        host.write("sys/class/net/eth0/type", "1\n");
        host.write("sys/class/net/eth0/device/vendor", "0x8086\n");
        host.write("sys/class/net/lo/type", "772\n");
        host.write("sys/class/net/veth1/address", "0e:00:00:00:00:01\n");
        let stanza = |name: &str, version: &str| {
            format!(
                "Package: {name}\nStatus: install ok installed\nMaintainer: Acme <a@acme.example>\n\
                Architecture: amd64\nVersion: {version}\n\n"
            )
        };
        host.write("var/lib/dpkg/status", &(stanza("postgresql-15", "15.6-1") + &stanza("acme", "1:2")));
        host
    }

    /// The root of the host.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path on the host, its folders made.
    pub fn path(&self, path: &str) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        self.write_bytes(path, text.as_bytes());
    }

    /// Writes a file.
    pub fn write_bytes(&self, path: &str, bytes: &[u8]) {
        fs::write(self.path(path), bytes).unwrap();
    }

    /// Makes a symbolic link.
    pub fn link(&self, path: &str, target: &str) {
        symlink(target, self.path(path)).unwrap();
    }

    /// Collects everything.
    pub fn collect(&self) -> Collected {
        self.collect_with(Options::default())
    }

    /// Collects with options.
    pub fn collect_with(&self, options: Options) -> Collected {
        let identity = Identity {
            agent: "5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11".parse().unwrap(),
            account: "root".into(),
            site: "Lab".into(),
            organization: "Acme".into(),
            location: "Rack 7".into(),
            tenant_uid: "T0001".into(),
        };
        collect_with(self.root(), &identity, options, Timestamp::from_stamp("20250314T031522").unwrap())
    }
}
