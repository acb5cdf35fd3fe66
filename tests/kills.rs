//! kill -9 of real processes: nothing with a receipt is lost, nothing is imported twice.

use muster_simulations::kills::{KillOptions, run};

use crate::support::muster;

#[test]
fn fifty_kills_at_random_lose_nothing_and_import_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        KillOptions { muster: muster().to_owned(), folder: folder.path().to_owned(), seed: 1, kills: 50, agents: 6 };
    let report = run(&options).unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    println!("{report:?}");
    assert_eq!((report.kills.values().sum::<u32>(), report.kills.len()), (50, 4));
    assert!(report.published > 100 && report.unanswered > 0, "the kills met nothing: {report:?}");
    assert_eq!(report.verdict.violations, [], "{report:?}");
}
