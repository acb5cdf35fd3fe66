//! What is told of two runs adds up, and says nothing when there is nothing to say.

use super::*;
use crate::model::day::Day;
use crate::reconcile::changes::sentences::of_changes;
use crate::reconcile::engine::assign;
use crate::reconcile::engine::tests::Files;
use crate::reconcile::engine::tests::edits::{edited, folder};
use crate::reconcile::engine::tests::estates::draw::Draw;
use crate::reconcile::engine::tests::estates::{AS_OF, estate};
use crate::reconcile::engine::tests::laws::turned;

/// Both runs, if both folders are sound.
fn runs<T>(
    (before, was): (&Files, &str),
    (after, is): (&Files, &str),
    see: impl FnOnce(&Reconciled<'_>, &Reconciled<'_>) -> T,
) -> Option<T> {
    let (first, second) = (folder(before)?, folder(after)?);
    let day = |text: &str| -> Day { text.parse().expect("a day") };
    let before = assign(&first.estate, &first.licensing, day(was)).ok()?.count();
    let after = assign(&second.estate, &second.licensing, day(is)).ok()?.count();
    Some(see(&before, &after))
}

fn told(before: (&Files, &str), after: (&Files, &str)) -> Option<Changes> {
    runs(before, after, changes)
}

/// Types whose figure is the sum of their units.
fn is_additive(found: &Reconciled<'_>, licence: &str) -> bool {
    let licensing = found.context().licensing;
    let Some(number) = licensing.ids.find(licence) else { return true };
    let terms = &licensing.licences[number as usize];
    match terms.metric {
        Some(Metric::ORACLE_PROCESSOR | Metric::ORACLE_NAMED_USER_PLUS) => false,
        Some(Metric::CUSTOM | Metric::RESOURCE_VALUE_UNIT) => false,
        Some(Metric::DEVICE) => terms.settings.installs_per_right == 1,
        _ => true,
    }
}

/// What has to hold of the changes of any two runs.
fn check(before: &Reconciled<'_>, after: &Reconciled<'_>, changes: &Changes) {
    for change in &changes.licences {
        let parts = &change.difference;
        assert_eq!(parts.consumed, parts.units + parts.rounding + parts.peaks, "{change:?}");
        let units: Decimal = change.units.iter().map(|unit| unit.difference).sum();
        assert_eq!(parts.units, units, "{change:?}");
        if is_additive(before, &change.license) && is_additive(after, &change.license) {
            assert_eq!(parts.rounding, Decimal::ZERO, "{change:?}");
        }
        let metric = |figures: &Option<Figures>| figures.as_ref().and_then(|figures| figures.metric);
        if [&change.before, &change.after].iter().all(|one| metric(one) != Some(Metric::PROCESSOR_VALUE_UNIT)) {
            assert_eq!(parts.peaks, Decimal::ZERO, "{change:?}");
        }
        assert!(change.units.iter().all(|unit| !unit.causes.is_empty()), "{change:?}");
        owned(change);
    }
    // Of every other licence the figures are the same.
    let licensing = [before, after].map(|found| found.context().licensing);
    for (number, id) in (0..).zip(licensing[1].ids.iter()) {
        let is_told = changes.licences.iter().any(|change| change.license == id);
        if !is_told {
            let was = licensing[0].ids.find(id).expect("a new one is told");
            let figures = |found: &Reconciled<'_>, licence: u32| Figures::of(&found.positions()[licence as usize]);
            assert_eq!(figures(before, was), figures(after, number), "{id}");
        }
    }
}

/// The purchases that are told make the difference of what is owned.
fn owned(change: &LicenceChange) {
    let (Some(was), Some(is)) = (&change.before, &change.after) else { return };
    if [was, is].iter().any(|one| one.metric.is_none_or(Metric::is_unlimited)) {
        return;
    }
    let (Some(was), Some(is)) = (was.total.limit(), is.total.limit()) else { return };
    let in_force = |state: &Option<PurchaseState>| *state == Some(PurchaseState::InForce);
    let mut difference = Decimal::ZERO;
    for term in &change.terms {
        let TermChange::Purchase { quantity, before, after, .. } = term else { continue };
        let quantity = quantity.limit().unwrap_or_default();
        if in_force(after) {
            difference += quantity;
        }
        if in_force(before) {
            difference = difference - quantity;
        }
    }
    assert_eq!(is - was, difference, "{change:?}");
}

