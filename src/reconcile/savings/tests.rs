//! What is said to be saved is saved when the folder is written so.

use super::sentences::of_savings;
use super::*;
use crate::reconcile::engine::tests::Files;
use crate::reconcile::engine::tests::edits::{Rows, folder};
use crate::reconcile::engine::tests::estates::{AS_OF, estate};
use crate::reconcile::engine::tests::laws::turned;

fn found<T>(files: &Files, see: impl FnOnce(&Reconciled<'_>) -> T) -> T {
    let folder = folder(files).expect("a sound folder");
    let assigned = assign(&folder.estate, &folder.licensing, AS_OF.parse().expect("a day"));
    see(&assigned.expect("no cycle").count())
}

/// The folder with a step written into it.
fn written(files: &Files, step: &Step) -> Files {
    let mut other = files.clone();
    match step {
        Step::Order { application, priorities, .. } => {
            let mut rows = Rows::of(files, "license_applications.csv", &["priority"]);
            for one in priorities {
                let text = one.after.map_or_else(String::new, |priority| priority.to_string());
                rows.set(&[("license", &one.license), ("application", application)], "priority", &text);
            }
            rows.write(&mut other);
        }
        Step::Allocate { license, from, devices } => {
            let mut rows = Rows::of(files, "allocations.csv", &["license", "device", "user", "kind", "exemption"]);
            for device in devices {
                if let Some(from) = from {
                    rows.remove(&[("license", from), ("device", device)]);
                }
                rows.remove(&[("license", license), ("device", device)]);
                rows.add(&[("license", license), ("device", device)]);
            }
            rows.write(&mut other);
        }
    }
    other
}

#[test]
fn every_saving_that_is_told_is_saved_when_the_folder_is_written_so() {
    let (mut orders, mut allocations, mut together) = (0, 0, 0);
    for seed in 0..700 {
        let files = estate(seed);
        let (saved, plain) = found(&files, |plain| (savings(plain, 40), Measure::of(plain)));
        assert!(saved.runs <= 40, "seed {seed}: {} runs", saved.runs);
        for proposal in &saved.proposals {
            let other = written(&files, &proposal.step);
            let saving = found(&other, |after| plain.saving(&Measure::of(after)));
            assert_eq!(saving, Some(proposal.saving), "seed {seed} {proposal:?}");
            match proposal.step {
                Step::Order { .. } => orders += 1,
                Step::Allocate { .. } => allocations += 1,
            }
        }
        assert!(saved.proposals.is_sorted_by(|a, b| a.saving >= b.saving), "seed {seed}");
        if let Some(all) = &saved.together {
            let step = |files: Files, place: &usize| written(&files, &saved.proposals[*place].step);
            let other = all.proposals.iter().fold(files.clone(), step);
            let saving = found(&other, |after| plain.saving(&Measure::of(after)));
            assert_eq!(saving, Some(all.saving), "seed {seed} {all:?}");
            assert!(all.saving.is_more(&saved.proposals[0].saving), "seed {seed}");
            together += 1;
        }
    }
    assert!(orders > 3 && allocations > 20 && together > 0, "{orders} orders, {allocations} allocations, {together}");
}

#[test]
fn neither_the_order_of_rows_nor_a_second_look_changes_what_is_proposed() {
    for seed in 0..120 {
        let files = estate(seed);
        let saved = found(&files, |plain| savings(plain, 30));
        assert_eq!(found(&files, |plain| savings(plain, 30)), saved, "seed {seed}");
        assert_eq!(found(&turned(&files, 1), |plain| savings(plain, 30)), saved, "seed {seed}");
    }
}

fn files(texts: &[(&str, &str)]) -> Files {
    texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// `writer` runs out because it is asked first for what `suite` could cover as well.
const CONTESTED: &[(&str, &str)] = &[
    ("devices.csv", "device\nd1\nd2\nd3\nd4\n"),
    ("applications.csv", "application\na\nb\n"),
    ("licenses.csv", "license,type\nwriter,2\nsuite,2\nlocked,3\n"),
    ("license_applications.csv", "license,application,priority\nwriter,a,1\nsuite,a,2\nwriter,b,\nlocked,b,\n"),
    ("entitlements.csv", "license,quantity\nwriter,2\nsuite,2\nlocked,1\n"),
    ("installations.csv", "device,application\nd1,a\nd2,a\nd3,b\nd4,b\n"),
];

#[test]
fn another_order_and_another_allocation_are_proposed_with_what_they_save() {
    let told = found(&files(CONTESTED), |plain| of_savings(&savings(plain, RUNS_MAX)).join("\n"));
    assert_eq!(
        told,
        "1. ask `suite` first for `a` (priority `suite` 2 -> 1, `writer` 1 -> 2): 2 rights fewer to buy, 1 licence no longer \
         At Risk\n  \
         `suite`: 0 -> 2 used, 2 owned, Compliant\n  \
         `writer`: 4 -> 2 used, 2 owned, At Risk -> Compliant\n\
         2. allocate `d1`, `d2` to `suite` in place of `writer`: 2 rights fewer to buy, 1 licence no longer At Risk\n  \
         `suite`: 0 -> 2 used, 2 owned, Compliant\n  \
         `writer`: 4 -> 2 used, 2 owned, At Risk -> Compliant\n\
         3. allocate `d3` to `locked` in place of `writer`: 1 right fewer to buy\n  \
         `locked`: 0 -> 1 used, 1 owned, Compliant\n  \
         `writer`: 4 -> 3 used, 2 owned, At Risk\n\
         `suite` has 2 left while `writer` is over-used; both cover `a`, of which the latter has 2: 2 times: it was not asked\n\
         `locked` has 1 left while `writer` is over-used; both cover `b`, of which the latter has 2: 2 times: the licence \
         takes only what is allocated to it, and this is not\n\
         8 reconciles; every move in view was tried"
    );
}

#[test]
fn a_search_that_may_make_no_run_proposes_nothing_and_says_so() {
    let saved = found(&files(CONTESTED), |plain| savings(plain, 0));
    assert_eq!((saved.proposals.len(), saved.runs), (0, 0));
    assert!(saved.untried > 0);
}
