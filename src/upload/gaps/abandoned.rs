//! Numbers that were used and will never come: what an agent gave up. Told with each policy question, so that the server
//! can say of every number what became of it. Source: delivery contract, section 2 (`refused/`) and invariant I7.

use serde::{Deserialize, Serialize};

use crate::formats::marks::{Mark, NUMBERS_MAX};

/// Most ranges of one kind that are remembered of an agent; beyond, the first in order go.
pub const ABANDONED_MAX: usize = 64;

/// What one agent gave up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// No node will take it, or it was damaged before one did.
    refused: Numbers,
    /// A later report took its place.
    superseded: Numbers,
}

/// Ranges by stream and epoch: ascending, apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Numbers(Vec<Mark>);

impl Abandoned {
    /// What no node will take.
    pub fn refused(&self) -> &Numbers {
        &self.refused
    }

    /// What a later report took the place of.
    pub fn superseded(&self) -> &Numbers {
        &self.superseded
    }

    /// Adds refused numbers. What was refused is not superseded.
    pub fn refuse(&mut self, mark: Mark) {
        self.refused.add(mark);
    }

    /// Adds superseded numbers.
    pub fn supersede(&mut self, mark: Mark) {
        self.superseded.add(mark);
    }

    /// Whether nothing was given up.
    pub fn is_empty(&self) -> bool {
        self.refused.0.is_empty() && self.superseded.0.is_empty()
    }
}

impl Numbers {
    /// As they are told: no mark has more numbers than one may have.
    pub fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::with_capacity(self.0.len());
        for range in &self.0 {
            let mut first = range.first;
            // An agent that gave up more than so many in a row tells of the last of them.
            first = first.max(range.last.saturating_sub(NUMBERS_MAX * ABANDONED_MAX as u64 - 1));
            while first <= range.last {
                let last = range.last.min(first.saturating_add(NUMBERS_MAX - 1));
                marks.push(Mark { first, last, ..range.clone() });
                let Some(next) = last.checked_add(1) else { break };
                first = next;
            }
        }
        marks
    }

    /// The ranges.
    pub fn ranges(&self) -> &[Mark] {
        &self.0
    }

    fn add(&mut self, mut mark: Mark) {
        let touches = |known: &Mark, mark: &Mark| {
            known.stream == mark.stream
                && known.epoch == mark.epoch
                && known.first <= mark.last.saturating_add(1)
                && mark.first <= known.last.saturating_add(1)
        };
        // What touches it stands together, and becomes one.
        let at = self.0.iter().position(|known| touches(known, &mark));
        while let Some(known) = at.and_then(|at| self.0.get(at)).filter(|known| touches(known, &mark)) {
            (mark.first, mark.last) = (mark.first.min(known.first), mark.last.max(known.last));
            self.0.remove(at.unwrap_or_default());
        }
        let at = self.0.partition_point(|known| *known < mark);
        self.0.insert(at, mark);
        if self.0.len() > ABANDONED_MAX {
            self.0.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::formats::marks::{marks_text, read_marks};

    fn mark(stream: u8, epoch: u64, first: u64, last: u64) -> Mark {
        Mark { stream: format!("Inventories/{stream}/Full").into(), epoch, first, last }
    }

    proptest! {
        #[test]
        fn ranges_are_the_set_of_what_was_added_and_are_told_whole(
            added in prop::collection::vec((0..2u8, 1..3u64, 1..60u64, 0..6u64), 0..40)
        ) {
            let (mut numbers, mut model) = (Numbers::default(), BTreeSet::new());
            for (stream, epoch, first, more) in added {
                numbers.add(mark(stream, epoch, first, first + more));
                model.extend((first..=first + more).map(|number| (mark(stream, epoch, 1, 1).stream, epoch, number)));
            }
            let of = |marks: &[Mark]| -> Vec<_> {
                let each = marks.iter().flat_map(|m| (m.first..=m.last).map(|number| (m.stream.clone(), m.epoch, number)));
                each.collect()
            };
            prop_assert_eq!(of(numbers.ranges()), model.iter().cloned().collect::<Vec<_>>());
            prop_assert!(numbers.ranges().len() <= ABANDONED_MAX);
            prop_assert!(numbers.ranges().windows(2).all(|two| two[0].stream != two[1].stream
                || two[0].epoch != two[1].epoch || two[0].last + 1 < two[1].first));
            let (read, bad) = read_marks(&marks_text(&numbers.marks()));
            prop_assert_eq!((of(&read), bad), (of(numbers.ranges()), 0));
        }
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered_and_to_what_one_mark_says() {
        let mut numbers = Numbers::default();
        (0..100).for_each(|n| numbers.add(mark(0, 1, 1 + 10 * n, 2 + 10 * n)));
        assert_eq!((numbers.ranges().len(), numbers.ranges()[0].first), (ABANDONED_MAX, 361));
        let mut numbers = Numbers::default();
        numbers.add(mark(0, 1, 1, u64::MAX));
        numbers.add(mark(0, 1, u64::MAX, u64::MAX));
        let marks = numbers.marks();
        assert_eq!((marks.len(), marks[0].last - marks[0].first + 1), (ABANDONED_MAX, NUMBERS_MAX));
        assert_eq!(marks.last().unwrap().last, u64::MAX);
    }
}
