//! Services and Oracle, told from the files of a made-up host.

use muster::formats::disco::{Disco, Service};
use muster::formats::inventory_settings::{Feature, InventorySettings, ORACLE_INVENTORY};
use muster::formats::ndi::read_ndi;

use super::super::Options;
use super::fixture::Fixture;

const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

/// A listening socket as the kernel lists it.
fn socket(address: &str, port: u16, inode: u64) -> String {
    format!(
        "   0: {address}:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000   110        0 {inode} 1 0\n"
    )
}

/// A process that holds sockets; `namespaces` are its numbers in them.
fn process(host: &Fixture, pid: u32, name: &str, executable: &str, namespaces: &str, sockets: &[u64]) {
    let folder = format!("proc/{pid}");
    host.write(&format!("{folder}/stat"), &format!("{pid} ({name}) S 1 1 1 0 -1 0 1 0 0 0 2 3 0 0 20 0 1 0 14 0 4\n"));
    host.write(
        &format!("{folder}/status"),
        &format!("Name:\t{name}\nUid:\t110\t111\t110\t110\nNSpid:\t{namespaces}\n"),
    );
    host.write(&format!("{folder}/cmdline"), &format!("{name}\0s3cret\0"));
    host.link(&format!("{folder}/exe"), executable);
    for (number, inode) in (3..).zip(sockets) {
        host.link(&format!("{folder}/fd/{number}"), &format!("socket:[{inode}]"));
    }
    host.link(&format!("{folder}/fd/0"), "/dev/null");
}

/// The server with PostgreSQL, and what only looks like a database server.
fn host() -> Fixture {
    let host = Fixture::server();
    let postgres = "/usr/lib/postgresql/15/bin/postgres";
    host.write(&postgres[1..], "");
    host.write("proc/net/tcp", &[HEAD, &socket("0100007F", 5432, 17), &socket("00000000", 22, 18)].concat());
    let (any, inner) = ("00000000000000000000000000000000", "00000000000000000000000001000000");
    host.write("proc/net/tcp6", &[HEAD, &socket(any, 5433, 19), &socket(inner, 3306, 20)].concat());
    process(&host, 400, "postgres", postgres, "400", &[17, 19]);
    process(&host, 401, "mysqld", "/usr/sbin/mysqld", "401\t1", &[20]);
    // A container in the host's own namespace of processes: its program is not there.
    process(&host, 402, "mariadbd", "/usr/sbin/mariadbd", "402", &[20]);
    process(&host, 403, "sshd", "/usr/sbin/sshd", "403", &[18]);
    host
}

fn services(disco: &Option<Disco>) -> Vec<&Service> {
    disco.iter().flat_map(|disco| &disco.devices).flat_map(|device| &device.services).collect()
}

fn settings() -> Option<InventorySettings> {
    let feature = Feature { name: ORACLE_INVENTORY.into(), enabled: true, requires_root: true };
    Some(InventorySettings { version: 1, features: vec![feature], includes: vec![] })
}

#[test]
fn a_database_server_is_told_with_its_ports_of_both_protocols_and_those_of_containers_are_not() {
    let collected = host().collect();
    let services = services(&collected.disco);
    let [service] = services[..] else { panic!("{services:?}") };
    assert_eq!((service.kind.as_str(), service.port, service.version.as_str()), ("PostgreSQL", Some(5432), "15.6"));
    assert_eq!(
        ["Executable", "OtherPorts", "ListensOn", "UserId"].map(|name| service.property(name).unwrap_or_default()),
        ["/usr/lib/postgresql/15/bin/postgres", "5433", "127.0.0.1;::", "111"]
    );
    let disco = collected.disco.as_ref().unwrap();
    assert_eq!((disco.machine_name.as_str(), disco.devices[0].domain.as_str()), ("web07", "lab.example"));
    assert_eq!((collected.oracle_ndi, collected.findings), (None, vec![]));
}

#[test]
fn a_report_of_hardware_looks_for_no_services() {
    let collected = host().collect_with(Options { has_software: false, ..Options::default() });
    assert_eq!(collected.disco, None);
}

#[test]
fn no_argument_of_a_process_is_told() {
    let host = host();
    oracle(&host);
    let collected = host.collect_with(Options { inventory_settings: settings(), ..Options::default() });
    assert!(!format!("{:?}", collected.disco).contains("s3cret"));
    assert!(!String::from_utf8_lossy(&collected.oracle_ndi.unwrap_or_default()).contains("s3cret"));
}

/// A database that runs, one that does not, and a listener.
fn oracle(host: &Fixture) {
    let bin = "/u01/app/oracle/product/19.0.0/dbhome_1/bin";
    for program in ["oracle", "tnslsnr"] {
        host.write(&format!("{}/{program}", &bin[1..]), "");
    }
    process(host, 500, "ora_pmon_SALES", &format!("{bin}/oracle"), "500", &[]);
    process(host, 501, "tnslsnr", &format!("{bin}/tnslsnr"), "501", &[21]);
    host.write("proc/501/cmdline", &format!("{bin}/tnslsnr\0LISTENER\0s3cret\0"));
    host.write("proc/net/tcp", &[HEAD, &socket("00000000", 1521, 21)].concat());
    let home = "/u01/app/oracle/product/12.2.0.1/dbhome_1";
    host.write("etc/oratab", &format!("# databases\nHR:{home}:N\n"));
    host.write("var/opt/oracle/oratab", &format!("HR:{home}:N\nOLD:/u01/app/oracle/11:N\nnonsense\n"));
}

#[test]
fn oracle_is_told_in_the_discovery_and_in_a_second_inventory_when_policy_allows_it() {
    let host = host();
    oracle(&host);
    let without = host.collect();
    assert!(services(&without.disco).iter().all(|service| !service.kind.starts_with("Oracle")));
    assert_eq!((without.oracle_ndi, without.findings), (None, vec![]), "not even read");

    let collected = host.collect_with(Options { inventory_settings: settings(), ..Options::default() });
    if !rustix::process::geteuid().is_root() {
        assert_eq!(collected.oracle_ndi, None, "only root may look");
        return;
    }
    let oracle: Vec<String> = services(&collected.disco)
        .iter()
        .filter(|service| service.kind.starts_with("Oracle"))
        .map(|service| format!("{} {} {} {:?}", service.kind, service.name, service.state, service.port))
        .collect();
    assert_eq!(
        oracle,
        [
            "OracleDatabase HR stopped None",
            "OracleDatabase OLD stopped None",
            "OracleDatabase SALES running None",
            "OracleListener LISTENER running Some(1521)",
        ]
    );
    let (ndi, findings) = read_ndi(&collected.oracle_ndi.unwrap()[..]).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let head = ndi.head();
    assert_eq!((head.kind, head.machine_name, head.scope), ("Oracle", "web07", "web07.lab.example"));
    assert_eq!((head.has_hardware, head.has_software, head.has_service_providers), (false, false, true));
    assert_eq!(collected.findings.len(), 1, "the line that is none: {:?}", collected.findings);
    assert_eq!(collected.findings[0].source, "var/opt/oracle/oratab");
}

#[test]
fn an_image_without_processes_tells_what_oratab_says_and_nothing_else() {
    let host = Fixture::server();
    host.write("etc/oratab", "SALES:/u01/app/oracle/19:Y\n");
    let collected = host.collect_with(Options { inventory_settings: settings(), ..Options::default() });
    let told: Vec<&str> = services(&collected.disco).iter().map(|service| service.name.as_str()).collect();
    assert_eq!(told, if rustix::process::geteuid().is_root() { vec!["SALES"] } else { vec![] });
}
