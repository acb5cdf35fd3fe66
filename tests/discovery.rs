//! Database servers on a host, told by its agent and shown on its device.
//!
//! The agent and the servers run in a namespace of processes of their own, as a container does: agents of other tests
//! on this host must not tell of them, and with files of its own over the host's.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Node, command, get, muster, put, shipped, status, wait_for};

/// This test's own loopback address.
const ADDRESS: &str = "127.77.0.20";

/// What stands in for every server: it listens by both protocols, says where, and goes on in the background.
const SERVER: &str = r#"
use Socket qw(:DEFAULT inet_pton);
my ($told, $title) = @ARGV;
my @ports;
for my $family (AF_INET, AF_INET6) {
    socket(my $socket, $family, SOCK_STREAM, 0) or die "socket: $!";
    my $at = $family == AF_INET
        ? pack_sockaddr_in(0, inet_aton("127.77.0.20")) : Socket::pack_sockaddr_in6(0, inet_pton($family, "::1"));
    bind($socket, $at) && listen($socket, 1) or die "listen: $!";
    push @ports, $socket, (Socket::unpack_sockaddr_in6(getsockname($socket)))[0] if $family == AF_INET6;
    push @ports, $socket, (unpack_sockaddr_in(getsockname($socket)))[0] if $family == AF_INET;
}
open(my $out, ">", $told) or die "$told: $!";
print $out "$ports[1] $ports[3]\n";
close($out);
$0 = $title if $title;
exit 0 if fork;
close(STDOUT);
sleep 600;
"#;

/// Makes the programs below `folder`: what they are is told by their paths.
fn programs(folder: &Path) {
    let bin = folder.join("u01/app/oracle/product/19.0.0/dbhome_1/bin");
    for (bin, name) in [(folder.join("bin"), "mysqld"), (bin.clone(), "tnslsnr"), (bin, "oracle")] {
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy("/usr/bin/perl", bin.join(name)).expect("perl, which every Debian has");
    }
    // The first argument of a listener is its name.
    std::fs::write(folder.join("LISTENER"), SERVER).unwrap();
}

