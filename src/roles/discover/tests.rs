//! Tests of what is told from plain facts.

use proptest::prelude::*;

use super::*;
use crate::formats::host::InstalledPackage;
use crate::formats::host::net_tcp::ListeningSocket;
use crate::formats::host::oratab::OratabEntry;
use crate::formats::inventory_settings::{Feature, InventorySettings, ORACLE_INVENTORY};
use crate::formats::ndi::{Head, read_ndi};

const NOW: Timestamp = Timestamp(1_741_922_130_123);

fn settings(name: &str, enabled: bool) -> Option<InventorySettings> {
    let feature = Feature { name: name.into(), enabled, requires_root: true };
    Some(InventorySettings { version: 1, features: vec![feature], includes: vec![] })
}

/// A host on which Oracle may be looked for.
fn host() -> HostFacts {
    HostFacts {
        machine_name: "db01".into(),
        domain: "lab.example".into(),
        is_unix: true,
        is_root: true,
        settings: settings(ORACLE_INVENTORY, true),
        ..HostFacts::default()
    }
}

fn process(pid: u32, parent: u32, name: &str, executable: &str) -> Process {
    Process {
        pid,
        parent,
        uid: 999,
        name: name.into(),
        title: name.into(),
        executable: executable.into(),
        ..Process::default()
    }
}

fn pmon(pid: u32, title: &str, executable: &str) -> Process {
    let name = title.chars().take(15).collect();
    Process { name, title: title.into(), ..process(pid, 1, "", executable) }
}

fn socket(pid: u32, address: &str, port: u16) -> OwnedSocket {
    OwnedSocket { pid, address: address.parse().unwrap(), port }
}

fn oratab(sid: Option<&str>, home: &str, starts_with_host: bool) -> OratabEntry {
    OratabEntry { sid: sid.map(String::from), home: home.into(), starts_with_host }
}

fn package(name: &str, version: &str) -> InstalledPackage {
    InstalledPackage { name: name.into(), version: version.into(), ..InstalledPackage::default() }
}

/// `type name port version state` of each service.
fn told(facts: &HostFacts) -> Vec<String> {
    let services = discover(facts, NOW).disco.devices.remove(0).services;
    let line = |service: Service| {
        let port = service.port.map(|port| port.to_string()).unwrap_or_default();
        [service.kind, service.name, port, service.version, service.state].join(" ")
    };
    services.into_iter().map(line).collect()
}

/// A host with everything Oracle.
fn oracle_host() -> HostFacts {
    let bin = "/u01/app/oracle/product/19.0.0/dbhome_1/bin";
    let listener = Process { listener: "LISTENER".into(), ..process(30, 1, "tnslsnr", &format!("{bin}/tnslsnr")) };
    HostFacts {
        processes: vec![
            listener,
            pmon(20, "ora_pmon_SALESREPORT", &format!("{bin}/oracle")),
            pmon(21, "asm_pmon_+ASM", "/u01/app/19.3/grid/bin/oracle"),
        ],
        sockets: vec![socket(30, "::", 1521), socket(30, "127.0.0.1", 5500)],
        oratab: vec![
            oratab(Some("SALESREPORT"), "/u01/app/oracle/product/19.0.0/dbhome_1", true),
            oratab(Some("HR"), "/u01/app/oracle/product/12.2.0.1/dbhome_1", false),
            oratab(None, "/u01/app/oracle/client", false),
        ],
        ..host()
    }
}

#[test]
fn oracle_is_told_from_its_monitors_listeners_and_oratab() {
    assert_eq!(
        told(&oracle_host()),
        [
            "OracleASM +ASM  19.3 running",
            "OracleDatabase HR  12.2.0.1 stopped",
            "OracleDatabase SALESREPORT  19.0.0 running",
            "OracleListener LISTENER 1521 19.0.0 running",
        ]
    );
    let services = discover(&oracle_host(), NOW).disco.devices.remove(0).services;
    assert_eq!(services[3].property("OracleHome"), Some("/u01/app/oracle/product/19.0.0/dbhome_1"));
    assert_eq!(
        (services[3].property("OtherPorts"), services[3].property("ListensOn")),
        (Some("5500"), Some("127.0.0.1;::"))
    );
    let statuses: Vec<_> = services[..3].iter().map(|service| service.instances[0].status.as_str()).collect();
    assert_eq!(statuses, ["RUNNING", "STOPPED", "RUNNING"]);
}

