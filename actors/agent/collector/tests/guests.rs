//! What a container, a guest and a partition report, and what they keep to themselves.

use super::super::Options;
use super::fixture::Fixture;

fn computer(host: &Fixture, properties: &[&str]) -> Vec<String> {
    let collected = host.collect();
    properties.iter().map(|property| collected.record.value("ComputerSystem", property).to_owned()).collect()
}

#[test]
fn a_container_reports_nothing_that_is_its_hosts() {
    let host = Fixture::server();
    host.write(".dockerenv", "");
    let collected = host.collect();
    let ndi = String::from_utf8(collected.ndi).unwrap();
    for hosts in ["AM-0099317", "4c4c4544", "BOARD-1", "Acme Metal", "5c0f6a3e8d1b4f2a9e7c1d2b3a4f5e6d", "Rack Mount"] {
        assert!(!ndi.contains(hosts), "{hosts}");
    }
    let seen = computer(&host, &["ComputerType", "VMType", "MachineID", "MachineIDSource", "TotalPhysicalMemory"]);
    assert_eq!(seen, ["VM", "Container", "", "container", "67108864"]);
    assert_eq!(collected.record.of_class("BIOS").count(), 0);
}

#[test]
fn a_machine_id_of_the_image_is_not_reported() {
    let collected = Fixture::server().collect_with(Options { is_machine_id_of_image: true, ..Options::default() });
    let value = |property| collected.record.value("ComputerSystem", property);
    assert_eq!((value("MachineID"), value("MachineIDSource")), ("", "image"));
    // Not yet written at first boot.
    let host = Fixture::server();
    host.write("etc/machine-id", "uninitialized\n");
    assert_eq!(computer(&host, &["MachineID", "MachineIDSource"]), ["", ""]);
}

#[test]
fn a_guest_keeps_its_own_numbers_and_names_no_host() {
    let host = Fixture::server();
    std::fs::remove_dir_all(host.root().join("sys/firmware")).unwrap();
    host.write("sys/class/dmi/id/sys_vendor", "Microsoft Corporation\n");
    host.write("sys/class/dmi/id/product_name", "Virtual Machine\n");
    host.write("sys/class/dmi/id/product_serial", "3546-4563\n");
    host.write("sys/class/dmi/id/product_uuid", "8fd3a8f5-0000-4c1e-9d5a-0a1b2c3d4e5f\n");
    host.write("sys/class/dmi/id/chassis_type", "3\n");
    let mut pool = vec![0; 512 + 2_048];
    pool[..18].copy_from_slice(b"VirtualMachineName");
    pool[512..518].copy_from_slice(b"web 07");
    host.write_bytes("var/lib/hyperv/.kvp_pool_3", &pool);
    let seen = computer(&host, &["VMType", "VMName", "UUID", "SerialNo", "HostIdentifyingNumber", "HostType"]);
    assert_eq!(seen, ["Hyper-V", "web 07", "8fd3a8f5-0000-4c1e-9d5a-0a1b2c3d4e5f", "3546-4563", "", "Desktop"]);
    assert_eq!(host.collect().record.value("BIOS", "SerialNumber"), "3546-4563");
}

#[test]
fn a_logical_partition_is_named_and_numbered_by_its_device_tree() {
    let host = Fixture::server();
    std::fs::remove_dir_all(host.root().join("sys/firmware")).unwrap();
    host.write("proc/device-tree/ibm,partition-name", "lpar5\0");
    host.write_bytes("proc/device-tree/ibm,partition-no", &[0, 0, 0, 5]);
    host.write("proc/device-tree/system-id", "IBM,0210ABCDE\0");
    let seen =
        computer(&host, &["VMType", "VMName", "PartitionID", "PartitionNumber", "SerialNo", "HostIdentifyingNumber"]);
    assert_eq!(seen, ["LPAR", "lpar5", "lpar5", "5", "0210ABCDE", "0210ABCDE"]);
    assert_eq!(host.collect().record.value("BIOS", "SerialNumber"), "0210ABCDE");
}

#[test]
fn a_host_without_a_system_serial_gives_its_boards() {
    let host = Fixture::server();
    std::fs::remove_dir_all(host.root().join("sys/firmware")).unwrap();
    host.write("sys/class/dmi/id/board_serial", "BOARD-9\n");
    assert_eq!(computer(&host, &["SerialNo", "HostIdentifyingNumber", "HostId"]), ["BOARD-9", "", "12345678"]);
    assert_eq!(host.collect().record.value("BIOS", "SerialNumber"), "");
}
