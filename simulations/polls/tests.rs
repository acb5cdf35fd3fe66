//! The polls against a true beacon on loopback.

use clap::Parser;
use muster::policy::BeaconPolicy;
use muster::policy::beacon_policy::Content;
use muster::time::Timestamp;

use super::*;
use crate::fixture::with_beacon;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: PollsArgs,
}

fn args(line: &[&str]) -> Result<PollsArgs, clap::Error> {
    Line::try_parse_from([&["polls"], line].concat()).map(|line| line.args)
}

/// The policy that a beacon of an earlier life left.
fn policy() -> Vec<u8> {
    let schedule = "<Schedule SCHEDSCHEMA=\"60\" NAME=\"s\" TIMEDATESTAMP=\"20250314T000000Z\"/>";
    let content = Content { schedule: schedule.into(), ..Content::default() };
    BeaconPolicy::new(41, Timestamp::from_stamp("20250314T000000Z").unwrap(), content).unwrap().write()
}

#[test]
fn a_beacon_and_its_peer_are_asked_in_turns_and_answer_that_nothing_has_changed() {
    let report = with_beacon(
        |data| std::fs::write(data.join("policy.json"), policy()).unwrap(),
        |url| {
            let line = ["--url", &url, "--peer", &url, "--connections", "4", "--seconds", "1"];
            measure(&args(&line).unwrap()).unwrap()
        },
    );
    assert_eq!(report.broken(), None);
    let line: serde_json::Value = serde_json::from_str(&report.line()).unwrap();
    assert_eq!((&line["errors"], line["rounds"].as_array().unwrap().len()), (&0.into(), 2), "{line}");
    assert!(line["polls_per_s"].as_f64().unwrap() > 0.0 && line["ratio"].as_f64().unwrap() > 0.0, "{line}");
}

#[test]
fn a_node_without_a_policy_and_one_that_is_away_are_told_in_one_line() {
    let failure = |line: &[&str]| Failure::from(measure(&args(line).unwrap()).map(|_| ()).unwrap_err());
    let none = with_beacon(|_| {}, |url| failure(&["--url", &url]));
    assert!(none.exit == 1 && none.text.contains("answers 503 without an ETag"), "{}", none.text);
    // Nobody listens on the discard port.
    let away = failure(&["--url", "http://127.0.0.1:9"]);
    assert!(away.exit == 1 && away.text.starts_with("cannot ask `http://127.0.0.1:9"), "{}", away.text);
    assert_eq!(failure(&["--url", "ftp://x"]).exit, 2);
    assert!(args(&["--url", "http://127.0.0.1:9", "--rounds", "0"]).is_err());
}