#[test]
fn oracle_is_looked_for_only_when_settings_are_there_enable_it_and_the_agent_is_root() {
    let check = |facts: HostFacts, skipped: Option<OracleSkipped>| {
        let found = discover(&facts, NOW);
        assert_eq!(found.oracle.as_ref().err(), skipped.as_ref());
        assert_eq!(found.disco.devices[0].services.is_empty(), skipped.is_some());
    };
    check(oracle_host(), None);
    check(HostFacts { settings: None, ..oracle_host() }, Some(OracleSkipped::NoSettings));
    check(HostFacts { settings: Some(InventorySettings::default()), ..oracle_host() }, Some(OracleSkipped::NotEnabled));
    check(HostFacts { settings: settings("FileScan", true), ..oracle_host() }, Some(OracleSkipped::NotEnabled));
    check(HostFacts { settings: settings(ORACLE_INVENTORY, false), ..oracle_host() }, Some(OracleSkipped::NotEnabled));
    check(HostFacts { is_root: false, ..oracle_host() }, Some(OracleSkipped::NotRoot));
    check(HostFacts { is_root: false, is_unix: false, ..oracle_host() }, None);
}

#[test]
fn no_process_is_of_concern_but_those_that_tell_something_and_oracle_s_only_where_it_may_be_looked_for() {
    let (may, may_not) = (oracle_host(), HostFacts { settings: None, ..oracle_host() });
    // name, program; whether it tells of a server, whether of Oracle
    for (name, executable, is_database, is_oracle) in [
        ("postgres", "/usr/lib/postgresql/15/bin/postgres", true, false),
        ("mysqld", "", true, false),
        ("mysqld", "/home/kim/bin/sleep", false, false),
        ("ora_pmon_SALESR", "/u01/19/bin/oracle", false, true),
        ("oracle", "/u01/19/bin/oracle (deleted)", false, true),
        ("xe_pmon_XE", "", false, true),
        ("tnslsnr", "", false, true),
        ("ora_pmon_SALES", "/usr/bin/sleep", false, false),
        ("bash", "/usr/bin/bash", false, false),
        ("", "", false, false),
    ] {
        let process = Process { title: String::new(), ..process(2, 1, name, executable) };
        assert_eq!(
            (may.concerns(&process), may.needs_title(&process)),
            (is_database || is_oracle, is_oracle),
            "{name} {executable}"
        );
        assert_eq!((may_not.concerns(&process), may_not.needs_title(&process)), (is_database, false), "{name}");
    }
}

#[test]
fn root_is_needed_on_unix_even_when_the_settings_do_not_ask_for_it() {
    let mut facts = HostFacts { is_root: false, ..oracle_host() };
    facts.settings.as_mut().unwrap().features[0].requires_root = false;
    assert_eq!(discover(&facts, NOW).oracle, Err(OracleSkipped::NotRoot));
}

#[test]
fn the_other_databases_need_neither_settings_nor_root() {
    let facts = HostFacts {
        settings: None,
        is_root: false,
        processes: vec![process(1, 0, "postgres", "")],
        ..HostFacts::default()
    };
    assert_eq!(told(&facts), ["PostgreSQL postgresql   running"]);
}

