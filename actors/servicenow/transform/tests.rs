//! Checks 8 to 11 of the servicenow reference, section 8, and the order of matching.

use std::sync::Arc;

use super::super::store::Store;
use super::*;
use crate::clock::WallClock;

/// The folder goes with the world.
struct World(Store, #[expect(dead_code, reason = "held for its drop")] tempfile::TempDir);

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    World(Store::open(folder.path(), Arc::new(WallClock)).unwrap(), folder)
}

impl World {
    fn import(&mut self, row: &[(&str, &str)]) -> Transformed {
        let staged = row.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let table = schema().table("x_muster_inventory_import").unwrap();
        let staged = self.0.edit("test", |edit| edit.insert("x_muster_inventory_import", staged)).unwrap();
        let row = self.0.tables().get(table, staged).unwrap().clone();
        self.0.edit("test", |edit| computer(edit, &row)).unwrap()
    }

    fn computers(&self) -> usize {
        self.0.tables().all(schema().table("cmdb_ci_computer").unwrap()).count()
    }

    fn of(&self, done: &Transformed) -> &Record {
        let (table, id) = done.target.unwrap();
        self.0.tables().get(schema().table(table).unwrap(), id).unwrap()
    }
}

#[test]
fn check_8_a_renamed_device_with_the_same_serial_is_the_same_computer() {
    let mut world = world();
    let first = world.import(&[("u_computerid", "1"), ("u_computername", "old"), ("u_serialnumber", "S1")]);
    let second = world.import(&[("u_computerid", "1"), ("u_computername", "new"), ("u_serialnumber", "s1")]);
    assert_eq!((first.outcome, second.outcome, world.computers()), (Outcome::Inserted, Outcome::Updated, 1));
    assert_eq!(world.of(&second).text("name"), "new");
}

#[test]
fn check_9_two_devices_of_one_name_with_different_serials_are_two_computers() {
    let mut world = world();
    world.import(&[("u_computerid", "1"), ("u_computername", "pc"), ("u_serialnumber", "S1")]);
    world.import(&[("u_computerid", "2"), ("u_computername", "pc"), ("u_serialnumber", "S2")]);
    // A third of that name without a serial fits both, so it is neither.
    world.import(&[("u_computerid", "3"), ("u_computername", "pc")]);
    assert_eq!(world.computers(), 3);
}

#[test]
fn check_10_totals_become_values_per_processor_and_per_core() {
    let mut world = world();
    let done = world.import(&[
        ("u_computername", "pc"),
        ("u_totalmemory", "8589934592"),
        ("u_totaldiskspace", "500107862016"),
        ("u_numberofprocessors", "2"),
        ("u_numberofcores", "16"),
        ("u_numberoflogicalprocessors", "32"),
        ("u_macaddress", "0-1B-44-11-3A-B7;;nonsense"),
        ("u_ipaddress", "192.0.2.1;2001:db8::1"),
        ("u_manufacturer", "Dell Inc."),
        ("u_modelno", "R650"),
        ("u_lastinventorydate", "2025-03-14 03:15:22"),
    ]);
    let computer = world.of(&done);
    let get = |name| computer.text(name);
    assert_eq!([get("ram"), get("disk_space"), get("cpu_count")], ["8192", "465.76", "2"]);
    assert_eq!([get("cpu_core_count"), get("cpu_core_thread")], ["8", "2"]);
    assert_eq!([get("last_discovered"), get("discovery_source")], ["2025-03-14 03:15:22", "muster"]);
    let tables = world.0.tables();
    let owner = computer.sys_id.to_string();
    let adapters = tables.find("cmdb_ci_network_adapter", "cmdb_ci", &owner);
    let mut addresses: Vec<_> = adapters.map(|row| (row.text("mac_address"), row.text("ip_address"))).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, [("", "2001:db8::1"), ("00:1b:44:11:3a:b7", "192.0.2.1")]);
    assert_eq!(tables.first("cmdb_model", "model_number", "r650").unwrap().text("name"), "R650");
    let odd = world.import(&[("u_computername", "odd"), ("u_numberofprocessors", "2"), ("u_numberofcores", "3")]);
    assert_eq!(odd.comment, "cores per processor left blank: 3 for 2 is not whole");
}

#[test]
fn check_11_the_class_follows_from_type_and_operating_system() {
    for (kind, os, class) in [
        ("VM Host", "VMware ESXi 7.0.3", "cmdb_ci_esx_server"),
        ("VM Host", "Microsoft Windows Server 2022", "cmdb_ci_hyper_v_server"),
        ("VM Host", "Proxmox", "cmdb_ci_virtualization_server"),
        ("Computer", "AIX 7.2", "cmdb_ci_aix_server"),
        ("Virtual Machine", "Debian GNU/Linux 13", "cmdb_ci_linux_server"),
        ("Computer", "Mac OS X Server 10.6", "cmdb_ci_osx_server"),
        ("Computer", "Windows Server 2019", "cmdb_ci_win_server"),
        ("Computer", "Windows 11", "cmdb_ci_computer"),
        ("", "", "cmdb_ci_computer"),
    ] {
        assert_eq!(class_of(kind, os), class, "{kind} {os}");
    }
}

#[test]
fn a_row_that_fits_several_computers_alike_is_an_error_and_changes_none() {
    let mut world = world();
    for _ in 0..2 {
        let set = [("name", "pc".to_owned()), ("serial_number", "S1".to_owned())];
        world.0.edit("test", |edit| edit.insert("cmdb_ci_computer", set)).unwrap();
    }
    let done = world.import(&[("u_computername", "pc"), ("u_serialnumber", "S1")]);
    assert_eq!((done.outcome, world.computers()), (Outcome::Error, 2));
    assert_eq!(world.import(&[("u_domain", "x")]).outcome, Outcome::Error);
}

#[test]
fn a_property_keeps_rows_out() {
    let mut world = world();
    let set = [("name", "inventory.add".to_owned()), ("value", "No".to_owned())];
    world.0.edit("test", |edit| edit.insert("sys_properties", set)).unwrap();
    assert_eq!(world.import(&[("u_computername", "pc")]).outcome, Outcome::Ignored);
    assert_eq!(world.computers(), 0);
}
