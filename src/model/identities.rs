//! What a record has said to be before: how a clone shows, when two machines report as one.
//!
//! A machine whose board was swapped or which was imaged anew says to be another one, once. Two machines that run from one copied disk
//! report by turns under one id, so what the record says to be comes back to what it was. Only then is there something to
//! keep: nearly every record has none of this.

use serde::{Deserialize, Serialize};

use super::device::StrongKeys;
use crate::time::Timestamp;

/// Earlier identities that are kept of a record: so many machines can report by turns and are told.
const EARLIER_MAX: usize = 8;

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identities {
    /// Those before the present one, each once, the latest last.
    earlier: Vec<StrongKeys>,
    /// How often an earlier one came back.
    returns: u32,
    /// The date of the report by which one came back last.
    last_return: Option<Timestamp>,
}

impl Identities {
    /// Takes note of what a record says to be `now`, as of a report of `at`; it said to be `before` until then.
    pub fn note(&mut self, before: &StrongKeys, now: &StrongKeys, at: Timestamp) {
        if !before.contradict(now) {
            return;
        }
        if let Some(place) = self.earlier.iter().position(|earlier| earlier.agree(now)) {
            self.earlier.remove(place);
            self.returns = self.returns.saturating_add(1);
            self.last_return = Some(at);
        }
        self.earlier.retain(|earlier| !earlier.agree(before));
        if self.earlier.len() == EARLIER_MAX {
            self.earlier.remove(0);
        }
        self.earlier.push(before.clone());
    }

    /// How many machines report under the one name, as far as is known; 0 when nothing has come back.
    pub fn machines(&self) -> usize {
        if self.is_cloned() { self.earlier.len() + 1 } else { 0 }
    }

    /// Whether several machines report by turns.
    pub fn is_cloned(&self) -> bool {
        self.returns > 0
    }

    /// How often an earlier identity came back, and the date of the report in which one did last.
    pub fn returns(&self) -> (u32, Option<Timestamp>) {
        (self.returns, self.last_return)
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

    #[test]
    fn two_machines_that_report_by_turns_are_told_by_the_first_return() {
        let once = told(&[("a", "1"), ("b", "2"), ("a", "1")]);
        assert_eq!((once.machines(), once.returns()), (2, (1, Some(Timestamp(3)))));
        let often = told(&[("a", "1"), ("b", "2"), ("a", "1"), ("b", "2"), ("b", "2"), ("a", "1")]);
        assert_eq!((often.machines(), often.returns()), (2, (3, Some(Timestamp(6)))));
    }

    #[test]
    fn a_swapped_board_and_a_new_image_are_no_clone() {
        let swapped = told(&[("a", "1"), ("a", "2"), ("b", "2"), ("c", "3")]);
        assert_eq!((swapped.is_cloned(), swapped.machines()), (false, 0));
    }

    #[test]
    fn a_report_that_says_less_is_no_other_machine() {
        assert_eq!(told(&[("a", "1"), ("a", ""), ("", ""), ("a", "1")]), Identities::default());
        // What comes back has to say so, not only say nothing else.
        assert!(!told(&[("a", ""), ("b", ""), ("", "9"), ("c", "1")]).is_cloned());
    }

    #[test]
    fn many_machines_are_all_told_and_what_is_kept_is_bounded() {
        let names: Vec<String> = (0..100).map(|n| format!("m{}", n % 20)).collect();
        let reports: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(told(&reports).earlier.len(), EARLIER_MAX);
        let three = [("a", ""), ("b", ""), ("c", "")];
        let turns: Vec<(&str, &str)> = (0..9).map(|n| three[n % 3]).collect();
        assert_eq!((told(&turns).machines(), told(&turns).returns().0), (3, 6));
    }
}
