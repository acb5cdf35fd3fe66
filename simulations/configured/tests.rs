use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster::config::Document;
use muster::config::{agent, beacon, server};

use super::{Configured, ConfiguredArgs};
use crate::drive::calendar::Calendar;
use crate::drive::{Closed, actors};
use crate::scenario::{Overrides, Scenario};

/// Files of a name each, in a folder of their own.
fn files(texts: &[(&str, String)]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, text): &(&str, String)| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let paths = texts.iter().map(write).collect();
    (folder, paths)
}

fn args(beacons: &[PathBuf], server: Option<&Path>) -> ConfiguredArgs {
    let server_config = server.map(Path::to_path_buf);
    ConfiguredArgs { server_config, beacon_config: beacons.to_vec(), ..ConfiguredArgs::default() }
}

/// A beacon on a host of its own.
fn beacon(host: &str, parents: &[&str], more: &str) -> String {
    let parents: Vec<String> = parents.iter().map(|parent| format!("\"http://{parent}\"")).collect();
    format!(
        "[beacon]\ndata = \"d\"\nname = \"{host}\"\nlisten = \"0.0.0.0:7081\"\nallow_plain = true\n\
         endpoint = \"http://{host}:7081\"\nparents = [{}]\n{more}",
        parents.join(", ")
    )
}

fn refused(texts: &[(&str, String)], server: Option<&str>) -> String {
    let (folder, paths) = files(texts);
    let server = server.map(|text| {
        let path = folder.path().join("server.toml");
        fs::write(&path, text).unwrap();
        path
    });
    let error = Configured::read(&args(&paths, server.as_deref())).expect_err("these files cannot be");
    error.text.replace(&format!("{}/", folder.path().display()), "")
}

fn run(text: &str, configured: &Configured) -> [Closed; 2] {
    let overrides = Overrides { configured: Some(configured), ..Overrides::default() };
    let scenario = Arc::new(Scenario::read(&Document { text, file: "s" }, overrides).unwrap());
    let mut calendar: Calendar = Calendar::new(1, scenario.clone());
    calendar.run(scenario.end(), None);
    [calendar.close(), actors::run(1, scenario, |_| ()).unwrap()]
}

#[test]
fn the_shipped_files_are_simulated_and_what_is_not_is_told() {
    let (_folder, paths) = files(&[
        ("server.toml", server::SHIPPED.into()),
        ("beacon.toml", beacon::SHIPPED.into()),
        ("agent.toml", agent::SHIPPED.into()),
    ]);
    let named = ConfiguredArgs { agent_config: Some(paths[2].clone()), ..args(&paths[1..2], Some(paths[0].as_path())) };
    let configured = Configured::read(&named).unwrap();
    let told = configured.not_simulated.join("\n");
    for option in
        ["server.tenant", "import.matchers_file", "limits.bodies", "beacon.parents", "agent.servers", "proxy.url"]
    {
        assert!(told.contains(option), "{option}: {told}");
    }
    for option in ["server.tasks_file", "relay.interval_secs", "spool.packages_max", "upload.catch_up_hour"] {
        assert!(!told.contains(option), "{option}: {told}");
    }
    assert_eq!(configured.files.len(), 3);
    // They are the defaults, but for the export that has no target.
    let text = "[fleet]\nagents = 60\ndays = 2\n";
    let [with, actors] = run(text, &configured);
    assert_eq!((with.stage.book.checks.violations(), with.digest), (0, actors.digest));
    assert!(with.stage.book.totals().imported >= 60);
    let again = named.again();
    assert!(again.contains("--beacon-config ") && again.contains("--agent-config ") && !again.contains("schedule"));
}

#[test]
fn what_a_file_says_is_what_is_simulated() {
    // A beacon that relays at once against one that waits for an hour.
    let times = |more: &str| {
        let (_folder, paths) = files(&[("b.toml", beacon("b", &["s:7080"], more))]);
        let configured = Configured::read(&args(&paths, None)).unwrap();
        let [closed, actors] = run("[fleet]\nagents = 50\ndays = 2\n[hierarchy]\nleaves_per_middle = 0\n", &configured);
        assert_eq!(closed.digest, actors.digest);
        closed
    };
    let median = |closed: &Closed| closed.stage.record.time_to_server_ms.value_at_quantile(0.5);
    let (at_once, hourly) = (times("[relay]\non_arrival = true\n"), times("[relay]\ninterval_secs = 3_600\n"));
    assert!(median(&at_once) < 5_000, "{}", median(&at_once));
    assert!(median(&hourly) > 600_000, "{}", median(&hourly));
    // Nobody may send a byte.
    let hits = |closed: &Closed, name: &str| closed.stage.record.probes().find(|probe| probe.0 == name).unwrap().1;
    let narrow = times("[limits]\nbytes_per_day = 1_000\n");
    assert!(hits(&narrow, "agent-over-its-rate") > 50);
    assert_eq!(narrow.stage.book.totals().receipted, 0);
}

