//! What is held goes once its parent takes again, whatever the parent answered before and for how long, and is not sent
//! over and over until then.

use proptest::prelude::*;

use super::*;
use crate::time::HOUR_MS;

/// Every held package is final within this time on a hop once its parent takes. Source: delivery contract, I10.
const WITHIN_MS: i64 = 20 * MINUTE_MS;

fn busy(retry_after_ms: i64) -> Verdict {
    Verdict::Later { retry_after_ms: Some(retry_after_ms), broken: false }
}

/// Of 10 origins.
fn packages(count: u64) -> Vec<Waiting> {
    (0..count).map(|number| Waiting { origin: number % 10, ..package(number) }).collect()
}

/// A beacon with `count` packages whose parent answers `bad` for `bad_ms` and takes everything from then on; its questions
/// are answered. `pending_ms` is the longest wait that the last bad answer may have asked for.
fn drill(count: u64, bad: Verdict, bad_ms: i64, pending_ms: i64) -> Drill {
    let mut drill = Drill::new(1, packages(count));
    drill.run(bad_ms + pending_ms + WITHIN_MS, |at, package, _| match at < bad_ms && package != u64::MAX {
        true => bad,
        false => Verdict::Delivered,
    });
    drill
}

fn check(count: u64, bad: Verdict, bad_ms: i64, pending_ms: i64) -> Result<(), TestCaseError> {
    let drill = drill(count, bad, bad_ms, pending_ms);
    prop_assert_eq!(drill.released().len() as u64, count, "{:?} for {} ms", bad, bad_ms);
    prop_assert_eq!((drill.core.waiting(), drill.core.tries.len()), (0, 0), "nothing is kept of what went");
    let during = drill.sent().iter().filter(|(at, _)| *at < bad_ms).count() as i64;
    // What was under way, then one for each cycle at most.
    let most = PARALLEL_MAX as i64 + bad_ms / pending_ms.clamp(MINUTE_MS, 5 * MINUTE_MS) + 2;
    prop_assert!(during <= most, "{during} sends while nothing was taken, {most} are enough");
    let most = count as usize + during as usize + 20;
    prop_assert!(drill.sent().len() <= most, "{} sends, {most} are enough", drill.sent().len());
    Ok(())
}

#[test]
fn what_waited_for_a_busy_parent_goes_once_it_takes_however_many_there_are() {
    for count in [1, 5, 20, 200, 1_000] {
        check(count, busy(MINUTE_MS), 10 * MINUTE_MS, MINUTE_MS).unwrap();
        check(count, busy(MINUTE_MS), 60 * MINUTE_MS, MINUTE_MS).unwrap();
    }
}

#[test]
fn what_waited_for_an_identity_goes_once_it_is_accepted() {
    for count in [1, 20, 500] {
        check(count, Verdict::Unidentified, 60 * MINUTE_MS, 6 * HOUR_MS).unwrap();
        check(count, Verdict::Revoked, 60 * MINUTE_MS, 24 * HOUR_MS).unwrap();
    }
}

#[test]
fn eight_answers_that_the_identity_is_unknown_are_one_and_the_first_wait_is_short() {
    let drill = drill(100, Verdict::Unidentified, MINUTE_MS, 6 * MINUTE_MS);
    let again = drill.sent().iter().map(|(at, _)| *at).find(|at| *at > MINUTE_MS).unwrap();
    assert!(again < 7 * MINUTE_MS, "five minutes and a cycle: {again}");
}

#[test]
fn a_parent_that_is_back_gets_more_with_each_package_that_it_takes() {
    let drill = drill(100, busy(MINUTE_MS), 2 * MINUTE_MS, MINUTE_MS);
    let back: Vec<i64> = drill.sent().iter().map(|(at, _)| *at).filter(|at| *at >= 2 * MINUTE_MS).collect();
    let at = |ms: i64| back.iter().filter(|at| **at == back[0] + ms).count();
    assert_eq!([at(0), at(1), at(2), at(3), at(4)], [1, 2, 4, 8, 8]);
}

#[test]
fn a_package_that_alone_is_told_to_wait_delays_the_others_by_few_waits() {
    let mut drill = Drill::new(1, packages(500));
    drill.run(HOUR_MS, |_, package, _| if package == 0 { busy(MINUTE_MS) } else { Verdict::Delivered });
    let last = drill.sent().iter().filter(|(_, package)| *package != 0).map(|(at, _)| *at).max().unwrap();
    assert_eq!(drill.released().len(), 499);
    assert!(last < 10 * MINUTE_MS, "{last}");
    let tries = drill.sent().iter().filter(|(at, package)| *package == 0 && *at <= last).count();
    assert!(tries < 8, "{tries} tries until then");
}