#[test]
fn every_form_of_a_monitor_names_its_instance_and_others_do_not() {
    let sids = |process: Process| -> Vec<String> {
        let facts = HostFacts { processes: vec![process], ..host() };
        discover(&facts, NOW).oracle.unwrap().instances.into_iter().map(|instance| instance.sid).collect()
    };
    for (title, sid) in [
        ("ora_pmon_SALES", "SALES"),
        ("db_pmon_SALES", "SALES"),
        ("asm_pmon_+ASM1", "+ASM1"),
        ("mdb_pmon_-MGMTDB", "-MGMTDB"),
        ("xe_pmon_XE", "XE"),
    ] {
        assert_eq!(sids(pmon(2, title, "/u01/19/bin/oracle")), [sid], "{title}");
        assert_eq!(sids(pmon(2, title, "/u01/19/bin/oracle (deleted)")), [sid], "{title}");
        assert_eq!(sids(pmon(2, title, "")), [sid], "{title}");
        assert_eq!(sids(pmon(2, title, "/home/kim/bin/sleep")), [""; 0], "{title}");
    }
    for title in ["ora_smon_SALES", "ora_pmon_", "ora_pmon_A<B", "my_ora_pmon_SALES", "pmon_SALES"] {
        assert_eq!(sids(pmon(2, title, "/u01/19/bin/oracle")), [""; 0], "{title}");
    }
    // Without its title the kernel's name has to do, cut as it is.
    let untitled = Process { title: "oracle".into(), ..pmon(2, "ora_pmon_SALESREPORT", "/u01/19/bin/oracle") };
    assert_eq!(sids(untitled), ["SALESR"]);
}

#[test]
fn an_instance_of_a_cluster_is_that_of_its_database_in_oratab() {
    for (running, stopped) in [("SALES", 0), ("SALES1", 0), ("SALES_2", 0), ("SALESX", 1), ("SALE", 1), ("SALES_", 1)] {
        let facts = HostFacts {
            processes: vec![pmon(2, &format!("ora_pmon_{running}"), "")],
            oratab: vec![oratab(Some("SALES"), "/u01/app/oracle/19", true)],
            ..host()
        };
        let instances = discover(&facts, NOW).oracle.unwrap().instances;
        assert_eq!(instances.iter().filter(|instance| !instance.is_running).count(), stopped, "{running}");
        let one = instances.iter().find(|instance| instance.is_running).unwrap();
        let (home, starts) = if stopped == 0 { ("/u01/app/oracle/19", Some(true)) } else { ("", None) };
        assert_eq!((one.home.as_str(), one.starts_with_host), (home, starts), "{running}");
    }
}

#[test]
fn of_two_that_claim_one_instance_the_older_process_counts() {
    let claim = |pid, uid| Process { uid, ..pmon(pid, "ora_pmon_SALES", "") };
    for processes in [vec![claim(2, 54_321), claim(9, 1_000)], vec![claim(9, 1_000), claim(2, 54_321)]] {
        let instances = discover(&HostFacts { processes, ..host() }, NOW).oracle.unwrap().instances;
        assert_eq!(instances.iter().map(|instance| instance.uid).collect::<Vec<_>>(), [Some(54_321)]);
    }
}

#[test]
fn a_listener_has_its_name_or_the_usual_one_and_is_no_other_program() {
    let named = |name: &str| Process { listener: name.into(), ..process(2, 1, "tnslsnr", "/u01/19/bin/tnslsnr") };
    let names = |process: Process| told(&HostFacts { processes: vec![process], ..host() });
    assert_eq!(names(named("LISTENER_SCAN1")), ["OracleListener LISTENER_SCAN1  19 running"]);
    assert_eq!(names(named("")), ["OracleListener LISTENER  19 running"]);
    assert_eq!(names(Process { executable: "".into(), ..named("A") }), ["OracleListener A   running"]);
    assert_eq!(names(Process { executable: "/bin/sleep".into(), ..named("A") }), [""; 0]);
}

