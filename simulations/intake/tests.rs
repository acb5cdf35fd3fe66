//! The load against a true beacon on loopback.

use clap::Parser;

use super::*;
use crate::fixture::with_beacon;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: IntakeArgs,
}

fn args(line: &[&str]) -> Result<IntakeArgs, clap::Error> {
    Line::try_parse_from([&["intake"], line].concat()).map(|line| line.args)
}

#[test]
fn every_upload_to_a_beacon_gets_a_receipt_that_matches() {
    let floors = tempfile::tempdir().unwrap();
    let report = with_beacon(
        |_| {},
        |url| {
            let dir = floors.path().to_str().unwrap().to_owned();
            let line = ["--url", &url, "--connections", "4", "--seconds", "1", "--size", "2000", "--floor-dir", &dir];
            measure(&args(&line).unwrap()).unwrap()
        },
    );
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
    check(&["--url", "ftp://x"], 2, "`ftp://x`");
    // Nobody listens on the discard port.
    check(&["--url", "http://127.0.0.1:9"], 1, "cannot connect to `http://127.0.0.1:9`: ");
    check(&["--url", "http://127.0.0.1:9", "--floor-dir", "/nowhere/at/all"], 2, "--floor-dir `/nowhere/at/all`: ");
    for line in [&["--size", "63"][..], &["--connections", "0"], &["--seconds", "0"], &["--runs", "0"]] {
        assert!(args(&[&["--url", "http://127.0.0.1:9"], line].concat()).is_err(), "{line:?}");
    }
}
