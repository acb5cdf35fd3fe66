//! The load against a true beacon on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;

use clap::Parser;
use muster::upload::rates::Rates;
use muster_actors::beacon::{BeaconOptions, start};
use muster_actors::clock::WallClock;
use muster_actors::intake::IntakeLimits;
use muster_actors::log::Reserve;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: IntakeArgs,
}

fn args(line: &[&str]) -> Result<IntakeArgs, clap::Error> {
    Line::try_parse_from([&["intake"], line].concat()).map(|line| line.args)
}

/// A beacon without rates for as long as the closure runs.
fn with_beacon<T>(work: impl FnOnce(String) -> T) -> T {
    let data = tempfile::tempdir().unwrap();
    let options = BeaconOptions {
        data: data.path().to_path_buf(),
        name: "b".into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        allow_plain: false,
        tenant: "default".parse().unwrap(),
        parents: vec!["http://127.0.0.1:9".into()],
        cycle_ms: 60_000,
        relay_on_arrival: false,
        policy_every_ms: 900_000,
        status_every_ms: 60_000,
        limits: IntakeLimits {
            rates: Rates { uploads_per_hour: 0, burst: 0, bytes_per_day: 0 },
            ..IntakeLimits::default()
        },
        reserve: Reserve { bytes: 0, percent: 0 },
        workers: 1,
        for_agents: true,
        endpoint: String::new(),
        site: String::new(),
    };
    let (tell, address) = channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            muster_actors::command::in_system(async move {
                let no_fatal = Arc::new(|reason: &str| panic!("{reason}"));
                let beacon = start(options, Arc::new(WallClock), no_fatal).await.unwrap();
                tell.send(beacon.address).unwrap();
                let _ = stopped.await;
                beacon.stop().await;
            });
        });
        let result = work(format!("http://{}", address.recv().unwrap()));
        drop(stop);
        result
    })
}

#[test]
fn every_upload_to_a_beacon_gets_a_receipt_that_matches() {
    let floors = tempfile::tempdir().unwrap();
    let report = with_beacon(|url| {
        let dir = floors.path().to_str().unwrap().to_owned();
        let line = ["--url", &url, "--connections", "4", "--seconds", "1", "--size", "2000", "--floor-dir", &dir];
        measure(&args(&line).unwrap()).unwrap()
    });
    assert_eq!(report.broken(), None);
    let line: serde_json::Value = serde_json::from_str(&report.line()).unwrap();
    assert!(line["receipts_verified"].as_u64().unwrap() > 0, "{line}");
    assert_eq!(line["errors"], 0, "{line}");
    assert!(line["ratio_f1"].as_f64().unwrap() > 0.0, "{line}");
    assert_eq!(std::fs::read_dir(floors.path()).unwrap().count(), 0, "the floors leave nothing behind");
}

#[test]
fn what_cannot_be_measured_is_said_in_one_line_with_the_option_to_mend() {
    let check = |line: &[&str], exit: u8, words: &str| {
        let failure = Failure::from(measure(&args(line).unwrap()).map(|_| ()).unwrap_err());
        assert_eq!(failure.exit, exit, "{}", failure.text);
        assert!(failure.text.contains(words) && !failure.text.contains('\n'), "{}", failure.text);
    };
    check(&["--url", "ftp://x"], 2, "--url `ftp://x`");
    // Nobody listens on the discard port.
    check(&["--url", "http://127.0.0.1:9"], 1, "cannot connect to --url `http://127.0.0.1:9`: ");
    check(&["--url", "http://127.0.0.1:9", "--floor-dir", "/nowhere/at/all"], 2, "--floor-dir `/nowhere/at/all`: ");
    for line in [&["--size", "63"][..], &["--connections", "0"], &["--seconds", "0"], &["--runs", "0"]] {
        assert!(args(&[&["--url", "http://127.0.0.1:9"], line].concat()).is_err(), "{line:?}");
    }
}
