//! Crash points: a run is stopped before each of its disk calls in turn, started again on every disk that the power
//! cut may leave, and checked against what had been answered.
//!
//! Source: delivery contract, section 6, crash-point test and I/O fault test.

use bytes::Bytes;
use muster::rng::RngStream;
use muster::time::Timestamp;

use crate::disk::{Fault, SimDisk};

/// One run on a disk, and what must hold of any disk it may leave behind.
pub trait Trial {
    /// What was answered during the run: receipts, commits.
    type Answered: Default;

    /// Runs from start to end, or to the first call that fails; notes each answer the moment it is given.
    fn run(&self, disk: &SimDisk, answered: &mut Self::Answered);

    /// Starts again on `disk` and checks it against the answers. The text says what is broken.
    fn check(&self, disk: &SimDisk, answered: &Self::Answered) -> Result<(), String>;
}

/// How much was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Places at which the run was stopped.
    pub points: u64,
    /// Disks started from.
    pub disks: u64,
}

/// Cuts the power before every call of `trial` and checks every disk that may be found, and the killed process's disk.
pub fn every_power_cut<T: Trial>(trial: &T) -> Result<Tried, String> {
    let mut tried = Tried::default();
    let mut rng = RngStream::new(1, 1, 0);
    let whole = SimDisk::default();
    trial.run(&whole, &mut T::Answered::default());
    for calls in 0..=whole.calls() {
        let disk = SimDisk::default();
        disk.cut_power_at(calls);
        let mut answered = T::Answered::default();
        trial.run(&disk, &mut answered);
        tried.points += 1;
        for (number, found) in disk.outcomes(&mut rng).into_iter().chain([disk.killed()]).enumerate() {
            tried.disks += 1;
            trial
                .check(&found, &answered)
                .map_err(|broken| format!("cut after call {calls}, outcome {number}: {broken}"))?;
        }
    }
    Ok(tried)
}

/// Fails the n-th call for every n in each of the ways a disk fails, lets the run end, kills it, and checks.
pub fn every_fault<T: Trial>(trial: &T) -> Result<Tried, String> {
    let mut tried = Tried::default();
    let mut rng = RngStream::new(2, 1, 0);
    let whole = SimDisk::default();
    trial.run(&whole, &mut T::Answered::default());
    for call in 1..=whole.calls() {
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
            let disk = SimDisk::default();
            disk.fail_at(call, fault);
            let mut answered = T::Answered::default();
            trial.run(&disk, &mut answered);
            tried.points += 1;
            for (number, found) in disk.outcomes(&mut rng).into_iter().chain([disk.killed()]).enumerate() {
                tried.disks += 1;
                let broken = |broken| format!("{fault:?} at call {call}, outcome {number}: {broken}");
                trial.check(&found, &answered).map_err(broken)?;
            }
        }
    }
    Ok(tried)
}

/// A body of `bytes` bytes that is like no other.
pub fn body(number: u64, bytes: usize) -> Bytes {
    let mut rng = RngStream::new(number, 0, 0);
    (0..bytes).map(|_| rng.bits() as u8).collect()
}

/// The simulated present of a trial's `step`-th step.
pub fn at(step: u64) -> Timestamp {
    Timestamp(1_700_000_000_000 + step as i64)
}

