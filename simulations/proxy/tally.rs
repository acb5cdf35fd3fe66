//! What a proxy's links did.

use std::collections::BTreeMap;

use super::fault::LinkFault;

/// Counts of all links.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that each link has seen.
    pub requests: Vec<u64>,
    /// How often each fault told at each link; of refusing, the connections that it reset.
    pub hits: Vec<[u64; LinkFault::ALL.len()]>,
    /// Answers to uploads, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Receipts for bytes that were changed on the way; none is expected.
    pub false_receipts: Vec<String>,
    /// Answers to uploads of nodes that had no room; see [`super::Proxy::mark_full`].
    pub answers_without_room: u64,
    /// New packages among those that were taken all the same; none is expected.
    pub receipts_without_room: Vec<String>,
}

impl Tally {
    /// Of so many links.
    pub fn new(links: usize) -> Tally {
        Tally { requests: vec![0; links], hits: vec![[0; LinkFault::ALL.len()]; links], ..Tally::default() }
    }

    /// How often each fault struck, at all links together.
    pub fn by_fault(&self) -> BTreeMap<&'static str, u64> {
        let sum = |fault: LinkFault| self.hits.iter().map(|link| link[fault.place()]).sum();
        LinkFault::ALL.into_iter().map(|fault| (fault.as_str(), sum(fault))).collect()
    }

    /// Requests that were struck by some fault, of this link.
    pub fn struck(&self, link: usize) -> u64 {
        self.hits[link].iter().sum()
    }
}