#[test]
fn the_processes_of_one_server_are_one_service() {
    let postgres = "/usr/lib/postgresql/15/bin/postgres";
    let facts = HostFacts {
        processes: vec![
            process(100, 1, "postgres", postgres),
            process(101, 100, "postgres", postgres),
            process(102, 101, "postgres", postgres),
            process(200, 1, "postgres", "/usr/lib/postgresql/16/bin/postgres"),
            // The watchdog of SQL Server holds no socket, its child does.
            process(300, 1, "sqlservr", "/opt/mssql/bin/sqlservr"),
            process(301, 300, "sqlservr", "/opt/mssql/bin/sqlservr"),
        ],
        sockets: vec![
            socket(100, "127.0.0.1", 5432),
            socket(100, "::1", 5432),
            socket(101, "127.0.0.1", 5432),
            socket(200, "0.0.0.0", 5433),
            socket(301, "0.0.0.0", 1433),
            socket(301, "127.0.0.1", 1431),
            socket(999, "0.0.0.0", 22),
        ],
        packages: vec![package("postgresql-15", "15.6-1.pgdg120+2"), package("mssql-server", "16.0.4115.5-2")],
        ..HostFacts::default()
    };
    assert_eq!(
        told(&facts),
        [
            "PostgreSQL postgresql 5432 15.6 running",
            "PostgreSQL postgresql 5433 16 running",
            "SQLServer MSSQLSERVER 1433 16.0.4115.5 running",
        ]
    );
    let services = discover(&facts, NOW).disco.devices.remove(0).services;
    assert_eq!(services[0].property("ListensOn"), Some("127.0.0.1;::1"));
    assert_eq!((services[0].property("Executable"), services[0].property("UserId")), (Some(postgres), Some("999")));
    assert_eq!(services[2].property("OtherPorts"), Some("1431"));
}

#[test]
fn mysql_and_mariadb_are_told_apart_by_program_and_package() {
    let mysqld = "/usr/sbin/mysqld";
    for (executable, packages, expected) in [
        (mysqld, vec![package("mysql-server-8.0", "8.0.36-0ubuntu0.22.04.1")], "MySQL mysql 3306 8.0.36 running"),
        (mysqld, vec![package("mysql-community-server", "8.0.36-1.el9")], "MySQL mysql 3306 8.0.36 running"),
        (mysqld, vec![package("mariadb-server-10.3", "1:10.3.39-0+deb10u2")], "MariaDB mariadb 3306 10.3.39 running"),
        (
            mysqld,
            vec![package("mariadb-server", "1:10.6-1"), package("mysql-server", "8.0.1-1")],
            "MySQL mysql 3306 8.0.1 running",
        ),
        (mysqld, vec![], "MySQL mysql 3306  running"),
        (
            "/usr/sbin/mariadbd",
            vec![package("mariadb-server", "1:10.11.6-0+deb12u1")],
            "MariaDB mariadb 3306 10.11.6 running",
        ),
        (
            "/usr/local/mysql-8.0.36-linux-glibc2.28-x86_64/bin/mysqld",
            vec![package("mysql-server-8.0", "8.0.1-1")],
            "MySQL mysql 3306 8.0.36 running",
        ),
        ("/srv/bin/mysqld", vec![package("mysql-server-8.0", "8.0.1-1")], "MySQL mysql 3306  running"),
    ] {
        let facts = HostFacts {
            processes: vec![process(7, 1, "mysqld", executable)],
            sockets: vec![socket(7, "0.0.0.0", 33_060), socket(7, "0.0.0.0", 3306)],
            packages,
            ..HostFacts::default()
        };
        assert_eq!(told(&facts), [expected], "{executable}");
    }
}

#[test]
fn packages_of_a_database_are_known_by_name() {
    let facts = |name: &str| HostFacts {
        processes: vec![process(7, 1, "postgres", "/usr/bin/postgres")],
        packages: vec![package(name, "15.6-1")],
        ..HostFacts::default()
    };
    for name in ["postgresql-15", "postgresql-15:amd64", "postgresql15-server", "postgresql-server", "postgresql-9.6"] {
        assert_eq!(told(&facts(name)), ["PostgreSQL postgresql  15.6 running"], "{name}");
    }
    for name in ["postgresql", "postgresql-client-15", "postgresql-contrib", "postgresql15", "xpostgresql-15"] {
        let version = if name == "postgresql15" { "15.6" } else { "" };
        assert_eq!(told(&facts(name)), [format!("PostgreSQL postgresql  {version} running")], "{name}");
    }
}

#[test]
fn a_helper_or_a_pretender_is_no_database() {
    for (name, executable) in [
        ("mysqld_safe", "/usr/bin/dash"),
        ("postgres", "/home/kim/bin/sleep"),
        ("mysqld_exporter", "/usr/bin/mysqld_exporter"),
        ("mariadbd-safe", ""),
    ] {
        let facts = HostFacts { processes: vec![process(7, 1, name, executable)], ..host() };
        assert_eq!(told(&facts), [""; 0], "{name}");
    }
}

