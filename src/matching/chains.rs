//! Chains of devices: which ones hang together because sets hit several of them.
//!
//! Source: matching reference, section 7, step 4, and its forbidden pairs.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::forbidden::Forbidden;

/// Numbers joined into sets; the name of a set is its smallest number. Only numbers that are joined take memory.
#[derive(Default)]
pub(super) struct Joined {
    /// A smaller number of the same set. Never walked through, so its order does not show.
    parent: HashMap<u32, u32>,
}

impl Joined {
    /// The smallest number joined with this one. Halves the path on its way, so that it stays short.
    pub(super) fn first_of(&mut self, mut number: u32) -> u32 {
        while let Some(&parent) = self.parent.get(&number) {
            let Some(&above) = self.parent.get(&parent) else { return parent };
            self.parent.insert(number, above);
            number = above;
        }
        number
    }

    /// The same without shortening the way.
    pub(super) fn root(&self, mut number: u32) -> u32 {
        while let Some(&parent) = self.parent.get(&number) {
            number = parent;
        }
        number
    }

    /// Joins the sets of two numbers; returns the smallest number of both.
    pub(super) fn join(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (self.first_of(a), self.first_of(b));
        if a != b {
            self.parent.insert(a.max(b), a.min(b));
        }
        a.min(b)
    }

    /// The numbers that are not the smallest of their set, ascending, each with that.
    pub(super) fn joined(&mut self) -> Vec<(u32, u32)> {
        let mut numbers: Vec<u32> = self.parent.keys().copied().collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|number| (number, self.first_of(number))).collect()
    }
}

/// Devices that sets hang together at one Matcher, as far as forbidden pairs allow.
pub(super) struct Chains<'a> {
    forbidden: &'a Forbidden,
    joined: Joined,
    /// Per first device: the records of forbidden pairs in its chain.
    holds: BTreeMap<u32, BTreeSet<usize>>,
    /// Devices that were hit, some of them more than once.
    hit: Vec<u32>,
    /// Sets with the smallest device each of them hit.
    sets: Vec<(u32, u32)>,
}

/// One chain.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Ascending.
    pub(super) devices: Vec<u32>,
    /// Ascending, each with the smallest device it hit.
    pub(super) sets: Vec<(u32, u32)>,
}

impl<'a> Chains<'a> {
    /// No chains yet; `holds` names the records of forbidden pairs that devices hold already.
    pub(super) fn new(forbidden: &'a Forbidden, holds: BTreeMap<u32, BTreeSet<usize>>) -> Chains<'a> {
        Chains { forbidden, joined: Joined::default(), holds, hit: Vec::new(), sets: Vec::new() }
    }

    /// Lets a set with the records `apart` hit `device`; `smallest` is the smallest device it hit so far. Refused
    /// (false) when that would bring a forbidden pair together.
    pub(super) fn join(&mut self, apart: &BTreeSet<usize>, smallest: &mut Option<u32>, device: u32) -> bool {
        let there = self.joined.first_of(device);
        let here = smallest.map(|known| self.joined.first_of(known));
        if here != Some(there) {
            let nothing = BTreeSet::new();
            let held = |chain: &u32| self.holds.get(chain).unwrap_or(&nothing);
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
        self.hit.push(device);
        *smallest = Some(smallest.map_or(device, |known| known.min(device)));
        true
    }

    /// Notes that `set` is done, and that `smallest` is the smallest device it hit.
    pub(super) fn close(&mut self, set: u32, smallest: u32) {
        self.sets.push((set, smallest));
    }

    /// Shows the chains, ascending by their smallest device.
    pub(super) fn finish(mut self, mut see: impl FnMut(&Chain)) {
        self.hit.sort_unstable();
        self.hit.dedup();
        let mut devices: Vec<(u32, u32)> =
            self.hit.iter().map(|&device| (self.joined.first_of(device), device)).collect();
        devices.sort_unstable();
        let mut sets: Vec<(u32, (u32, u32))> =
            self.sets.iter().map(|&(set, smallest)| (self.joined.first_of(smallest), (set, smallest))).collect();
        sets.sort_unstable();
        let mut sets = sets.into_iter().peekable();
        let mut chain = Chain::default();
        for run in devices.chunk_by(|a, b| a.0 == b.0) {
            chain.devices.clear();
            chain.devices.extend(run.iter().map(|&(_, device)| device));
            chain.sets.clear();
            while let Some((_, set)) = sets.next_if(|&(first, _)| first == run[0].0) {
                chain.sets.push(set);
            }
            see(&chain);
        }
    }
}
