//! The policies that a run's server gives out, one after another.
//!
//! Each fault of policy begins a revision and ends with another, which is as the first one was. All of it is known before
//! the run, so agents of a million hold a number.

use muster::time::Timestamp;

use crate::scenario::{FaultKind, Scenario};

/// Most changes of one run: every one of them is kept for every leaf.
const CHANGES_MAX: usize = 32;

/// See the module's head.
pub struct Policies {
    /// From when each is given out, and what is wrong with it; the first one is revision 1.
    revisions: Vec<(Timestamp, Option<FaultKind>)>,
}

impl Policies {
    /// The policies of a run.
    pub fn new(seed: u64, scenario: &Scenario) -> Policies {
        let mut windows = Vec::new();
        for (place, fault) in scenario.faults.iter().enumerate().filter(|(_, fault)| fault.kind.is_of_policy()) {
            for period in 0.. {
                let begins = scenario.start.plus_ms(fault.period_ms().unwrap_or(0).saturating_mul(period as i64));
                if begins >= scenario.heal || (period > 0 && fault.period_ms().is_none()) {
                    break;
                }
                if let Some((from, to)) = fault.window(seed, place, 0, period) {
                    let (from, to) = (scenario.start.plus_ms(from), scenario.start.plus_ms(to).min(scenario.heal));
                    if from < to {
                        windows.push((from, to, fault.kind));
                    }
                }
            }
        }
        windows.sort_unstable();
        windows.truncate(CHANGES_MAX);
        let mut moments: Vec<Timestamp> = windows.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
        moments.sort_unstable();
        moments.dedup();
        let wrong_at = |at: Timestamp| {
            let mut lasting = windows.iter().filter(|(from, to, _)| (*from..*to).contains(&at));
            lasting.next_back().map(|(_, _, kind)| *kind)
        };
        let later = moments.into_iter().filter(|at| *at > scenario.start).map(|at| (at, wrong_at(at)));
        let revisions = std::iter::once((scenario.start, wrong_at(scenario.start))).chain(later).collect();
        Policies { revisions }
    }

    /// The revision that the server gives out.
    pub fn revision_at(&self, now: Timestamp) -> u32 {
        self.revisions.partition_point(|(from, _)| *from <= now).max(1) as u32
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.revisions.len() as u32
    }

    /// What is wrong with one of them; nothing is with revision 0, which is none.
    pub fn wrong(&self, revision: u32) -> Option<FaultKind> {
        self.revisions.get(revision.checked_sub(1)? as usize)?.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::config::Document;

    #[test]
    fn a_change_and_its_end_are_a_revision_each() {
        let text = "[[fault]]\nkind='list-empty'\nof='server'\nat_secs=100\nfor_secs=50\n\
                    [[fault]]\nkind='policy-herd'\nof='server'\nat_secs=120\nfor_secs=100\n";
        let scenario = Scenario::read(&Document { text, file: "s" }, Default::default()).unwrap();
        let policies = Policies::new(1, &scenario);
        let at = |secs: i64| policies.wrong(policies.revision_at(scenario.start.plus_ms(secs * 1_000)));
        assert_eq!([at(0), at(99), at(100)], [None, None, Some(FaultKind::ListEmpty)]);
        assert_eq!([at(120), at(150), at(219)], [Some(FaultKind::PolicyHerd); 3]);
        assert_eq!((at(220), policies.count(), policies.wrong(0)), (None, 5, None));
    }
}