#[test]
fn the_device_is_the_host_with_the_addresses_by_which_it_is_reached() {
    let address =
        |value: &str, mac: &str| Address { value: value.parse().unwrap(), mac: mac.into(), subnet: "".into() };
    let facts = HostFacts {
        agent: "5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11".parse().ok(),
        addresses: ["127.0.0.1", "::1", "0.0.0.0", "::", "169.254.3.4", "fe80::1", "224.0.0.1", "ff02::1"]
            .map(|value| address(value, ""))
            .into_iter()
            .chain([address("2001:db8::7", "m"), address("10.20.4.17", "m"), address("10.20.4.17", "m")])
            .collect(),
        ..host()
    };
    let disco = discover(&facts, NOW).disco;
    assert_eq!(
        (disco.source, disco.machine_name.as_str(), disco.machine_id),
        (DiscoSource::Agent, "db01", facts.agent)
    );
    assert_eq!(disco.collected_at, Some(Timestamp(1_741_922_130_000)));
    let [device] = &disco.devices[..] else { panic!("one device") };
    assert_eq!(
        (device.name.as_str(), device.domain.as_str(), device.device_type.as_str()),
        ("db01", "lab.example", "Computer")
    );
    assert_eq!(device.addresses, [address("10.20.4.17", "m"), address("2001:db8::7", "m")]);
}

#[test]
fn sockets_find_their_processes_by_inode() {
    let listening = |inode, port| ListeningSocket { address: "0.0.0.0".parse().unwrap(), port, inode };
    let sockets = [listening(9, 5432), listening(0, 1), listening(7, 22), listening(8, 80)];
    let held = [(100, 9), (101, 9), (100, 9), (5, 7), (6, 0), (7, 1_000)];
    let owned: Vec<_> = owned_sockets(&sockets, &held).into_iter().map(|one| (one.pid, one.port)).collect();
    assert_eq!(owned, [(100, 5432), (101, 5432), (5, 22)]);
}

#[test]
fn the_second_inventory_is_of_type_oracle_and_reads_back() {
    let oracle = discover(&oracle_host(), NOW).oracle.unwrap();
    assert!(!oracle.is_empty() && Oracle::default().is_empty());
    let head = Head {
        tracker: "0.1.0",
        audience: "Machine",
        machine_name: "db01",
        user_name: "root",
        has_hardware: true,
        has_software: true,
        date_time: "20250314T031530",
        kind: "Full",
        ..Head::default()
    };
    let bytes = oracle.write_ndi(Vec::new(), &head).unwrap();
    let (file, findings) = read_ndi(&bytes[..]).unwrap();
    assert_eq!(findings, []);
    let head = file.head();
    assert_eq!((head.kind, head.machine_name, head.has_service_providers), ("Oracle", "db01", true));
    assert!(!head.has_hardware && !head.has_software);
    let providers: Vec<String> = file
        .providers()
        .map(|one| {
            let properties = one.properties.map(|property| format!(" {}={}", property.name, property.value));
            let head = [one.provider.kind, one.provider.name, one.provider.version].join(" ");
            head + &properties.collect::<String>()
        })
        .collect();
    assert_eq!(
        providers,
        [
            "OracleInstance +ASM 19.3 OracleHome=/u01/app/19.3/grid State=running InOratab=False UserId=999",
            "OracleInstance HR 12.2.0.1 OracleHome=/u01/app/oracle/product/12.2.0.1/dbhome_1 State=stopped InOratab=True \
             StartsWithHost=False",
            "OracleInstance SALESREPORT 19.0.0 OracleHome=/u01/app/oracle/product/19.0.0/dbhome_1 State=running \
             InOratab=True StartsWithHost=True UserId=999",
            "OracleListener LISTENER 19.0.0 OracleHome=/u01/app/oracle/product/19.0.0/dbhome_1 State=running \
             Ports=1521;5500 ListensOn=127.0.0.1;:: UserId=999",
        ]
    );
}