/// How many estates are changed.
const SEEDS: u64 = 1_500;

#[test]
fn the_units_that_are_told_make_the_difference_of_what_is_used() {
    let (mut licences, mut units, mut elsewhere) = (0, 0, 0);
    for seed in 0..SEEDS {
        let files = estate(seed);
        let mut draw = Draw::new(seed ^ 0x5eed);
        let mut other = files.clone();
        for _ in 0..draw.between(1, 4) {
            other = edited(&other, &mut draw);
        }
        let is = draw.pick(&[AS_OF, AS_OF, "2026-06-16", "2030-12-31"]);
        let all = runs((&files, AS_OF), (&other, is), |before, after| {
            let all = changes(before, after);
            check(before, after, &all);
            all
        });
        for change in all.iter().flat_map(|all| &all.licences) {
            licences += 1;
            units += change.units.len();
            elsewhere += change.units.iter().filter(|unit| unit.causes == [Cause::Elsewhere]).count();
        }
    }
    assert!(licences > 300 && units > 500, "{licences} licences, {units} units");
    assert!(elsewhere * 20 < units, "{elsewhere} of {units} units are not explained");
}

#[test]
fn two_estates_that_have_little_in_common_add_up_too() {
    for seed in 0..300 {
        let (files, other) = (estate(seed), estate(seed + 1));
        runs((&files, AS_OF), (&other, AS_OF), |before, after| check(before, after, &changes(before, after)));
    }
}

#[test]
fn nothing_is_told_when_nothing_changed() {
    for seed in 0..200 {
        let files = estate(seed);
        for by in 0..3 {
            let none = told((&files, AS_OF), (&turned(&files, by), AS_OF)).expect("a sound estate");
            assert_eq!(none, Changes::default(), "seed {seed}");
        }
    }
}

#[test]
fn the_order_of_rows_changes_nothing_that_is_told() {
    // Where a bad cell stands does depend on it.
    let without_places = |mut changes: Changes| {
        for term in changes.licences.iter_mut().flat_map(|change| &mut change.terms) {
            if let TermChange::BadData { before, after } = term {
                for place in [before, after].into_iter().flatten() {
                    place.clear();
                }
            }
        }
        changes
    };
    for seed in 0..200 {
        let files = estate(seed);
        let other = edited(&edited(&files, &mut Draw::new(seed)), &mut Draw::new(seed + 1));
        let plain = told((&files, AS_OF), (&other, AS_OF)).map(without_places);
        for by in 0..3 {
            let again = told((&turned(&files, by), AS_OF), (&turned(&other, by + 1), AS_OF)).map(without_places);
            assert_eq!(again, plain, "seed {seed}");
        }
    }
}

