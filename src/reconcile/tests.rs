//! Worked cases of the reconcile reference (section 8, Device licences), and laws over made-up fleets.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::id::DeviceId;
use crate::model::licence::{
    Allocation, AllocationKind, Entitlement, ExemptRole, Exemption, Licence, Link, Metric, Quantity, TrueUp,
};
use crate::model::pattern::Pattern;
use crate::model::position::{CountReason, How, Reason, Status, Unit};
use crate::model::recognition::{EvidenceKind, FieldTest, Rule, Verdict};
use crate::model::software::{InstalledTitle, Title, TitleId};

/// Names of the applications; title n is the package of application n.
const APPLICATIONS: [&str; 4] = ["app-1", "app-2", "other", "tool"];

fn day() -> Day {
    "2026-06-01".parse().unwrap()
}

fn licence(id: &str, owned: Option<u64>, applications: &[&str]) -> Licence {
    let quantity = owned.map_or(Quantity::Unlimited, Quantity::Limited);
    Licence {
        id: id.parse().unwrap(),
        name: id.into(),
        publisher: "Acme".into(),
        metric: Metric::Device,
        links: applications.iter().map(|id| Link { application: id.parse().unwrap(), priority: None }).collect(),
        entitlements: vec![Entitlement { quantity, effective: None, expiry: None, retired: false }],
        allocations: vec![],
        exempt_roles: vec![],
        multiple_use: true,
        installs_per_right: NonZeroU32::MIN,
        allocations_consume: false,
        true_up: None,
    }
}

fn allocated(device: u64, kind: AllocationKind) -> Allocation {
    Allocation { device: DeviceId(device), kind, exemption: None }
}

/// A device: its number, its role and the places of its applications.
type Spec<'a> = (u64, Option<&'a str>, &'a [usize]);