#[test]
fn a_circle_of_parents_ends() {
    let facts = HostFacts {
        processes: vec![process(1, 2, "mysqld", ""), process(2, 1, "mysqld", ""), process(3, 3, "mysqld", "")],
        sockets: vec![socket(1, "0.0.0.0", 3306)],
        ..host()
    };
    assert!(told(&facts).len() <= 3);
}

#[test]
fn services_are_bounded() {
    let processes = (0..2_000).map(|n| process(n + 10, 1, "mysqld", "")).collect();
    assert_eq!(told(&HostFacts { processes, ..host() }).len(), SERVICES_MAX);
}

fn facts() -> impl Strategy<Value = HostFacts> {
    let word = || {
        proptest::sample::select(
            &["postgres", "mysqld", "mariadbd", "sqlservr", "tnslsnr", "oracle", "ora_pmon_A", "ora_pmon_B1", "sh", ""]
                [..],
        )
    };
    let process = (0..9u32, 0..9u32, word(), word(), "(/|/19/bin/)?").prop_map(|(pid, parent, name, file, folder)| {
        let executable = if file.is_empty() { String::new() } else { format!("{folder}{file}") };
        process(pid, parent, name, &executable)
    });
    let socket = (0..9u32, 1..4u16).prop_map(|(pid, port)| socket(pid, "0.0.0.0", port));
    let entry =
        (proptest::option::of("[AB]"), any::<bool>()).prop_map(|(sid, starts)| oratab(sid.as_deref(), "/19", starts));
    (
        proptest::collection::vec(process, 0..9),
        proptest::collection::vec(socket, 0..9),
        proptest::collection::btree_map("[AB]", entry, 0..3),
        any::<bool>(),
    )
        .prop_map(|(mut processes, sockets, oratab, is_root)| {
            processes.sort_by_key(|process| process.pid);
            processes.dedup_by_key(|process| process.pid);
            HostFacts { processes, sockets, oratab: oratab.into_values().collect(), is_root, ..host() }
        })
}

proptest! {
    #[test]
    fn the_order_of_processes_and_sockets_does_not_show(facts in facts(), turn in 0usize..9) {
        let mut other = facts.clone();
        let turned = |length: usize| turn.min(length);
        let at = turned(other.processes.len());
        other.processes.rotate_left(at);
        let at = turned(other.sockets.len());
        other.sockets.rotate_left(at);
        prop_assert_eq!(discover(&facts, NOW), discover(&other, NOW));
    }

    #[test]
    fn the_processes_that_are_of_no_concern_can_be_left_out(facts in facts()) {
        let mut rest = facts.clone();
        rest.processes.retain(|process| facts.concerns(process));
        prop_assert_eq!(discover(&facts, NOW), discover(&rest, NOW));
    }

    #[test]
    fn what_is_told_is_written_and_read_back(facts in facts()) {
        let disco = discover(&facts, NOW).disco;
        let mut out = Vec::new();
        disco.write(&mut out).unwrap();
        let (back, findings) = Disco::read(&out[..]).unwrap();
        prop_assert_eq!(findings, vec![]);
        prop_assert_eq!(back, disco);
    }

    #[test]
    fn who_is_not_root_learns_nothing_of_oracle(facts in facts()) {
        let found = discover(&HostFacts { is_root: false, ..facts }, NOW);
        prop_assert!(found.disco.devices[0].services.iter().all(|service| !service.kind.starts_with("Oracle")));
    }

    #[test]
    fn any_words_are_told_without_panic(texts in proptest::collection::vec("\\PC{0,20}|ora_pmon_\\PC{0,3}|/é?bin", 5)) {
        let [a, b, c, d, e] = &texts[..] else { panic!("five") };
        let facts = HostFacts {
            processes: vec![Process {
                pid: 1,
                parent: 1,
                uid: 0,
                name: a.clone(),
                title: b.clone(),
                listener: c.clone(),
                executable: d.clone(),
            }],
            oratab: vec![oratab(Some(e), e, true)],
            packages: vec![package(a, b)],
            ..host()
        };
        let found = discover(&facts, NOW);
        found.oracle.unwrap().write_ndi(Vec::new(), &Head::default()).unwrap();
    }
}
