//! Chains of devices: which ones hang together because sets hit several of them.
//!
//! Source: matching reference, section 7, step 4, and its forbidden pairs.

use std::collections::{BTreeMap, BTreeSet};

use super::forbidden::Forbidden;

/// Numbers 0..n joined into sets; the name of a set is its smallest number.
pub(super) struct Joined {
    /// A smaller number of the same set, or the number itself when it is the smallest.
    parent: Vec<usize>,
}

impl Joined {
    pub(super) fn new(count: usize) -> Joined {
        Joined { parent: (0..count).collect() }
    }

    /// The smallest number joined with this one. Halves the path on its way, so that it stays short.
    pub(super) fn first_of(&mut self, mut number: usize) -> usize {
        while self.parent[number] != number {
            self.parent[number] = self.parent[self.parent[number]];
            number = self.parent[number];
        }
        number
    }

    /// Joins the sets of two numbers; returns the smallest number of both.
    pub(super) fn join(&mut self, a: usize, b: usize) -> usize {
        let (a, b) = (self.first_of(a), self.first_of(b));
        self.parent[a.max(b)] = a.min(b);
        a.min(b)
    }
}

/// Devices that sets hang together at one Matcher, as far as forbidden pairs allow.
pub(super) struct Chains<'a> {
    forbidden: &'a Forbidden,
    joined: Joined,
    /// Per first device: the records of forbidden pairs in its chain.
    holds: BTreeMap<usize, BTreeSet<usize>>,
    /// Devices that were hit.
    hit: BTreeSet<usize>,
    /// Sets with the smallest device each of them hit.
    sets: Vec<(usize, usize)>,
}

/// One chain.
pub(super) struct Chain {
    /// Ascending.
    pub(super) devices: Vec<usize>,
    /// Ascending, each with the smallest device it hit.
    pub(super) sets: Vec<(usize, usize)>,
}

impl<'a> Chains<'a> {
    /// No chains yet; `holds` names the records of forbidden pairs that devices hold already.
    pub(super) fn new(forbidden: &'a Forbidden, devices: usize, holds: BTreeMap<usize, BTreeSet<usize>>) -> Chains<'a> {
        Chains { forbidden, joined: Joined::new(devices), holds, hit: BTreeSet::new(), sets: Vec::new() }
    }

    /// Lets a set with the records `apart` hit `device`; `smallest` is the smallest device it hit so far. Refused
    /// (false) when that would bring a forbidden pair together.
    pub(super) fn join(&mut self, apart: &BTreeSet<usize>, smallest: &mut Option<usize>, device: usize) -> bool {
        let there = self.joined.first_of(device);
        let here = smallest.map(|known| self.joined.first_of(known));
        if here != Some(there) {
            let nothing = BTreeSet::new();
            let held = |chain: &usize| self.holds.get(chain).unwrap_or(&nothing);
            let own = here.as_ref().map_or(apart, held);
            if self.forbidden.part(own, held(&there)) {
                return false;
            }
            let together: BTreeSet<usize> = own.union(held(&there)).copied().collect();
            let first = self.joined.join(there, here.unwrap_or(there));
            if !together.is_empty() {
                self.holds.insert(first, together);
            }
        }
        self.hit.insert(device);
        *smallest = Some(smallest.map_or(device, |known| known.min(device)));
        true
    }

    /// Notes that `set` is done, and that `smallest` is the smallest device it hit.
    pub(super) fn close(&mut self, set: usize, smallest: usize) {
        self.sets.push((set, smallest));
    }

    /// The chains, ascending by their smallest device.
    pub(super) fn finish(mut self) -> impl Iterator<Item = Chain> {
        let mut chains: BTreeMap<usize, Chain> = BTreeMap::new();
        for device in self.hit {
            let chain = chains.entry(self.joined.first_of(device));
            chain.or_insert(Chain { devices: Vec::new(), sets: Vec::new() }).devices.push(device);
        }
        self.sets.sort_unstable();
        for (set, smallest) in self.sets {
            if let Some(chain) = chains.get_mut(&self.joined.first_of(smallest)) {
                chain.sets.push((set, smallest));
            }
        }
        chains.into_values()
    }
}