#[test]
fn a_disk_takes_uploads_as_long_as_its_reserve_is_kept() {
    let (_folder, paths) = files(&[("b.toml", beacon("b", &["s:7080"], "[disk]\nreserve_bytes = 900_000\n"))]);
    let configured = Configured::read(&args(&paths, None)).unwrap();
    let text = "[fleet]\nagents = 80\ndays = 2\nquiet_days = 0\n[hierarchy]\nleaves_min = 1\n[beacons]\ndisk_bytes = 2_000_000\n\
                [[fault]]\nkind = 'outage'\nof = 'server'\nat_secs = 0\nfor_secs = 172_000\n";
    let [closed, actors] = run(text, &configured);
    assert_eq!(closed.digest, actors.digest);
    let most = closed.stage.record.loads.iter().map(|load| load.most_held_bytes).max().unwrap();
    assert!((1_000_000..1_250_000).contains(&most), "{most}");
}

#[test]
fn several_files_make_the_hierarchy_that_their_parents_say() {
    let texts = [
        ("a.toml", beacon("a", &["top:7081", "b:7081"], "site = \"A\"\n")),
        ("b.toml", beacon("b", &["top:7081"], "[spool]\npackages_max = 7\n")),
        ("top.toml", beacon("top", &["server:7080"], "for_agents = false\n")),
    ];
    let (_folder, paths) = files(&texts);
    let configured = Configured::read(&args(&paths, None)).unwrap();
    let own = configured.hierarchy.as_ref().unwrap();
    assert_eq!((own.middles, own.leaves, own.hops), (1, 2, 4));
    assert_eq!(own.names, ["top", "a", "b"]);
    assert_eq!(own.parents, [vec![0], vec![1, 3], vec![1]]);
    assert_eq!(
        configured.beacons.iter().map(|rules| rules.spool_packages).collect::<Vec<_>>(),
        [2_000_000, 2_000_000, 7]
    );
    assert!(configured.not_simulated.iter().all(|told| !told.contains("beacon.parents")));
    let text =
        "[fleet]\nagents = 90\ndays = 3\n[[fault]]\nkind='outage'\nof='middle 0'\nat_secs=30_000\nfor_secs=20_000\n";
    let [closed, actors] = run(text, &configured);
    assert_eq!(closed.stage.book.checks.broken().collect::<Vec<_>>(), []);
    assert_eq!(closed.digest, actors.digest);
    let loads: Vec<u64> = closed.stage.record.loads.iter().map(|load| load.requests).collect();
    assert!(loads.iter().all(|requests| *requests > 100), "{loads:?}");
}

#[test]
fn a_hierarchy_that_cannot_be_is_refused_by_file_line_and_advice() {
    let one = |host: &str, parents: &[&str]| beacon(host, parents, "");
    for (texts, server, wanted) in [
        (
            vec![("a.toml", one("a", &["b:7081"])), ("b.toml", one("b", &["a:7081"]))],
            None,
            "a.toml:7: `beacon.parents`: make a loop, a.toml -> b.toml -> a.toml: write parents that lead to the server",
        ),
        (
            vec![("a.toml", one("a", &["server:7080"])), ("b.toml", one("b", &["serfer:7080"]))],
            None,
            "b.toml:7: `beacon.parents`: `http://serfer:7080` is no beacon of these files and not the server: name its file",
        ),
        (
            vec![("a.toml", one("a", &["127.0.0.1:7080"])), ("b.toml", one("b", &["server:7080"]))],
            Some(server::SHIPPED),
            "b.toml:7: `beacon.parents`: `http://server:7080` is no beacon",
        ),
        (
            vec![("a.toml", one("a", &["s:7080"])), ("b.toml", one("a", &["s:7080"]))],
            None,
            "b.toml:6: `beacon.endpoint`: is also that of a.toml: b.toml needs an address of its own",
        ),
        (
            vec![
                ("a.toml", beacon("a", &["s:7080"], "for_agents = false\n")),
                ("b.toml", beacon("b", &["s:7080"], "for_agents = false\n")),
            ],
            None,
            "a.toml:8: `beacon.for_agents`: no beacon takes agents, write `for_agents = true`",
        ),
    ] {
        let error = refused(&texts, server);
        assert!(error.contains(wanted), "{error}");
    }
    let chain: Vec<(String, String)> = (0..8)
        .map(|place| {
            let parent = if place == 0 { "s:7080".to_owned() } else { format!("b{}:7081", place - 1) };
            (format!("b{place}.toml"), one(&format!("b{place}"), &[&parent]))
        })
        .collect();
    let chain: Vec<(&str, String)> = chain.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let error = refused(&chain, None);
    assert!(error.contains("b7.toml:7: `beacon.parents`: are 8 beacons deep"), "{error}");
}

#[test]
fn mistakes_in_a_file_are_those_of_the_deployed_readers() {
    let error = refused(&[("b.toml", beacon("b", &["s:7080"], "[relay]\nintervall_secs = 5\n"))], None);
    assert!(error.contains("b.toml:9: `relay.intervall_secs`: unknown key, did you mean `interval_secs`?"), "{error}");
    let (_folder, paths) = files(&[("s.json", "{\"inventory_start_secs\": 90000}".into())]);
    let named = ConfiguredArgs { agent_schedule: Some(paths[0].clone()), ..ConfiguredArgs::default() };
    let error = Configured::read(&named).unwrap_err().text;
    assert!(error.contains("s.json: `inventory_start_secs` is 90000: a time of day is"), "{error}");
}
