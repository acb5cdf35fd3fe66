//! What a record has said to be before: how a clone shows, when two machines report as one.
//!
//! A machine whose board was swapped or which was imaged anew says to be another one, once. Two machines that run from one
//! copied disk report by turns under one id, so what the record says to be comes back to what it was, or changes more often
//! than machines do. Only for records that change is something kept: nearly every one has none of this.

use serde::{Deserialize, Serialize};

use super::device::StrongKeys;
use crate::time::{DAY_MS, Timestamp};

/// Earlier identities that are kept of a record: so many machines can report by turns and are told.
const EARLIER_MAX: usize = 8;

/// So long is a record taken for a clone's after the last change.
const CLONE_MS: i64 = 30 * DAY_MS;

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identities {
    /// Those before the present one, each once, the latest last.
    earlier: Vec<StrongKeys>,
    /// How often an earlier one came back.
    returns: u32,
    /// How often it said to be another one than before.
    changes: u32,
    /// The date of the report that said so last.
    last_change: Option<Timestamp>,
}

impl Identities {
    /// Takes note of what a record says to be `now`, as of a report of `at`; it said to be `before` until then.
    pub fn note(&mut self, before: &StrongKeys, now: &StrongKeys, at: Timestamp) {
        if !before.contradict(now) {
            return;
        }
        // What a machine whose turns ended long ago said to be proves nothing any more.
        if self.last_change.is_some_and(|last| at.ms_since(last) > CLONE_MS) {
            *self = Identities::default();
        }
        self.changes = self.changes.saturating_add(1);
        self.last_change = Some(at);
        if let Some(place) = self.earlier.iter().position(|earlier| earlier.agree(now)) {
            self.earlier.remove(place);
            self.returns = self.returns.saturating_add(1);
        }
        self.earlier.retain(|earlier| !earlier.agree(before));
        if self.earlier.len() == EARLIER_MAX {
            self.earlier.remove(0);
        }
        self.earlier.push(before.clone());
    }

    /// Whether several machines report by turns, as of the record's date: one came back, or there were more changes than a
    /// machine has in a month.
    pub fn is_cloned(&self, as_of: Timestamp) -> bool {
        let is_fresh = self.last_change.is_some_and(|last| as_of.ms_since(last) <= CLONE_MS);
        is_fresh && (self.returns > 0 || self.changes as usize > EARLIER_MAX)
    }

    /// How many machines report under the one name at least; nine are told apart.
    pub fn machines(&self) -> usize {
        self.earlier.len() + 1
    }

    /// How often the record said to be another machine than before, and the date of the report that said so last.
    pub fn changes(&self) -> (u32, Option<Timestamp>) {
        (self.changes, self.last_change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(machine: &str, serial: &str) -> StrongKeys {
        let set = |text: &str| (!text.is_empty()).then(|| text.into());
        StrongKeys { machine_id: set(machine), trusted_serial_no: set(serial), ..StrongKeys::default() }
    }

    fn told(reports: &[(&str, &str)]) -> Identities {
        let mut identities = Identities::default();
        for (at, pair) in (2..).zip(reports.windows(2)) {
            let [before, now] = pair else { unreachable!() };
            identities.note(&keys(before.0, before.1), &keys(now.0, now.1), Timestamp(at));
        }
        identities
    }

    /// As of the last report.
    fn is_cloned(identities: &Identities) -> bool {
        identities.last_change.is_some_and(|last| identities.is_cloned(last))
    }

    #[test]
    fn two_machines_that_report_by_turns_are_told_by_the_first_return() {
        let once = told(&[("a", "1"), ("b", "2"), ("a", "1")]);
        assert_eq!((is_cloned(&once), once.machines(), once.changes()), (true, 2, (2, Some(Timestamp(3)))));
        let often = told(&[("a", "1"), ("b", "2"), ("a", "1"), ("b", "2"), ("b", "2"), ("a", "1")]);
        assert_eq!((often.machines(), often.returns, often.changes()), (2, 3, (4, Some(Timestamp(6)))));
    }

    #[test]
    fn a_swapped_board_and_a_new_image_are_no_clone() {
        assert!(!is_cloned(&told(&[("a", "1"), ("a", "2"), ("b", "2"), ("c", "3")])));
    }

    #[test]
    fn a_report_that_says_less_is_no_other_machine() {
        assert_eq!(told(&[("a", "1"), ("a", ""), ("", ""), ("a", "1")]), Identities::default());
        // What comes back has to say so, not only say nothing else.
        assert!(!is_cloned(&told(&[("a", ""), ("b", ""), ("", "9"), ("c", "1")])));
    }

    #[test]
    fn many_machines_are_told_although_none_comes_back_before_it_is_forgotten() {
        let names: Vec<String> = (0..100).map(|n| format!("m{}", n % 20)).collect();
        let reports: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let many = told(&reports);
        assert_eq!((is_cloned(&many), many.returns, many.machines()), (true, 0, EARLIER_MAX + 1));
        let three = [("a", ""), ("b", ""), ("c", "")];
        let turns: Vec<(&str, &str)> = (0..9).map(|n| three[n % 3]).collect();
        assert_eq!((told(&turns).machines(), told(&turns).returns), (3, 6));
    }

    #[test]
    fn a_clone_that_was_mended_is_one_no_more_after_a_month() {
        let (a, b) = (keys("a", ""), keys("b", ""));
        let mut identities = Identities::default();
        identities.note(&a, &b, Timestamp(0));
        identities.note(&b, &a, Timestamp(DAY_MS));
        assert!(identities.is_cloned(Timestamp(31 * DAY_MS)) && !identities.is_cloned(Timestamp(32 * DAY_MS)));
        // A board that is swapped then is no turn of that time.
        identities.note(&a, &b, Timestamp(40 * DAY_MS));
        assert!(!identities.is_cloned(Timestamp(40 * DAY_MS)));
    }
}