#[test]
fn packages_that_go_in_a_circle_alone_stop_nobody_and_end_in_quarantine() {
    // Anybody can send such ones; new ones arrive between.
    let mut drill = Drill::new(2, packages(200));
    let is_poison = |package: u64| package % 40 < 2;
    drill.run(HOUR_MS, |_, package, _| match is_poison(package) && package != u64::MAX {
        true => Verdict::Loop,
        false => Verdict::Delivered,
    });
    let poison: Vec<u64> = (0..200).filter(|package| is_poison(*package)).collect();
    let mut aside = drill.aside();
    aside.sort_unstable();
    assert_eq!((drill.released().len(), aside), (190, poison));
    let last = drill.sent().iter().filter(|(_, package)| !is_poison(*package)).map(|(at, _)| *at).max().unwrap();
    assert!(last < 10 * MINUTE_MS, "{last}");
}

#[test]
fn a_parent_that_is_below_takes_no_package_with_it() {
    // All go in a circle at the first parent; the second takes them.
    let mut drill = Drill::new(2, packages(100));
    drill.run(HOUR_MS, |_, package, to| match to == 0 && package != u64::MAX {
        true => Verdict::Loop,
        false => Verdict::Delivered,
    });
    assert_eq!((drill.released().len(), drill.aside()), (100, vec![]));
}

#[test]
fn a_package_that_cannot_be_read_now_is_tried_again_and_no_parent_is_blamed() {
    let mut drill = Drill::new(1, packages(3));
    drill.core.wake(START.plus_ms(7_000), &mut drill.out);
    let sent: Vec<IntentNumber> = drill.out.take().iter().map(|(number, _)| *number).collect();
    let now = START.plus_ms(7_001);
    // Two questions come first.
    for intent in &sent[2..] {
        drill.core.on(now, BeaconInput::Postponed { intent: *intent }, &mut drill.out);
    }
    assert_eq!((drill.out.take(), drill.core.waiting()), (vec![], 3), "not at once");
    assert_eq!(drill.core.parents.next(now), Some((parent(0), false)));
    drill.now = now;
    drill.run(5 * MINUTE_MS, |_, _, _| Verdict::Delivered);
    assert_eq!(drill.released().len(), 3);
}

#[test]
fn one_package_of_another_origin_does_not_wait_for_thousands() {
    let of = |number, origin| Waiting { origin, ..package(number) };
    let mut held: Vec<Waiting> = (0..5_000).map(|number| of(number, 1)).collect();
    held.push(of(5_000, 2));
    held.extend((5_001..5_011).map(|number| of(number, 3)));
    let mut drill = Drill::new(1, held);
    drill.run(59_000, |_, _, _| Verdict::Delivered);
    let order: Vec<u64> = drill.sent().iter().map(|(_, package)| *package).collect();
    assert_eq!(order[..5], [0, 5_000, 5_001, 1, 5_002]);
    assert_eq!(drill.released().len(), 5_011);
}

#[test]
fn a_link_that_loses_two_of_three_is_no_reason_to_forget_any() {
    let held = (0..3_000).map(|number| Waiting { origin: number % 3, ..package(number) });
    let mut drill = Drill::new(1, held.collect());
    let (bad_ms, mut turn) = (3 * HOUR_MS, 0);
    drill.run(bad_ms + HOUR_MS, |at, package, _| {
        turn += u64::from(package != u64::MAX);
        match at < bad_ms && package != u64::MAX && turn % 3 > 0 {
            true => Verdict::Later { retry_after_ms: None, broken: true },
            false => Verdict::Delivered,
        }
    });
    assert_eq!((drill.released().len(), drill.core.waiting()), (3_000, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_parent_answered_for_however_long_all_goes_once_it_takes(
        count in 0..5_000u64, bad_ms in 0..(12 * HOUR_MS), retry_after_ms in 1_000..HOUR_MS, kind in 0..4
    ) {
        match kind {
            0 | 1 => check(count, busy(retry_after_ms), bad_ms, retry_after_ms)?,
            2 => check(count, Verdict::Unidentified, bad_ms, 6 * HOUR_MS)?,
            _ => check(count, Verdict::Full, bad_ms, MINUTE_MS)?,
        }
    }

    #[test]
    fn a_parent_that_takes_now_and_then_is_not_flooded_and_all_goes_once_it_takes(
        count in 0..3_000u64, bad_ms in 0..(2 * HOUR_MS), retry_after_ms in 1_000..(10 * MINUTE_MS),
        answers in prop::collection::vec(0..5u8, 1..200)
    ) {
        let mut drill = Drill::new(1, packages(count));
        let mut turn = 0;
        drill.run(bad_ms + retry_after_ms + WITHIN_MS, |at, package, _| {
            if at >= bad_ms || package == u64::MAX {
                return Verdict::Delivered;
            }
            turn += 1;
            match answers[turn % answers.len()] {
                0 => busy(retry_after_ms),
                1 => Verdict::Later { retry_after_ms: None, broken: true },
                2 => Verdict::Full,
                _ => Verdict::Delivered,
            }
        });
        prop_assert_eq!((drill.released().len() as u64, drill.core.waiting()), (count, 0));
        // Each goes three times at most for nothing; beyond that the budget pays, and a wait or cycle each probe.
        let most = 3 * count as i64 + 10 + count as i64 / 10 + 3 * (bad_ms + retry_after_ms + WITHIN_MS) / MINUTE_MS;
        prop_assert!((drill.sent().len() as i64) <= most, "{} sends, at most {most}", drill.sent().len());
    }
}