fn run(licences: &[Licence], fleet: &[Spec<'_>]) -> Reconciliation {
    let rules = APPLICATIONS.iter().map(|name| Rule {
        id: name.parse().unwrap(),
        kind: EvidenceKind::Installer,
        name: FieldTest::Like(Pattern::new(name).unwrap()),
        version: FieldTest::Any,
        publisher: FieldTest::Any,
        description: FieldTest::Any,
        path: FieldTest::Any,
        evidence: "".into(),
        verdict: Verdict::Application(name.parse().unwrap()),
    });
    let recogniser = Recogniser::new(rules).unwrap();
    let titles = APPLICATIONS.map(|name| Title::new(name, "1", "Acme", "deb"));
    let recognised = recogniser.recognise_all((0..).map(TitleId).zip(&titles));
    let installed = |places: &[usize]| {
        places.iter().map(|&place| InstalledTitle { title: TitleId(place as u32), install_date: None }).collect()
    };
    let software: Vec<Vec<InstalledTitle>> = fleet.iter().map(|(.., places)| installed(places)).collect();
    let devices = fleet.iter().zip(&software);
    let devices = devices.map(|((id, role, _), titles)| DeviceSoftware { device: DeviceId(*id), role: *role, titles });
    reconcile(&recognised, &[], licences, devices, day())
}

/// Consumed, raw, exempt, available and status of each licence.
fn figures(found: &Reconciliation) -> Vec<(u64, u64, u64, Option<i64>, Status)> {
    let both = found.consumptions.iter().zip(&found.positions);
    both.map(|(used, position)| (used.consumed, used.raw, used.exempt, position.available, position.status)).collect()
}

#[test]
fn a_device_counts_once_and_a_test_device_not_at_all() {
    // Worked cases 1 and 2.
    let fleet: &[Spec<'_>] = &[(1, None, &[0, 1]), (2, Some("production"), &[0]), (3, Some("test"), &[0])];
    let test = Exemption::try_from(11).unwrap();
    let mut licence = licence("l", Some(2), &["app-1", "app-2"]);
    licence.exempt_roles.push(ExemptRole { role: "test".into(), reason: test });
    let found = run(std::slice::from_ref(&licence), fleet);
    assert_eq!(figures(&found), [(2, 4, 1, Some(0), Status::Compliant)]);
    assert_eq!(found.positions[0].savings, 2);
    assert_eq!(found.positions[0].reason, "2 of 2 in use");
    let unit = |device, raw, consumed, reason| Unit { device: DeviceId(device), raw, consumed, reason };
    let units = [
        unit(1, 2, 1, CountReason::Counted),
        unit(2, 1, 1, CountReason::Counted),
        unit(3, 1, 0, CountReason::Exempt(test)),
    ];
    assert_eq!(found.consumptions[0].units, units);
    assert_eq!(found.consumptions[0].unit(DeviceId(3)), Some(&units[2]));
    assert_eq!(found.consumptions[0].taken_on(DeviceId(1)).len(), 2);

    licence.multiple_use = false;
    let found = run(&[licence], fleet);
    assert_eq!(figures(&found), [(3, 4, 1, Some(-1), Status::AtRisk)]);
    assert_eq!(found.positions[0].reason, "1 more in use than owned: buy, or take off devices");
}

#[test]
fn a_permanent_allocation_counts_without_an_installation_and_an_awaited_one_tells_of_its_arrival() {
    // Worked case 6.
    let mut licence = licence("l", Some(9), &["app-1"]);
    licence.allocations = vec![
        allocated(9, AllocationKind::Permanent),
        allocated(2, AllocationKind::Awaiting),
        allocated(8, AllocationKind::Awaiting),
    ];
    let found = run(std::slice::from_ref(&licence), &[(1, None, &[0]), (2, None, &[0])]);
    assert_eq!(figures(&found), [(3, 3, 0, Some(6), Status::Compliant)]);
    assert_eq!(found.consumptions[0].arrived, [DeviceId(2)]);
    assert_eq!(found.consumptions[0].unit(DeviceId(9)).unwrap().reason, CountReason::NoInventory);
    licence.allocations_consume = true;
    let found = run(&[licence], &[(1, None, &[0]), (2, None, &[0]), (9, None, &[0])]);
    assert_eq!(figures(&found), [(4, 4, 0, Some(5), Status::Compliant)], "1, 2, 9 installed and 8 allocated");
}

#[test]
fn an_unlimited_licence_comes_first_and_a_true_up_licence_last() {
    // Worked cases 23 and 24.
    let fleet: Vec<Spec<'_>> = (0..130).map(|device| (device, None, &[0][..])).collect();
    let found = run(&[licence("a", Some(100), &["app-1"]), licence("b", None, &["app-1"])], &fleet);
    assert_eq!(figures(&found)[0], (0, 0, 0, Some(100), Status::Compliant));
    assert_eq!(figures(&found)[1], (130, 130, 0, None, Status::Compliant));

    let mut true_up = licence("a", Some(0), &["app-1"]);
    true_up.true_up = Some(TrueUp { until: Some(day()) });
    let normal = licence("b", Some(100), &["app-1"]);
    let found = run(&[true_up.clone(), normal.clone()], &fleet);
    assert_eq!(figures(&found)[0], (30, 30, 0, Some(-30), Status::Compliant));
    assert_eq!(figures(&found)[1], (100, 100, 0, Some(0), Status::Compliant));
    assert_eq!(found.positions[0].true_up_due, Some(30));
    assert_eq!(found.consumptions[1].rejected.len(), 30);

    true_up.true_up = Some(TrueUp { until: Some("2026-05-31".parse().unwrap()) });
    assert_eq!(run(&[true_up, normal], &fleet).positions[0].status, Status::AtRisk);
}

#[test]
fn over_consumption_belongs_to_the_licence_with_the_highest_priority() {
    let (mut first, mut second) = (licence("z", Some(1), &["app-1"]), licence("a", Some(1), &["app-1"]));
    first.links[0].priority = Some(1);
    second.links[0].priority = Some(2);
    let found = run(&[second, first], &[(1, None, &[0]), (2, None, &[0]), (3, None, &[0])]);
    assert_eq!(figures(&found)[0], (1, 1, 0, Some(0), Status::Compliant), "licence a");
    assert_eq!(figures(&found)[1], (2, 2, 0, Some(-1), Status::AtRisk), "licence z");
    let how: Vec<How> = found.consumptions[1].taken.iter().map(|taken| taken.how).collect();
    assert_eq!(how, [How::Priority, How::Overflow]);
    assert_eq!(found.consumptions[0].rejected[0].reason, Reason::Full);
}

#[test]
fn an_allocated_device_uses_its_own_licence_only_and_is_served_before_all_others() {
    let mut own = licence("own", Some(1), &["app-1"]);
    own.allocations = vec![allocated(7, AllocationKind::Allocated)];
    let pool = licence("a-pool", Some(5), &["app-1"]);
    let found = run(&[own, pool], &[(1, None, &[0]), (7, None, &[0])]);
    let devices = |place: usize| found.consumptions[place].taken.iter().map(|taken| taken.device.0).collect::<Vec<_>>();
    assert_eq!((devices(0), devices(1)), (vec![1], vec![7]));
    assert_eq!(found.consumptions[0].rejected[0].reason, Reason::AllocatedElsewhere);
    assert_eq!(found.consumptions[1].taken[0].how, How::Allocated);
}

#[test]
fn a_right_may_cover_several_installations() {
    let mut licence = licence("l", Some(2), &["app-1"]);
    licence.installs_per_right = NonZeroU32::new(3).unwrap();
    let fleet: Vec<Spec<'_>> = (0..7).map(|device| (device, None, &[0][..])).collect();
    assert_eq!(figures(&run(std::slice::from_ref(&licence), &fleet[..6]))[0].0, 2);
    assert_eq!(figures(&run(&[licence], &fleet))[0], (3, 7, 0, Some(-1), Status::AtRisk));
}

#[test]
fn an_expired_entitlement_is_a_risk_as_long_as_something_is_installed() {
    let mut licence = licence("l", Some(5), &["app-1"]);
    licence.entitlements[0].expiry = Some("2026-05-31".parse().unwrap());
    let found = run(std::slice::from_ref(&licence), &[(1, None, &[0])]);
    assert_eq!(found.positions[0].status, Status::AtRisk);
    assert_eq!(found.positions[0].reason, "1 in use, and the last entitlement ended on 2026-05-31: renew it");
    assert_eq!(run(&[licence], &[(1, None, &[3])]).positions[0].status, Status::Compliant);
}

#[test]
fn what_no_licence_covers_is_counted_by_application() {
    let found = run(&[licence("l", Some(1), &["app-1"])], &[(1, None, &[0, 2]), (2, None, &[2, 2, 3])]);
    let unlicensed: Vec<_> = found.unlicensed.iter().map(|one| (one.application.as_str(), one.devices)).collect();
    assert_eq!(unlicensed, [("other", 2), ("tool", 1)]);
}

prop_compose! {
    fn any_licence()(
        id in "[a-d]",
        owned in prop::option::weighted(0.8, 0_u64..5),
        links in prop::collection::btree_map(0_usize..4, prop::option::of(1_u32..3), 0..4),
        tied in prop::collection::btree_map(0_u64..8, (0_u8..3, any::<bool>()), 0..3),
        exempts in any::<bool>(), multiple_use in any::<bool>(), consume in any::<bool>(), true_up in any::<bool>(),
        installs in 1_u32..4,
    ) -> Licence {
        let mut licence = licence(&id, owned, &[]);
        licence.links = links
            .into_iter()
            .map(|(place, priority)| Link { application: APPLICATIONS[place].parse().unwrap(), priority })
            .collect();
        licence.allocations = tied
            .into_iter()
            .map(|(device, (kind, is_exempt))| Allocation {
                device: DeviceId(device),
                kind: [AllocationKind::Allocated, AllocationKind::Awaiting, AllocationKind::Permanent][kind as usize],
                exemption: is_exempt.then_some(Exemption::OTHER),
            })
            .collect();
        if exempts {
            licence.exempt_roles.push(ExemptRole { role: "test".into(), reason: Exemption::OTHER });
        }
        (licence.multiple_use, licence.allocations_consume) = (multiple_use, consume);
        licence.true_up = true_up.then_some(TrueUp { until: None });
        licence.installs_per_right = NonZeroU32::new(installs).unwrap();
        licence
    }
}

fn any_fleet() -> impl Strategy<Value = Vec<(u64, Option<&'static str>, Vec<usize>)>> {
    let device = (prop::option::of(Just("test")), prop::collection::vec(0_usize..4, 0..5));
    let fleet = prop::collection::btree_map(0_u64..8, device, 0..8);
    fleet.prop_map(|fleet| fleet.into_iter().map(|(id, (role, places))| (id, role, places)).collect())
}

fn any_licences() -> impl Strategy<Value = Vec<Licence>> {
    prop::collection::vec(any_licence(), 0..4).prop_map(|mut licences| {
        licences.sort_by(|a, b| a.id.cmp(&b.id));
        licences.dedup_by(|a, b| a.id == b.id);
        licences
    })
}

proptest! {
    #[test]
    fn the_order_of_fleet_and_licences_changes_nothing(fleet in any_fleet(), licences in any_licences()) {
        let forwards: Vec<Spec<'_>> = fleet.iter().map(|(id, role, places)| (*id, *role, &places[..])).collect();
        let mut backwards = forwards.clone();
        backwards.reverse();
        let mut reversed = licences.clone();
        reversed.reverse();
        reversed.iter_mut().for_each(|licence| licence.allocations.reverse());
        prop_assert_eq!(run(&licences, &forwards), run(&reversed, &backwards));
    }

    #[test]
    fn every_installation_is_taken_once_or_unlicensed(fleet in any_fleet(), licences in any_licences()) {
        let specs: Vec<Spec<'_>> = fleet.iter().map(|(id, role, places)| (*id, *role, &places[..])).collect();
        let found = run(&licences, &specs);
        let mut taken: Vec<(DeviceId, String)> = found.consumptions.iter()
            .flat_map(|used| used.taken.iter().map(|taken| (taken.device, taken.application.to_string())))
            .collect();
        taken.sort_unstable();
        let mut expected: Vec<(DeviceId, String)> = fleet.iter()
            .flat_map(|(id, _, places)| places.iter().map(|&place| (DeviceId(*id), APPLICATIONS[place].to_owned())))
            .filter(|(_, application)| {
                licences.iter().any(|licence| licence.links.iter().any(|link| link.application.as_str() == application))
            })
            .collect();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(taken, expected);
    }

    #[test]
    fn the_working_adds_up_to_the_figure(fleet in any_fleet(), licences in any_licences()) {
        let specs: Vec<Spec<'_>> = fleet.iter().map(|(id, role, places)| (*id, *role, &places[..])).collect();
        let found = run(&licences, &specs);
        for ((used, position), licence) in found.consumptions.iter().zip(&found.positions).zip(&licences) {
            let of = |counts: &dyn Fn(&Unit) -> bool| {
                used.units.iter().filter(|unit| counts(unit)).map(|unit| u64::from(unit.consumed)).sum::<u64>()
            };
            let alone = of(&|unit| unit.reason == CountReason::NoInventory);
            let installed = of(&|unit| unit.reason != CountReason::NoInventory);
            prop_assert_eq!(used.consumed, installed.div_ceil(licence.installs_per_right.get().into()) + alone);
            prop_assert_eq!(used.raw, used.taken.len() as u64 + alone);
            prop_assert!(used.units.is_sorted_by(|a, b| a.device < b.device));
            prop_assert!(used.taken.is_sorted() && used.rejected.is_sorted());
            // A licence goes over its rights only by what was allocated to it or found no room anywhere.
            if let Quantity::Limited(total) = position.entitled
                && used.consumed > total && licence.true_up.is_none()
            {
                prop_assert!(alone > 0 || used.taken.iter().any(|taken| taken.how != How::Priority));
            }
        }
    }

    #[test]
    fn one_more_device_never_lowers_consumption(fleet in any_fleet(), places in prop::collection::vec(0_usize..4, 0..4)) {
        let licences = [licence("l", Some(3), &["app-1", "app-2"])];
        let mut specs: Vec<Spec<'_>> = fleet.iter().map(|(id, role, places)| (*id, *role, &places[..])).collect();
        let before = run(&licences, &specs).consumptions[0].consumed;
        specs.push((99, None, &places));
        prop_assert!(run(&licences, &specs).consumptions[0].consumed >= before);
    }
}