fn files(texts: &[(&str, &str)]) -> Files {
    texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// What is told, in words.
fn words(before: &[(&str, &str)], after: &[(&str, &str)], days: [&str; 2]) -> String {
    let (before, after) = (files(before), files(after));
    of_changes(&told((&before, days[0]), (&after, days[1])).expect("sound folders"), 10).join("\n")
}

const PLAIN: &[(&str, &str)] = &[
    ("devices.csv", "device,cores,role\nd1,8,\nd2,4,\nd3,4,\nd4,2,\n"),
    ("applications.csv", "application\na\n"),
    ("licenses.csv", "license,type,points_set\nL,15,p\nM,15,p\n"),
    ("license_applications.csv", "license,application,priority\nL,a,1\nM,a,2\n"),
    ("points_rules.csv", "set,rule,points\np,1,2\n"),
    ("entitlements.csv", "license,quantity,expiry\nL,24,\nL,8,2026-06-20\nM,100,\n"),
    ("exempt_roles.csv", "license,role,reason\nL,test,11\n"),
    ("installations.csv", "device,application\nd1,a\nd2,a\nd4,a\n"),
];

#[test]
fn every_unit_is_told_with_its_causes() {
    let mut after = PLAIN.to_vec();
    after[0].1 = "device,cores,role\nd1,16,\nd2,4,test\nd3,4,\nd5,3,\n";
    after[7].1 = "device,application\nd1,a\nd2,a\nd3,a\nd5,a\n";
    assert_eq!(
        words(PLAIN, &after, ["2026-06-15", "2026-07-01"]),
        "`L`, Core Points (15): 28 -> 14 used (-14), 32 -> 24 owned, Compliant\n  \
         purchase of 8 up to 2026-06-20: in force -> expired\n  \
         device `d1` -16 (16 -> 0): `a` went to licence `M` (this one says: all its rights are used); cores: 8 -> 16\n  \
         device `d2` -8 (8 -> 0): `a`: needs a right -> needs no right (test); role: blank -> test; counted -> exempt\n  \
         device `d3` +8 (0 -> 8): `a` is newly installed\n  \
         device `d4` -4 (4 -> 0): the device is there no more\n  \
         device `d5` +6 (0 -> 6): the device is new\n\
         `M`, Core Points (15): 0 -> 32 used (+32), 100 owned, Compliant; 0 -> 1 installations\n  \
         device `d1` +32 (0 -> 32): `a` came from licence `L` (which says: all its rights are used); cores: 8 -> 16"
    );
}

#[test]
fn a_difference_that_is_of_no_one_unit_is_told_as_such() {
    let before = [
        ("devices.csv", "device\nd1\nd2\nd3\nd4\n"),
        ("applications.csv", "application\na\n"),
        ("licenses.csv", "license,type,installs_per_right,quantity\nL,2,2,\nC,29,,7\n"),
        ("license_applications.csv", "license,application\nL,a\n"),
        ("installations.csv", "device,application\nd1,a\nd2,a\n"),
    ];
    let mut after = before;
    after[2].1 = "license,type,installs_per_right,quantity\nL,2,2,\nC,29,,9\n";
    after[4].1 = "device,application\nd1,a\nd2,a\nd3,a\nd4,a\n";
    assert_eq!(
        words(&before, &after, ["2026-06-15"; 2]),
        "`C`, Custom Metric (29): 7 -> 9 used (+2), 0 owned, At Risk\n  \
         setting quantity: 7 -> 9\n  \
         the units make 0 of +2\n  \
         +2 is of no one unit: the quantity is entered by hand\n\
         `L`, Device (2): 1 -> 2 used (+1), 0 owned, At Risk; 2 -> 4 installations\n  \
         device `d3` +1 (0 -> 1): `a` is newly installed\n  \
         device `d4` +1 (0 -> 1): `a` is newly installed\n  \
         the units make +2 of +1\n  \
         -1 is of no one unit: several installations share a right, and the last right counts whole"
    );
}

#[test]
fn what_came_and_went_is_shown_with_its_evidence_read_once_for_an_application() {
    let mut after = PLAIN.to_vec();
    let installed = after.iter_mut().find(|(file, _)| *file == "installations.csv").expect("PLAIN has one");
    installed.1 = "device,application\nd1,a\nd3,a\n";
    let mut found =
        told((&files(PLAIN), "2026-06-15"), (&files(&after), "2026-06-15")).expect("both folders are sound");
    let mut asked = Vec::new();
    let read = |which, application: &str, devices: &[&str]| {
        asked.push((which, application.to_owned(), devices.join(" ")));
        let shown = devices.iter().map(|device| (device.to_string(), format!("{application} of {device}")));
        Ok::<_, std::convert::Infallible>(shown.collect())
    };
    let Ok(()) = found.evidence(100, read);
    let lines = of_changes(&found, 100).join("\n");
    for (which, devices) in [(Which::Before, "it was shown by a of "), (Which::After, ", shown by a of d3")] {
        let times = asked.iter().filter(|(of, application, _)| *of == which && application == "a").count();
        assert!(times == 1 && lines.contains(devices), "{asked:?}\n{lines}");
    }
}
