//! The meter of a real agent beside processes whose lives are known. With the periods of a deployed agent it takes twenty
//! minutes: `muster-sim usage`.

use std::time::Duration;

use muster_simulations::usage::{UsageOptions, drill};

use crate::support::muster;

#[test]
fn runs_are_counted_exactly_and_times_within_a_sample_from_the_processes_to_the_device() {
    // Its programs are those of a Debian system.
    if !std::path::Path::new("/var/lib/dpkg/info/dash.list").exists() {
        eprintln!("skipped: no list of a Debian package here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = UsageOptions {
        muster: muster().to_owned(),
        folder: folder.path().to_owned(),
        seed: 1,
        sample: Duration::from_secs(4),
        // The shortest there is.
        period: Duration::from_secs(60),
        sleepers: 20,
    };
    let report = drill(&options).unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    println!("{report}");
    assert_eq!(report.wrong(), 0, "\n{report}");
    assert!(report.files > 0);
}
