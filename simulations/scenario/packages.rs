//! Which titles the machines of a fleet have installed: few on nearly all of them, most on few, as Zipf's law says.

use std::collections::BTreeSet;

use muster::rng::mix;
use serde::Deserialize;

use super::parts::Range;

/// Most titles of a fleet: each has a place in a table.
const TITLES_MAX: u32 = 1_000_000;
/// Most titles of a machine; the deployed server reads no more.
const PER_MACHINE_MAX: i64 = 50_000;
/// Bytes of a compressed inventory without titles, and of each title in it, as measured of true ones.
const HEAD_BYTES: u32 = 700;
const TITLE_BYTES: u32 = 9;

/// `[packages]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Packages {
    /// Distinct titles that there are.
    pub titles: u32,
    /// Titles of one machine.
    pub per_machine: Range,
    /// The n-th title is as frequent as 1 / n to this.
    pub exponent: f64,
}

impl Default for Packages {
    fn default() -> Packages {
        Packages { titles: 20_000, per_machine: Range([40, 400]), exponent: 1.1 }
    }
}

impl Packages {
    pub(super) fn problem(&self) -> Option<String> {
        let most = PER_MACHINE_MAX.min(i64::from(self.titles));
        if !(1..=TITLES_MAX).contains(&self.titles) {
            Some(format!("`titles` is {}, write 1 to {TITLES_MAX}", self.titles))
        } else if !(0.0..=8.0).contains(&self.exponent) {
            Some(format!("`exponent` is {}, write 0 for titles of one frequency to 8; 1.1 is usual", self.exponent))
        } else {
            self.per_machine.problem("per_machine", 0, most)
        }
    }

    /// How many titles a machine has.
    pub fn count(&self, seed: u64, machine: u32) -> u32 {
        self.per_machine.pick(mix(mix(seed, 61), u64::from(machine))) as u32
    }

    /// Bytes of an inventory with so many titles.
    pub fn bytes(&self, titles: u32) -> u32 {
        HEAD_BYTES + titles * TITLE_BYTES
    }

    /// A table from which titles are drawn: how often one of the first n is drawn.
    pub fn table(&self) -> Vec<f64> {
        let weights = (1..=self.titles).map(|rank| f64::from(rank).powf(-self.exponent));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        sums.collect()
    }

    /// The titles of a machine by their ranks from 0, ascending: drawn by the table, each once.
    pub fn of(&self, table: &[f64], seed: u64, machine: u32) -> BTreeSet<u32> {
        let wanted = self.count(seed, machine) as usize;
        let (all, mut titles) = (table.last().copied().unwrap_or(0.0), BTreeSet::new());
        let key = mix(mix(seed, 62), u64::from(machine));
        // A machine that has nearly every title would be drawn for long: it has the most frequent ones.
        for draw in 0..20 * wanted as u64 {
            if titles.len() == wanted {
                return titles;
            }
            let at = (mix(key, draw) >> 11) as f64 / (1u64 << 53) as f64 * all;
            titles.insert(table.partition_point(|sum| *sum <= at).min(table.len() - 1) as u32);
        }
        let missing: Vec<u32> =
            (0..self.titles).filter(|rank| !titles.contains(rank)).take(wanted - titles.len()).collect();
        titles.extend(missing);
        titles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_drawn_as_often_as_their_rank_says_and_each_once() {
        let packages = Packages { titles: 1_000, per_machine: Range([20, 60]), exponent: 1.0 };
        let table = packages.table();
        let mut machines_with = vec![0u32; 1_000];
        for machine in 0..2_000 {
            let titles = packages.of(&table, 1, machine);
            assert_eq!(titles.len() as u32, packages.count(1, machine));
            titles.into_iter().for_each(|title| machines_with[title as usize] += 1);
        }
        assert!(machines_with[0] > 1_900, "{}", machines_with[0]);
        let (tenth, hundredth) = (machines_with[9], machines_with[99]);
        assert!((6..14).contains(&(tenth / hundredth.max(1))), "{tenth} {hundredth}");
        assert!((1..50).contains(&machines_with[900]), "{}", machines_with[900]);
        let all = Packages { titles: 5, per_machine: Range([5, 5]), exponent: 8.0 };
        assert_eq!(all.of(&all.table(), 1, 1).len(), 5);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let problem = |packages: Packages| packages.problem().unwrap();
        let packages = Packages::default();
        assert_eq!(problem(Packages { titles: 0, ..packages.clone() }), "`titles` is 0, write 1 to 1000000");
        assert_eq!(
            problem(Packages { titles: 10, ..packages.clone() }),
            "`per_machine` is 40 to 400, write numbers from 0 to 10"
        );
        assert!(problem(Packages { exponent: -1.0, ..packages }).contains("write 0 for titles of one frequency"));
    }
}
