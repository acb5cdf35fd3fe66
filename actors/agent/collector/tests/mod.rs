//! Whole collections: of made-up hosts below a temporary folder, and of the host the tests run on.

mod discovery;
mod fixture;
mod guests;
mod homes;
pub(crate) mod rpm_databases;
mod secrets;
mod software;
mod this_host;

use expect_test::expect;
use muster::formats::ndi::read_ndi;

use fixture::Fixture;

#[test]
fn a_physical_server_is_reported_in_full() {
    let host = Fixture::server();
    host.write("usr/lib/systemd/system/acmed.service", "[Service]\nExecStart=/opt/acme/bin/acmed -x\nUser=acme\n");
    host.write("usr/share/acme/swidtag/acme.swidtag", fixture::TAG);
    let collected = host.collect();
    assert_eq!(collected.findings, []);
    let ndi = String::from_utf8(collected.ndi.clone()).unwrap();
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE Inventory PUBLIC "Inventory" "urn:muster:inventory">
        <Inventory Tracker="VERSION" Audience="Machine" Scope="web07.lab.example" MachineName="web07"
                   UserName="root" Hardware="True" Software="True" ServiceProviders="False"
                   DateTime="20250314T031522" Type="Full"
                   MachineId="{5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11}" Site="Lab" TenantUID="T0001">
          <Hardware Class="MGS_BIOS" Name="BIOS" Occurrence="0" Evidence="dmi">
            <Property Name="SerialNumber" Value="AM-0099317"/>
            <Property Name="Manufacturer" Value="Acme BIOS"/>
            <Property Name="Version" Value="2.19.1"/>
            <Property Name="ReleaseDate" Value="02/28/2024"/>
          </Hardware>
          <Hardware Class="MGS_ComputerSystem" Name="web07" Occurrence="0" Evidence="dmi">
            <Property Name="Name" Value="web07"/>
            <Property Name="Domain" Value="lab.example"/>
            <Property Name="Manufacturer" Value="Acme Metal"/>
            <Property Name="Model" Value="R-220"/>
            <Property Name="HostType" Value="Rack Mount Chassis"/>
            <Property Name="SerialNo" Value="AM-0099317"/>
            <Property Name="UUID" Value="4c4c4544-0034-5a10-8042-b7c04f335032"/>
            <Property Name="ComputerType" Value="Computer"/>
            <Property Name="HostIdentifyingNumber" Value="AM-0099317"/>
            <Property Name="MachineID" Value="5c0f6a3e8d1b4f2a9e7c1d2b3a4f5e6d"/>
            <Property Name="MachineIDSource" Value="file"/>
            <Property Name="HostId" Value="12345678"/>
            <Property Name="NumberOfProcessors" Value="2"/>
            <Property Name="TotalPhysicalMemory" Value="67108864"/>
          </Hardware>
          <Hardware Class="MGS_Identity" Name="web07" Occurrence="0" Evidence="os">
            <Property Name="AgentId" Value="{5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11}"/>
            <Property Name="Organization" Value="Acme"/>
            <Property Name="Location" Value="Rack 7"/>
            <Property Name="TenantUID" Value="T0001"/>
          </Hardware>
          <Hardware Class="MGS_LogicalDisk" Name="/" Occurrence="0" Evidence="os">
            <Property Name="Name" Value="/"/>
            <Property Name="DeviceID" Value="/dev/sda1"/>
            <Property Name="FileSystem" Value="ext4"/>
          </Hardware>
          <Hardware Class="MGS_NetworkAdapterConfiguration" Name="eth0" Occurrence="0" Evidence="os">
            <Property Name="MACAddress" Value="02:1f:5a:00:12:9c"/>
            <Property Name="DNSHostName" Value="web07"/>
          </Hardware>
          <Hardware Class="MGS_OperatingSystem" Name="Debian GNU/Linux" Occurrence="0" Evidence="os">
            <Property Name="Caption" Value="Debian GNU/Linux 12 (bookworm)"/>
            <Property Name="Name" Value="Debian GNU/Linux"/>
            <Property Name="Version" Value="12"/>
            <Property Name="KernelVersion" Value="6.1.0-18-amd64"/>
          </Hardware>
          <Hardware Class="MGS_PhysicalMemory" Name="DIMM A1" Occurrence="0" Evidence="dmi">
            <Property Name="Capacity" Value="17179869184"/>
            <Property Name="Manufacturer" Value="Memory Works"/>
            <Property Name="SerialNumber" Value="S-1"/>
            <Property Name="PartNumber" Value="P-1"/>
          </Hardware>
          <Hardware Class="MGS_PhysicalMemory" Name="DIMM A1" Occurrence="1" Evidence="dmi">
            <Property Name="Capacity" Value="68719476736"/>
            <Property Name="Manufacturer" Value="Memory Works"/>
            <Property Name="SerialNumber" Value="S-1"/>
            <Property Name="PartNumber" Value="P-1"/>
          </Hardware>
          <Hardware Class="MGS_Processor" Name="CPU0" Occurrence="0" Evidence="os">
            <Property Name="Name" Value="Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz"/>
            <Property Name="MaxClockSpeed" Value="2100"/>
            <Property Name="NumberOfCores" Value="2"/>
            <Property Name="NumberOfLogicalProcessors" Value="2"/>
          </Hardware>
          <Hardware Class="MGS_Processor" Name="CPU1" Occurrence="0" Evidence="os">
            <Property Name="Name" Value="Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz"/>
            <Property Name="MaxClockSpeed" Value="2100"/>
            <Property Name="NumberOfCores" Value="2"/>
            <Property Name="NumberOfLogicalProcessors" Value="2"/>
          </Hardware>
          <Software>
            <Package Name="acme" Version="1:2" Publisher="Acme" Evidence="deb">
              <Property Name="Architecture" Value="amd64"/>
            </Package>
            <Package Name="postgresql-15" Version="15.6-1" Publisher="Acme" Evidence="deb">
              <Property Name="Architecture" Value="amd64"/>
            </Package>
            <File Name="/usr/share/acme/swidtag/acme.swidtag" Path="/usr/share/acme/swidtag/acme.swidtag" Company="Acme &amp; Sons" ProductName="Acme Server" ProductVersion="3.2" Size="260" Evidence="swidtag"/>
          </Software>
          <Service Name="acmed" StartMode="manual" Path="/opt/acme/bin/acmed" Account="acme"/>
        </Inventory>
    "#]]
    .assert_eq(&ndi.replace(concat!("Tracker=\"", env!("CARGO_PKG_VERSION")), "Tracker=\"VERSION"));
    let (file, findings) = read_ndi(&collected.ndi[..]).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(file.packages().len(), 2);
}

#[test]
fn the_same_host_gives_the_same_bytes() {
    let host = Fixture::server();
    assert_eq!(host.collect(), host.collect());
}

#[test]
fn an_empty_root_still_gives_a_file_that_can_be_read() {
    let host = Fixture::empty();
    let collected = host.collect();
    assert_eq!(collected.findings, []);
    let (file, _) = read_ndi(&collected.ndi[..]).unwrap();
    assert_eq!(file.head().kind, "Full");
    assert_eq!(file.packages().len(), 0);
}

#[test]
fn a_hardware_report_has_no_software() {
    let host = Fixture::server();
    let collected = host.collect_with(super::Options { has_software: false, ..super::Options::default() });
    let (file, _) = read_ndi(&collected.ndi[..]).unwrap();
    assert_eq!((file.head().kind, file.packages().len(), file.services().len()), ("Hardware", 0, 0));
    assert_eq!(collected.record.hardware, host.collect().record.hardware);
}