#[cfg(test)]
mod whole_way;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use muster_actors::log::{Facts, Packages, Position, Taken};

    use super::*;

    /// Small segments, so that sealing and compaction are among the crash points.
    const SEGMENT_BYTES: u64 = 700;

    fn key(number: u64) -> Bytes {
        format!("package-{number}").into_bytes().into()
    }

    /// Holds packages in groups, releases the older ones, compacts.
    struct HoldAndRelease;

    #[derive(Default)]
    struct Custody {
        receipts: BTreeMap<u64, bool>,
    }

    impl Trial for HoldAndRelease {
        type Answered = Custody;

        fn run(&self, disk: &SimDisk, answered: &mut Custody) {
            let Ok((mut packages, _)) = Packages::open(Arc::new(disk.clone()), SEGMENT_BYTES, 7) else { return };
            for group in 0..6u64 {
                let mut taken = Vec::new();
                for number in group * 2..group * 2 + 2 {
                    let body = body(number, 150 + 40 * number as usize % 300);
                    if packages.hold(at(number), key(number), Bytes::from_static(b"envelope"), body).is_ok() {
                        taken.push(number);
                    }
                }
                if packages.sync().is_err() {
                    continue;
                }
                answered.receipts.extend(taken.into_iter().map(|number| (number, false)));
                // Delivered to the parent: the receipt there lets this node let go.
                for number in (0..group * 2).filter(|number| number % 3 != 0) {
                    let held = packages.index().find(&key(number)).is_some();
                    if held {
                        answered.receipts.insert(number, true);
                        if packages.release(at(number), &key(number), true).is_err() {
                            return;
                        }
                    }
                }
                if packages.sync().is_err() || packages.compact(at(group)).is_err() {
                    return;
                }
            }
        }

        fn check(&self, disk: &SimDisk, answered: &Custody) -> Result<(), String> {
            let (mut packages, recovery) = Packages::open(Arc::new(disk.clone()), SEGMENT_BYTES, 8)
                .map_err(|error| format!("start fails: {error}"))?;
            if !recovery.rotten.is_empty() || !recovery.set_aside.is_empty() {
                return Err(format!("I5: a crash must not look like rot: {recovery:?}"));
            }
            let index = packages.index();
            for (&number, &released) in &answered.receipts {
                match (index.find(&key(number)), released) {
                    (None, false) => return Err(format!("I1: package {number} had a receipt and is gone")),
                    (None, true) => {}
                    (Some(held), _) => {
                        let read = index.read(held.handle).expect("held").map_err(|e| format!("I3: {number}: {e}"))?;
                        if read.body != body(number, 150 + 40 * number as usize % 300) || read.head != b"envelope"[..] {
                            return Err(format!("I6: package {number} has other bytes"));
                        }
                    }
                }
            }
            for held in index.after(None, usize::MAX) {
                index
                    .read(held.handle)
                    .expect("held")
                    .map_err(|error| format!("I5: something torn is held: {error}"))?;
            }
            // I15: what is there can be built upon, and a second recovery finds the same.
            let number = 99;
            let taken = packages.hold(at(number), key(number), Bytes::new(), body(number, 100));
            if !matches!(taken, Ok(Taken::New)) || packages.sync().is_err() {
                return Err("the recovered log takes nothing".into());
            }
            let keys = |packages: &Packages| -> Vec<_> {
                packages.index().after(None, usize::MAX).into_iter().map(|held| held.key).collect()
            };
            let (again, _) =
                Packages::open(Arc::new(disk.killed()), SEGMENT_BYTES, 9).map_err(|error| error.to_string())?;
            if keys(&again) != keys(&packages) {
                return Err("I15: recovery twice is not recovery once".into());
            }
            Ok(())
        }
    }

    #[test]
    fn every_power_cut_while_holding_and_releasing_keeps_what_had_a_receipt() {
        let tried = every_power_cut(&HoldAndRelease).unwrap();
        assert!(tried.points > 60 && tried.disks > 1_000, "{tried:?}");
    }

    #[test]
    fn no_failing_disk_call_turns_into_a_receipt_that_is_not_true() {
        let tried = every_fault(&HoldAndRelease).unwrap();
        assert!(tried.points > 180, "{tried:?}");
    }

    /// Commits pairs of facts that must never be seen apart, overwrites and removes them, compacts.
    struct CommitPairs;

    /// For each pair the last value whose commit was answered, and the last one that was asked for.
    #[derive(Default)]
    struct Commits {
        answered: BTreeMap<u64, Option<u64>>,
        asked: BTreeMap<u64, Vec<Option<u64>>>,
    }

    fn pair(number: u64, value: Option<u64>) -> Vec<(Bytes, Option<Bytes>)> {
        let value = value.map(|value| Bytes::from(format!("{value:>90}")));
        ["left", "right"].map(|side| (Bytes::from(format!("{side}/{number}")), value.clone())).into()
    }

    impl Trial for CommitPairs {
        type Answered = Commits;

        fn run(&self, disk: &SimDisk, answered: &mut Commits) {
            let Ok((mut facts, _)) = Facts::open(Arc::new(disk.clone()), SEGMENT_BYTES, 7) else { return };
            for step in 0..14u64 {
                let number = step % 4;
                let value = (step % 5 != 4).then_some(step);
                answered.asked.entry(number).or_default().push(value);
                let Ok(position) = facts.commit(at(step), pair(number, value)) else { return };
                if facts.sync().is_err() {
                    return;
                }
                answered.asked.insert(number, Vec::new());
                answered.answered.insert(number, value);
                if step % 3 == 2 {
                    facts.index().cover(position.expect("two facts"));
                }
                if step % 3 == 2 && facts.compact(at(step)).is_err() {
                    return;
                }
            }
        }

        fn check(&self, disk: &SimDisk, answered: &Commits) -> Result<(), String> {
            let (facts, recovery) = Facts::open(Arc::new(disk.clone()), SEGMENT_BYTES, 8)
                .map_err(|error| format!("start fails: {error}"))?;
            if !recovery.rotten.is_empty() || !recovery.set_aside.is_empty() {
                return Err(format!("a crash must not look like rot: {recovery:?}"));
            }
            let index = facts.index();
            for number in 0..4 {
                let read = |side: &str| index.get(format!("{side}/{number}").as_bytes()).map_err(|e| e.to_string());
                let (left, right) = (read("left")?, read("right")?);
                if left != right {
                    return Err(format!("pair {number} was torn apart: {left:?} and {right:?}"));
                }
                let value = |text: Bytes| String::from_utf8_lossy(&text).trim().parse::<u64>().expect("a number");
                let found = left.map(value);
                let last = answered.answered.get(&number).copied().flatten();
                let asked = answered.asked.get(&number).map_or(&[][..], |asked| asked);
                if found != last && !asked.contains(&found) {
                    return Err(format!("pair {number} is {found:?}, committed {last:?}, asked {asked:?}"));
                }
            }
            Ok(())
        }
    }

    #[test]
    fn every_power_cut_while_committing_leaves_whole_commits_and_all_that_were_answered() {
        let tried = every_power_cut(&CommitPairs).unwrap();
        assert!(tried.points > 60 && tried.disks > 500, "{tried:?}");
        every_fault(&CommitPairs).unwrap();
    }

    #[test]
    fn a_trial_that_answers_before_the_sync_is_found_out() {
        struct Hasty;
        impl Trial for Hasty {
            type Answered = Custody;
            fn run(&self, disk: &SimDisk, answered: &mut Custody) {
                let Ok((mut packages, _)) = Packages::open(Arc::new(disk.clone()), SEGMENT_BYTES, 7) else { return };
                for number in 0..3 {
                    let body = body(number, 150 + 40 * number as usize % 300);
                    if packages.hold(at(number), key(number), Bytes::from_static(b"envelope"), body).is_ok() {
                        answered.receipts.insert(number, false);
                    }
                    let _ = packages.sync();
                }
            }
            fn check(&self, disk: &SimDisk, answered: &Custody) -> Result<(), String> {
                HoldAndRelease.check(disk, answered)
            }
        }
        assert!(every_power_cut(&Hasty).unwrap_err().contains("I1"));
    }

    #[test]
    fn a_covered_view_is_what_lets_facts_be_compacted() {
        let disk = SimDisk::default();
        let (mut facts, _) = Facts::open(Arc::new(disk.clone()), SEGMENT_BYTES, 7).unwrap();
        let mut last = Position::default();
        for step in 0..40 {
            last = facts.commit(at(step), pair(0, Some(step))).unwrap().unwrap();
            facts.sync().unwrap();
            assert_eq!(facts.compact(at(step)).unwrap().0, 0, "the view covers nothing yet");
        }
        let before = disk.files().len();
        facts.index().cover(last);
        while facts.compact(at(50)).unwrap().0 > 0 {}
        assert!(disk.files().len() < before / 2, "{} of {before} segments left", disk.files().len());
        assert!(facts.index().get(b"left/0").unwrap().is_some());
    }
}