/// Starts an agent where it is root and sees its own processes only; `before` is done there first.
fn agent_in_namespace(folder: &Path, config: &Path, before: &str) -> Node {
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let script = format!("set -e\nmount --bind passwd /etc/passwd\n{before}\nexec \"$@\"");
    unshare.args(["--", "sh", "-c", &script, "sh"]).arg(muster()).args(["agent", "--config"]).arg(config);
    unshare.current_dir(folder).stdin(Stdio::null());
    for (name, _) in command(&[]).get_envs() {
        unshare.env_remove(name);
    }
    let log = std::fs::File::options().create(true).append(true).open(folder.join("agent.log")).unwrap();
    let node = Node::run(unshare, log.into());
    node.ready_line("agent");
    node
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// Kills an agent in its namespace, and waits until it is gone: what is killed itself is only its parent.
fn kill(agent: Node, data: &str) {
    agent.kill();
    wait_for("the end of the agent", || std::fs::File::open(format!("{data}/lock")).ok()?.try_lock().ok());
}

/// `type name` of the services that the device's own agent told of last, with what they are.
fn services(device: &Value) -> Option<Vec<(String, Value)>> {
    let services = device["discovery"][0]["services"].as_array()?;
    let key = |service: &Value| format!("{} {}", service["type"].as_str().unwrap(), service["name"].as_str().unwrap());
    Some(services.iter().map(|service| (key(service), service.clone())).collect())
}

#[test]
fn database_servers_are_shown_on_their_device_until_they_are_gone_and_oracle_has_an_inventory_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = |name: &str| folder.join(name).display().to_string();
    let operator = format!("http://{ADDRESS}:8080/api/v1");
    programs(folder);
    let home = folder.join("home/kim");
    write(folder, "passwd", &format!("root:x:0:0:root:/root:/bin/sh\nkim:x:1000:1000::{}:/bin/sh\n", home.display()));
    write(folder, "home/kim/.cargo/.crates.toml", "[v1]\n\"ripgrep 14.1.0 (registry)\" = [\"rg\"]\n");

    let changes = [("/var/lib/muster/server", &*data("server")), ("127.0.0.1", ADDRESS)];
    let server = shipped("server.toml", &changes).replace("on_arrival = false", "on_arrival = true");
    let (_server, _) = Node::ready("server", &write(folder, "server.toml", &server));
    let changes = [
        ("/var/lib/muster/beacon", &*data("beacon")),
        ("127.0.0.1", ADDRESS),
        ("interval_secs = 60", "interval_secs = 1"),
        ("policy_interval_secs = 900", "policy_interval_secs = 1"),
    ];
    let beacon_file = write(folder, "beacon.toml", &shipped("beacon.toml", &changes));
    let (beacon, _) = Node::ready("beacon", &beacon_file);
    let settings =
        r#"<InventorySettings Version="1"><Feature Name="OracleInventory" Enabled="True"/></InventorySettings>"#;
    put(&format!("{operator}/settings/inventory-settings"), &json!({ "xml": settings }));
    put(&format!("{operator}/settings/client-configuration"), &json!({ "home_technologies": ["cargo"] }));
    wait_for("the policy at the beacon", || {
        let policy = get(&format!("http://{ADDRESS}:7081/inventory-beacons/x/policy"))?.to_string();
        (policy.contains("OracleInventory") && policy.contains("cargo")).then_some(())
    });

    // The first life takes the policy; the next ones collect by it.
    let changes = [("/var/lib/muster/agent", &*data("agent")), ("127.0.0.1", ADDRESS)];
    let text = shipped("agent.toml", &changes);
    let agent_file = write(folder, "agent.toml", &text);
    let status = || status(&agent_file);
    let agent = agent_in_namespace(folder, &agent_file, "");
    let device = format!("{operator}/devices/1");
    let first = wait_for("the device", || get(&device));
    assert_eq!(first["discovery"], json!([]), "no services, no file");
    wait_for("the policy at the agent", || status()?["policy_revision"].is_string().then_some(()));
    kill(agent, &data("agent"));
    std::fs::write(&agent_file, text.replace("collect_at_start = false", "collect_at_start = true")).unwrap();

    // While no beacon takes them, all three files are queued.
    beacon.kill();
    let oracle = "u01/app/oracle/product/19.0.0/dbhome_1/bin";
    let servers = format!(
        "bin/mysqld LISTENER mysql.ports\n$PWD/{oracle}/tnslsnr LISTENER listener.ports\n\
         {oracle}/oracle LISTENER x ora_pmon_SALES"
    );
    let agent = agent_in_namespace(folder, &agent_file, &servers);
    let names = wait_for("the queue", || {
        let names: Vec<String> = status()?["queue"]
            .as_array()?
            .iter()
            .map(|queued| queued["name"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned())
            .collect();
        (names.len() == 3).then_some(names)
    });
    assert_eq!(&names[..2], ["(Full).ndi.gz", "(Oracle).ndi.gz"]);
    assert!(names[2].ends_with(".disco"), "{names:?}");
    let (beacon, _) = Node::ready("beacon", &beacon_file);
    let told = wait_for("the services on the device", || services(&get(&device)?).filter(|told| !told.is_empty()));
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["MySQL mysql", "OracleDatabase SALES", "OracleListener LISTENER"]);
    // The lowest one, by whichever protocol.
    for (service, file) in [(&told[0].1, "mysql.ports"), (&told[2].1, "listener.ports")] {
        let ports = std::fs::read_to_string(folder.join(file)).unwrap();
        let lowest: u16 = ports.split_whitespace().map(|port| port.parse().unwrap()).min().unwrap();
        assert_eq!(service["port"], lowest, "{service}");
    }
    assert_eq!((&told[1].1["version"], &told[1].1["instances"][0]["status"]), (&json!("19.0.0"), &json!("RUNNING")));
    // Both inventories count, and that of Oracle took nothing from the other.
    let shown = wait_for("both inventories", || {
        let shown = get(&device)?;
        let packages = shown["packages"].as_array()?;
        let is_new = packages[0]["digest"] != first["packages"][0]["digest"];
        let are_in = packages.len() == 2 && packages.iter().all(|package| package["state"] == "imported");
        // The rows of the software follow the commit.
        let has_rows = shown["software"].as_array()?.iter().any(|title| title["evidence"] == "cargo");
        (is_new && are_in && has_rows).then_some(shown)
    });
    assert_eq!((&shown["os"], &shown["serial"]), (&first["os"], &first["serial"]));
    let software = |device: &Value| -> (Vec<Value>, Vec<Value>) {
        let titles = device["software"].as_array().unwrap().iter().cloned();
        titles.partition(|title| title["evidence"] == "cargo")
    };
    let (in_homes, others) = software(&shown);
    assert_eq!(others, software(&first).1);
    let [in_home] = &in_homes[..] else { panic!("{in_homes:?}") };
    assert_eq!((&in_home["name"], &in_home["version"]), (&json!("ripgrep"), &json!("14.1.0")));
    kill(agent, &data("agent"));

    // The servers are gone: that is told too.
    let _agent = agent_in_namespace(folder, &agent_file, "");
    wait_for("nothing on the device", || services(&get(&device)?).filter(Vec::is_empty));
    wait_for("an empty queue", || status()?["queue"].as_array()?.is_empty().then_some(()));
    assert_eq!(std::fs::read_dir(folder.join("agent/refused")).unwrap().count(), 0);
    let summary = get(&format!("{operator}/ledger/summary")).unwrap();
    assert_eq!(summary["quarantined"], 0, "{summary}");
    drop(beacon);
}
