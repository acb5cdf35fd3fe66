//! Real processes in a hierarchy, every fault there is: nothing with a receipt is lost, nothing is imported twice.

use std::error::Error as _;

use muster_simulations::kills::{KillOptions, Plan, run};

use crate::support::muster;

#[test]
fn every_fault_at_real_nodes_loses_nothing_and_imports_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::of_everything(1, 24, 2_000);
    let (muster, folder) = (muster().to_owned(), folder.path().to_owned());
    let options = KillOptions { muster, folder, seed: 1, plan, agents: 6 };
    let report = run(&options).unwrap_or_else(|error| panic!("{error}: {:?}", error.source()));
    println!("{}", report.to_json());
    assert_eq!(report.verdict.violations, []);
    // One kill is the outage; every node had its share.
    assert_eq!((report.kills.values().sum::<u32>(), report.kills.len()), (25, 5), "{:?}", report.kills);
    assert!(report.published > 100 && report.unanswered > 0, "the faults met nothing: {}", report.to_json());
    let hits = |name: &str| report.probes().find(|(known, _)| *known == name).map_or(0, |(_, hits)| hits);
    // Links that are busy see every kind in any run; what needs root or faketime is not asked for here.
    for fault in ["reset", "corrupt", "truncate", "drop-answer", "duplicate", "half-close"] {
        assert!(hits(fault) > 0, "no {fault}: {:?}", report.never_reached);
    }
    // A node may come by one point too late, but not by most of them.
    let at_points: u64 = report.probes().filter(|(name, _)| name.starts_with("kill-")).map(|(_, hits)| hits).sum();
    assert!(at_points >= 4, "{:?}", report.node_faults);
    // A policy that stands still cannot go down.
    assert!(hits("policy moved") > 0 && report.policies_set > 0, "{}", report.to_json());
}
